"""A study file: variations of one scenario, as a grid, a list of designs, or both crossed."""

import json
import re
from functools import cache
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from sim.errors import InputError
from sim.scenario.base import Block, NotABoolean
from sim.scenario.reading import read_file
from sim.scenario.sentences import sentence, show, suggest
from sim.shipped import FOLDER

MAX_DESIGNS = 10_000
"""More would be hours of simulation and a table that nobody reads; it also stops a grid that explodes."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
"""Texts that YAML reads back without quotes."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Settings = dict[str, object]
"""Value by dotted scenario key, as --set takes them: fleet.0.replicas: 3."""
Values = Annotated[tuple[object, ...], Field(strict=False, min_length=1)]


class Named(Block):
    """A design with a name."""

    name: Name
    set: Settings = Field(default={})


class Baseline(Block):
    """What the others are compared with; what it leaves open is as in the design that is compared."""

    name: str | None = None
    """One of `designs`."""
    set: Settings = Field(default={})
    """Values of keys of the grid."""


class Study(Block):
    """A Trilemma study file: which variations of a scenario to simulate and compare."""

    schema_version: Annotated[Literal[1], NotABoolean]
    name: Name
    description: str = ""
    scenario: str
    """A path beside the study, or the name of a shipped scenario."""
    variant: str | None = None
    """A name under the scenario's `scenarios:`."""
    set: Settings = Field(default={})
    """For all designs."""
    designs: Annotated[tuple[Named, ...], Field(strict=False)] = ()
    """Each is crossed with the grid. Default: one without settings."""
    grid: dict[str, Values] = Field(default={})
    """Values by dotted scenario key; all combinations are simulated."""
    replications: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Default: the scenario's."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Default: the scenario's. All designs serve the same requests, so that differences are not chance."""
    baseline: Baseline | None = None
    measures: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = (
        "good_share",
        "p99_ttft_ms",
        "p99_tpot_ms",
        "usd_per_hour",
        "usd_per_1k_good_requests",
    )
    """What is printed; the table on disk has every number."""

    @model_validator(mode="after")
    def _of_a_size(self) -> "Study":
        size = prod(map(len, self.grid.values())) * max(len(self.designs), 1)
        if size > MAX_DESIGNS:
            found = f"{size:,}" if size < 10**9 else "a billion or more"
            raise ValueError(f"found {found} designs, expected at most {MAX_DESIGNS:,}")
        return self

    @model_validator(mode="after")
    def _distinct(self) -> "Study":
        names = [one.name for one in self.designs]
        for i, one in enumerate(self.designs):
            if one.name in names[:i]:
                raise ValueError(f"designs.{i}.name: found {one.name} again, expected names that differ")
            for key in one.set:
                if key in self.grid:
                    raise ValueError(f"designs.{i}.set: found {key}, which the grid sets too, expected one of the two")
        for key, values in self.grid.items():
            texts = [as_text(value) for value in values]
            for i, text in enumerate(texts):
                if text in texts[:i]:
                    raise ValueError(f"grid.{key}: found {text} twice, expected values that differ")
        return self

    @model_validator(mode="after")
    def _known_baseline(self) -> "Study":
        if self.baseline is None:
            return self
        name, names = self.baseline.name, [one.name for one in self.designs]
        if name is not None and name not in names:
            raise ValueError(f"baseline.name: found {show(name)}, {suggest(name, names, 'designs here')}")
        for key, value in self.baseline.set.items():
            if key not in self.grid:
                raise ValueError(f"baseline.set: found {key}, {suggest(key, self.grid, 'keys of the grid')}")
            texts = [as_text(one) for one in self.grid[key]]
            if as_text(value) not in texts:
                raise ValueError(f"baseline.set.{key}: found {as_text(value)}, expected one of {', '.join(texts)}")
        return self


def as_text(value: object) -> str:
    """Write a value in one line, as YAML and JSON have it; keys of blocks are sorted."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in {"true", "false", "null"}:
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def study_names() -> list[str]:
    """Names of the shipped studies."""
    return sorted(path.stem for path in (FOLDER / "studies").glob("*.yaml"))


def find_study(name: str) -> Path:
    """Return the file that `name` means: a path, or a bare name of a shipped study.

    Raises:
        InputError: there is none of that name.
    """
    path = Path(name)
    if path.name != name or path.suffix or path.is_file():
        return path
    if name not in study_names():
        raise InputError(f"{name}: no such file or shipped study, {suggest(name, study_names(), 'shipped are')}")
    return FOLDER / "studies" / f"{name}.yaml"


def read_study(path: Path) -> Study:
    """Read a study.

    Raises:
        InputError: the first mistake, in one sentence.
    """
    data = read_file(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {show(data)}, expected the keys of a study (schema_version, name, ...)")
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        raise InputError(sentence(error, str(path), schema())) from None


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a study file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}


def schema_json() -> str:
    """Return the schema as it is kept in scenarios/studies/schema.json."""
    return json.dumps(schema(), indent=2) + "\n"
