"""How long the stages of a start take: the scenario's, `trilemma startup`'s or the catalogue's."""

import json
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from sim import catalog
from sim.catalog.types import Layout
from sim.deployment import Deployment
from sim.errors import InputError
from sim.fleet.durations import sampler
from sim.fleet.links import FairLink
from sim.scenario.duration import Duration
from sim.scenario.startup import Startup
from sim.units import NS_PER_S, seconds_to_ns
from sim.weights import weight_bytes
from sim.world import World

Draw = Callable[[], int]
"""Draws a duration, ns."""

_STAGES = ("provision", "boot", "image", "process", "compile", "warm")
_GB = 1e9


class StartTimes:
    """Draws of every stage, and the link over which weights come."""

    def __init__(
        self,
        world: World,
        spec: Startup,
        deployments: Sequence[Deployment],
        base_dir: Path,
        rng: np.random.Generator,
    ) -> None:
        """Resolve the stages.

        Raises:
            InputError: unknown preset, or no startup.json where `measured` says.
        """
        preset = catalog.startup_preset(spec.preset)
        draws: dict[str, Draw] = {}
        for stage in _STAGES:
            stated: Duration | None = getattr(spec, stage)
            duration = stated or TypeAdapter[Duration](Duration).validate_python(dict(preset.stages[stage]))
            draws[stage] = sampler(duration, rng)
        if spec.measured is not None:
            draws |= _measured(base_dir / spec.measured)
        self.provision, self.boot, self.image = (draws[stage] for stage in ("provision", "boot", "image"))
        self.process, self.compile, self.warm = (draws[stage] for stage in ("process", "compile", "warm"))
        self.store = FairLink(world, (spec.store_gb_per_s or preset.store_gb_per_s) * _GB)
        self.node_bytes_per_s = (spec.node_gb_per_s or preset.node_gb_per_s) * _GB
        self._disk_bytes_per_s = (spec.disk_gb_per_s or preset.disk_gb_per_s) * _GB
        self.weights = [weight_bytes(one.model, Layout(), one.engine, 0) for one in deployments]
        """Bytes of each pool's model, as a replica reads them."""

    def from_disk(self, pool: int) -> int:
        """Return how long a node takes to read weights that it has, ns."""
        return round(self.weights[pool] / self._disk_bytes_per_s * NS_PER_S)


def _measured(path: Path) -> dict[str, Draw]:
    """Stages of the engine as `trilemma startup` measured them, one start after another and again."""
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
        rows = [[_seconds(one, stage) for stage in ("process", "compile", "warm")] for one in starts]
    except OSError as error:
        raise InputError(f"startup.measured: {path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"startup.measured: {path}: expected a startup.json that `trilemma startup` saved, found other content"
        ) from None
    if not rows:
        raise InputError(f"startup.measured: {path}: found no start, expected at least one")
    return {stage: _in_turn([row[i] for row in rows]) for i, stage in enumerate(("process", "compile", "warm"))}


def _seconds(start: dict[str, Any], stage: str) -> float:
    """Seconds of a stage; what the log does not tell apart counts as warm-up (see harness/startup.py)."""
    compile_s = float(start["compile_s"] or 0.0) + float(start["graph_capture_s"] or 0.0)
    if stage == "process":
        return float(start["process_s"] or 0.0)
    if stage == "compile":
        return compile_s
    known = float(start["process_s"] or 0.0) + float(start["model_s"] or start["weights_s"] or 0.0) + compile_s
    return max(float(start["healthy_s"]) - known, 0.0)


def _in_turn(seconds: Sequence[float]) -> Draw:
    turn = count()
    return lambda: seconds_to_ns(seconds[next(turn) % len(seconds)])
