"""A search file: which designs there are, as values and ranges of scenario keys, and what makes one better."""

import json
import math
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from sim.errors import InputError
from sim.scenario.base import Block, Count, NotABoolean, Positive
from sim.scenario.reading import read_file
from sim.scenario.sentences import sentence, show, suggest
from sim.shipped import FOLDER
from sim.study.study import Name, Named, Settings, Values, as_text

NAMED = "design"
"""The dimension of the named designs."""

Number = int | float
Direction = Literal["minimise", "maximise"]


DEFAULT_OBJECTIVES: dict[str, Direction] = {
    "interactivity": "maximise",
    "usd_per_1k_good_requests": "minimise",
    "flexibility": "maximise",
}


class Domain(Block):
    """Values of one key: some that are listed, or all numbers from low to high, integers if both (and step) are."""

    choices: Values | None = None
    low: Number | None = None
    high: Number | None = None
    step: Number | None = None
    """Default 1 for integers; real numbers have none."""
    log: bool = False
    """Evenly by factors instead of differences."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Domain":
        low, high, step = self.low, self.high, self.step
        if self.choices is not None:
            texts = [as_text(value) for value in self.choices]
            if len(set(texts)) < len(texts):
                raise ValueError("choices: found a value twice, expected values that differ")
            if not low is high is step is None or self.log:
                raise ValueError("found choices and a range, expected one of the two")
            return self
        if low is None or high is None or not low < high:
            raise ValueError("expected choices, or low and a higher high")
        if self.log and (low <= 0 or step is not None):
            raise ValueError("log: found true, expected a range above 0 without a step")
        if step is not None and (step <= 0 or abs((high - low) / step - round((high - low) / step)) > 1e-9):
            raise ValueError(f"step: found {step:g}, expected one that leads from low to high")
        return self

    @property
    def whole(self) -> bool:
        """Whether its numbers are integers."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 1))

    @property
    def bounds(self) -> tuple[Number, Number]:
        """Low and high of a range."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    @property
    def levels(self) -> tuple[object, ...] | None:
        """All its values, None if there are more than can be counted."""
        if self.choices is not None:
            return self.choices
        if self.step is None and not self.whole:
            return None
        low, high = self.bounds
        step = self.step or 1
        numbers = (low + step * i for i in range(round((high - low) / step) + 1))
        return tuple(numbers) if self.whole else tuple(float(f"{one:.12g}") for one in numbers)


class Search(Block):
    """A Trilemma search file: a space of designs, searched for those that no other beats."""

    schema_version: Annotated[Literal[1], NotABoolean]
    name: Name
    description: str = ""
    scenario: str
    """A path beside the search, or the name of a shipped scenario."""
    variant: str | None = None
    """A name under the scenario's `scenarios:`."""
    set: Settings = Field(default={})
    """For all designs."""
    space: Annotated[dict[str, Domain], Field(min_length=1)]
    """By dotted scenario key."""
    designs: Annotated[tuple[Named, ...], Field(strict=False)] = ()
    """Settings that go together, one more dimension: a market with its reclaims, an autoscaler."""
    objectives: dict[str, Direction] = Field(default=DEFAULT_OBJECTIVES, min_length=1, max_length=4)
    """Numbers of a run's summary; beside them `interactivity`, output tokens a second and user, and `flexibility`,
    which takes up to seven more simulations a design."""
    second_model: str | None = None
    """With which flexibility restarts the fleet."""
    trials: Count = 100
    """Designs to try."""
    sampler: Literal["surrogate", "tpe", "nsga2"] = "surrogate"
    """surrogate: Gaussian processes and the hypervolume to be gained; the others are Optuna's."""
    search_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the search alone; the scenario's seed decides over the traffic."""
    replications: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Default: the scenario's."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Default: the scenario's. All designs serve the same requests, so that differences are not chance."""
    near: Positive = 0.1
    """What counts as near the best: 0.1 is within 10 %."""

    @model_validator(mode="after")
    def _distinct(self) -> "Search":
        names = [one.name for one in self.designs]
        if len(set(names)) < len(names):
            raise ValueError(f"designs: found names {names}, expected names that differ")
        return self


Value = Number | str
"""A number, or the text that --set takes."""
Point = tuple[Value, ...]
"""A design: its value on each dimension."""


class Dimension:
    """One axis of the space."""

    def __init__(self, key: str, domain: Domain) -> None:
        self.key = key
        self.domain = domain
        levels = domain.levels
        self.numeric = levels is None or all(type(one) in (int, float) for one in levels)
        self.levels: list[Value] | None = None
        """All values, None if there are more than can be counted."""
        if levels is not None:
            self.levels = [one if isinstance(one, int | float) and self.numeric else as_text(one) for one in levels]

    def at(self, unit: float) -> Value:
        """Return the value at 0 <= unit < 1."""
        if self.levels is not None and not self.domain.log:
            return self.levels[min(int(unit * len(self.levels)), len(self.levels) - 1)]
        low, high = self.domain.bounds
        value = low * (high / low) ** unit if self.domain.log else low + (high - low) * unit
        return round(value) if self.domain.whole else float(f"{value:.6g}")

    def features(self, value: Value) -> list[float]:
        """Return numbers of 0 to 1 that say how near two values are; texts are all equally far apart."""
        if self.domain.choices is not None:
            assert self.levels is not None
            if self.numeric:
                return [self.levels.index(value) / max(len(self.levels) - 1, 1)]
            return [math.sqrt(0.5) * (value == one) for one in self.levels]
        assert not isinstance(value, str)
        low, high = self.domain.bounds
        if self.domain.log:
            return [math.log(value / low) / math.log(high / low)]
        return [(value - low) / (high - low)]


class Space:
    """All designs of a search."""

    def __init__(self, search: Search) -> None:
        self.dimensions = [Dimension(key, domain) for key, domain in search.space.items()]
        self._search = search
        if search.designs:
            self.dimensions.insert(0, Dimension(NAMED, Domain(choices=tuple(one.name for one in search.designs))))

    @property
    def keys(self) -> list[str]:
        """One a dimension."""
        return [one.key for one in self.dimensions]

    @property
    def size(self) -> int | None:
        """How many designs there are; None if there are more than can be counted."""
        sizes = [None if one.levels is None else len(one.levels) for one in self.dimensions]
        return None if None in sizes else math.prod(size or 0 for size in sizes)

    def all(self) -> list[Point]:
        """Every design of a space that can be counted."""
        return list(product(*(one.levels or () for one in self.dimensions)))

    def at(self, units: list[float]) -> Point:
        """Return the design at a place of the unit cube."""
        return tuple(one.at(unit) for one, unit in zip(self.dimensions, units, strict=True))

    def features(self, point: Point) -> list[float]:
        """Return a design as numbers of 0 to 1."""
        parts = (one.features(value) for one, value in zip(self.dimensions, point, strict=True))
        return [number for part in parts for number in part]

    def settings(self, point: Point | None) -> tuple[str, ...]:
        """Return a design as --set takes it; None: what holds for all, with the first of the named designs."""
        search = self._search
        chosen = {} if point is None else dict(zip(self.keys, point, strict=True))
        named = next((one.set for one in search.designs if one.name == chosen.get(NAMED, one.name)), {})
        general = {"run.replications": search.replications, "run.seed": search.seed}
        told = {key: as_text(value) for key, value in general.items() if value is not None}
        told |= {key: as_text(value) for key, value in (search.set | named).items()}
        told |= {key: str(value) for key, value in chosen.items() if not (search.designs and key == NAMED)}
        return tuple(f"{key}={text}" for key, text in told.items())


def search_names() -> list[str]:
    """Names of the shipped searches."""
    return sorted(path.stem for path in (FOLDER / "searches").glob("*.yaml"))


def find_search(name: str) -> Path:
    """Return the file that `name` means: a path, or a bare name of a shipped search.

    Raises:
        InputError: there is none of that name.
    """
    path = Path(name)
    if path.name != name or path.suffix or path.is_file():
        return path
    if name not in search_names():
        raise InputError(f"{name}: no such file or shipped search, {suggest(name, search_names(), 'shipped are')}")
    return FOLDER / "searches" / f"{name}.yaml"


def read_search(path: Path) -> Search:
    """Read a search.

    Raises:
        InputError: the first mistake, in one sentence.
    """
    data = read_file(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {show(data)}, expected the keys of a search (schema_version, name, ...)")
    try:
        return Search.model_validate(data)
    except ValidationError as error:
        raise InputError(sentence(error, str(path), schema())) from None


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a search file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Search.model_json_schema()}


def schema_json() -> str:
    """Return the schema as it is kept in scenarios/searches/schema.json."""
    return json.dumps(schema(), indent=2) + "\n"
