"""From a scenario file, its overrides and the command line's settings to one frozen Scenario."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sim.errors import InputError
from sim.scenario.overrides import merge, set_values
from sim.scenario.reading import read_file
from sim.scenario.scenario import Scenario
from sim.scenario.schema import Variants
from sim.scenario.sentences import sentence, show, suggest


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario, and where it came from."""

    scenario: Scenario
    source: Path
    variants: tuple[str, ...]
    """Names under `scenarios:` in the file."""
    sha256: str
    """Of the resolved scenario as canonical JSON."""

    @property
    def base_dir(self) -> Path:
        """Relative paths in the scenario start here."""
        return self.source.parent


def load(path: str | Path, sets: Sequence[str] = (), scenario: str | None = None) -> Loaded:
    """Read a scenario file, merge the override groups of `scenario` over it, then apply `sets`.

    Args:
        path: YAML file.
        sets: settings such as ``fleet.0.replicas=3``.
        scenario: a name under the file's `scenarios:`.

    Raises:
        InputError: the first mistake, in one sentence.
    """
    path = Path(path)
    data = read_file(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {show(data)}, expected the keys of a scenario (schema_version, name, ...)")
    try:
        variants = Variants.model_validate({key: data.pop(key) for key in Variants.model_fields if key in data})
        merged = _vary(data, variants, scenario, path)
        resolved = Scenario.model_validate(set_values(merged, sets))
    except ValidationError as error:
        chosen = [] if scenario is None else [f"--scenario {scenario}"]
        source = " ".join([str(path), *chosen, *(f"--set {setting}" for setting in sets)])
        raise InputError(sentence(error, source)) from None
    return Loaded(resolved, path, tuple(variants.scenarios), _sha256(resolved))


def _vary(base: object, variants: Variants, scenario: str | None, path: Path) -> object:
    """Merge the groups of the chosen scenario over `base`."""
    for name, groups in variants.scenarios.items():
        for group in groups:
            if group not in variants.overrides:
                hint = suggest(group, variants.overrides, "overrides here")
                raise InputError(f"{path}: scenarios.{name}: no override group {show(group)}, {hint}")
    if scenario is None:
        return base
    if scenario not in variants.scenarios:
        hint = suggest(scenario, variants.scenarios, "scenarios here")
        raise InputError(f"{path}: no scenario named {show(scenario)}, {hint}")
    for group in variants.scenarios[scenario]:
        base = merge(base, variants.overrides[group], f"{path}: overrides.{group}")
    return base


def _sha256(scenario: Scenario) -> str:
    canonical = json.dumps(scenario.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
