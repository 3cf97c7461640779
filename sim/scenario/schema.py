"""The scenario file's format as JSON Schema, for editors and for error messages."""

import json
from functools import cache
from typing import Annotated

from pydantic import Field

from sim.scenario.base import Block
from sim.scenario.scenario import Scenario


class Variants(Block):
    """Named variations that a scenario file may carry beside the scenario itself."""

    overrides: dict[str, dict[str, object]] = Field(default={})
    """Named groups of keys (dotted paths or nested blocks) that are merged over the base."""
    scenarios: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(default={})
    """Named lists of override groups, chosen with `--scenario NAME` and applied in order."""


class ScenarioFile(Scenario, Variants):
    """A Trilemma scenario file."""


@cache
def schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of a scenario file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ScenarioFile.model_json_schema()}


def schema_json() -> str:
    """Return the schema as it is kept in scenarios/schema.json."""
    return json.dumps(schema(), indent=2) + "\n"
