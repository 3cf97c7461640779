"""Recordings of the real scheduler as JSON: one file a case, one line a step."""

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tests.oracle.case import Config, Req, Step

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "scheduler"


@dataclass(frozen=True, slots=True)
class Recording:
    """What the real scheduler did with a case."""

    name: str
    config: Config
    reqs: list[Req]
    steps: list[Step]


def dump(recording: Recording, source: str) -> str:
    """Write a recording; `source` says what made it."""
    config = {field.name: getattr(recording.config, field.name) for field in fields(Config)}
    parts = {
        "source": json.dumps(source),
        "config": json.dumps(config),
        "req_fields": json.dumps([field.name for field in fields(Req)]),
        "reqs": f"[\n{_lines(recording.reqs)}\n]",
        "step_fields": json.dumps([field.name for field in fields(Step)]),
        "steps": f"[\n{_lines(recording.steps)}\n]",
    }
    return "{" + ",\n".join(f'"{key}": {value}' for key, value in parts.items()) + "}\n"


def load(path: Path) -> Recording:
    """Read a recording."""
    data = json.loads(path.read_text())
    reqs = [Req(**dict(zip(data["req_fields"], _tuples(row), strict=True))) for row in data["reqs"]]
    steps = [Step(**dict(zip(data["step_fields"], _tuples(row), strict=True))) for row in data["steps"]]
    return Recording(path.stem, Config(**data["config"]), reqs, steps)


def _lines(rows: Iterable[Req] | Iterable[Step]) -> str:
    return ",\n".join(json.dumps(astuple(row), separators=(",", ":")) for row in rows)


def _tuples(value: object) -> tuple[object, ...]:
    assert isinstance(value, list)
    return tuple(_tuples(item) if isinstance(item, list) else item for item in value)
