"""The designs of a study: every named one at every point of the grid, with the one that it is compared with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sim.shipped import find_scenario
from sim.study.evaluation import Design
from sim.study.study import Settings, Study, as_text


@dataclass(frozen=True, slots=True)
class Variation:
    """One design of a study."""

    name: str | None
    """Of the list `designs`, None if the study has none."""
    own: Settings
    """What that one sets."""
    point: Settings
    """Where in the grid it lies."""
    design: Design
    baseline: int | None
    """Number of the variation that it is compared with; None if that is itself, or there is none."""

    @property
    def label(self) -> str:
        """Its name and point, in a few words."""
        short = short_keys(list(self.point))
        words = [f"{short[key]}={as_text(value)}" for key, value in self.point.items()]
        return ", ".join([*([self.name] if self.name else []), *words]) or "the scenario"


def variations(study: Study, source: Path) -> list[Variation]:
    """Return all designs of the study read from `source`, the last key of the grid changing fastest.

    Raises:
        InputError: no shipped scenario has that name.
    """
    scenario = scenario_path(study, source)
    numbers = {_place(name, point): i for i, (name, _, point) in enumerate(_each(study))}
    found = []
    for i, (name, own, point) in enumerate(_each(study)):
        base = None
        if study.baseline is not None:
            base = numbers[_place(study.baseline.name or name, point | study.baseline.set)]
        settings = tuple(f"{key}={as_text(value)}" for key, value in _settings(study, own, point))
        design = Design(str(scenario), settings, study.variant)
        found.append(Variation(name, own, point, design, None if base == i else base))
    return found


def scenario_path(study: Study, source: Path) -> Path:
    """Return the scenario's file: one beside the study if there is one of that name, else the shipped one."""
    beside = source.parent / study.scenario
    return beside if beside.is_file() or Path(study.scenario).suffix else find_scenario(study.scenario)


def _each(study: Study) -> Iterator[tuple[str | None, Settings, Settings]]:
    named: list[tuple[str | None, Settings]] = [(one.name, one.set) for one in study.designs]
    for name, own in named or [(None, {})]:
        for values in product(*study.grid.values()):
            yield name, own, dict(zip(study.grid, values, strict=True))


def _place(name: str | None, point: Settings) -> tuple[str | None, str]:
    return name, as_text(point)


def _settings(study: Study, own: Settings, point: Settings) -> Iterator[tuple[str, object]]:
    """In the order in which they are applied: what is said of fewer designs comes later, and so prevails."""
    if study.replications is not None:
        yield "run.replications", study.replications
    if study.seed is not None:
        yield "run.seed", study.seed
    for part in (study.set, own, point):
        yield from part.items()


def short_keys(keys: list[str]) -> Mapping[str, str]:
    """Shorten dotted keys to as many of their last words as tell them apart."""
    parts = {key: key.split(".") for key in keys}
    short = {}
    for key, words in parts.items():
        alone = (n for n in range(1, len(words)) if sum(part[-n:] == words[-n:] for part in parts.values()) == 1)
        short[key] = ".".join(words[-next(alone, len(words)) :])
    return short
