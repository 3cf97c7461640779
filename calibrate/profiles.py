"""A step profile on disk, as `trilemma profile` writes it, and the fit to one or several of them."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from calibrate.parameters import Floats
from calibrate.steps import Replica, Steps
from sim import catalog
from sim.catalog.types import Layout
from sim.defaults import engine_defaults
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.scenario.sentences import sentence
from sim.steptime.shape import StepShape

COLUMNS = ("kind", *StepShape._fields, "wall_ms", "model_ms")
LEAST_SPREAD = 0.03
"""A step's median is not known better, and the physics does not describe a step better."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile: distinct steps with the median of their repeats."""

    path: Path
    version: str
    """Of vLLM."""
    date: str
    model: str
    """As the profile names it."""
    replica: Replica
    shapes: tuple[StepShape, ...]
    """In the order in which they were measured."""
    wall_ms: Floats
    """float64[steps]: schedule, model and update."""
    model_ms: Floats
    """float64[steps]: the model alone."""
    wall_spread: Floats
    model_spread: Floats

    def steps(self, *, host: bool) -> Steps:
        """The steps as rows to fit; `host`: whole steps, else the model alone."""
        times, spread = (self.wall_ms, self.wall_spread) if host else (self.model_ms, self.model_spread)
        return Steps(self.replica, self.shapes, times, spread, host)


def is_profile(path: Path) -> bool:
    """Whether a directory is one."""
    return (path / "steps.csv").is_file() and (path / "profile.json").is_file()


def read(path: Path) -> Profile:
    """Read a profile.

    Raises:
        InputError: it is no profile, or damaged, or of something the catalogue does not know.
    """
    about = _about(path / "profile.json")
    rows = _rows(path / "steps.csv")
    replica = _replica(path / "profile.json", about)
    repeats: dict[StepShape, list[tuple[float, float]]] = {}
    for number, row in enumerate(rows, 2):
        shape, times = _step(path / "steps.csv", number, row)
        if _fits(shape, replica):
            repeats.setdefault(shape, []).append(times)
    if not repeats:
        raise InputError(f"{path / 'steps.csv'}: found no step, expected the measured steps")
    wall, model = ([_median([times[which] for times in several]) for several in repeats.values()] for which in (0, 1))
    return Profile(
        path=path,
        version=str(about["vllm_version"]),
        date=str(about.get("date", "undated")),
        model=str(about["model"]),
        replica=replica,
        shapes=tuple(repeats),
        wall_ms=np.array([one for one, _ in wall]),
        model_ms=np.array([one for one, _ in model]),
        wall_spread=np.array([one for _, one in wall]),
        model_spread=np.array([one for _, one in model]),
    )


def _about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected what `trilemma profile` wrote, found {error}") from None
    missing = {"model", "gpu", "vllm_version", "engine"} - set(about if isinstance(about, dict) else ())
    if missing:
        raise InputError(f"{path}: found no {', '.join(sorted(missing))}, expected what `trilemma profile` wrote")
    found: dict[str, Any] = about
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}: found no {', '.join(sorted(missing))}, expected {', '.join(COLUMNS)}")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected the steps that `trilemma profile` wrote, found {error}") from None


def _replica(path: Path, about: dict[str, Any]) -> Replica:
    try:
        engine = Engine.model_validate(about["engine"])
    except ValidationError as error:
        raise InputError(sentence(error, f"{path}: engine")) from None
    try:
        model = catalog.model(str(about["model"]), path.parent)
        gpu = catalog.gpu(str(about["gpu"]))
        sizes = [_size(path, about, key) for key in ("tensor_parallel_size", "pipeline_parallel_size")]
        layout = Layout(sizes[0], sizes[1], engine.enable_expert_parallel)
        return Replica(model, gpu, layout, engine, engine_defaults(gpu, model, engine))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _size(path: Path, about: dict[str, Any], key: str) -> int:
    found = about.get(key, 1)
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= 1024:
        raise InputError(f"{path}: {key}: found {found!r}, expected a number of GPUs")
    return found


def _step(path: Path, number: int, row: dict[str, str]) -> tuple[StepShape, tuple[float, float]]:
    try:
        shape = StepShape(*(int(row[name]) for name in StepShape._fields))
        wall, model = float(row["wall_ms"]), float(row["model_ms"])
    except (TypeError, ValueError):
        raise InputError(
            f"{path}: line {number}: expected numbers, found {', '.join(map(str, row.values()))}"
        ) from None
    if not 0 < model <= wall < 1e9 or min(shape) < 0 or max(shape) > 1e15 or shape.prefill_tokens > 1e8:
        raise InputError(f"{path}: line {number}: expected 0 < model_ms <= wall_ms, found {model} and {wall}")
    return shape, (wall, model)


def _fits(shape: StepShape, replica: Replica) -> bool:
    """Whether the step is one of a filled engine, not an empty one."""
    return 0 < shape.prefill_seqs + shape.decode_seqs <= replica.defaults.max_num_seqs


def _median(times: Sequence[float]) -> tuple[float, float]:
    """The median, and the standard error of its logarithm with what the physics leaves open."""
    median = float(np.median(times))
    quartiles = np.percentile(times, (25, 75))
    scatter = float(quartiles[1] - quartiles[0]) / 1.35 / median  # the normal's interquartile range is 1.35 sigma
    return median, float(np.hypot(LEAST_SPREAD, 1.25 * scatter / np.sqrt(len(times))))
