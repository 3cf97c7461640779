"""Measured engine steps as rows to fit: what each step held, how long it took, and what the physics says of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.fit import Data
from calibrate.parameters import Floats
from sim import steptime
from sim.calibration import Residuals
from sim.catalog.types import Gpu, Layout, Model
from sim.defaults import EngineDefaults
from sim.scenario.engine import Engine
from sim.steptime.calibrated import corrected
from sim.steptime.cost import StepCost, device_fs, step_ns
from sim.steptime.efficiency import Efficiency
from sim.steptime.shape import StepShape
from sim.units import FS_PER_NS, NS_PER_MS

FS_PER_MS = FS_PER_NS * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Replica:
    """What the steps ran on."""

    model: Model
    gpu: Gpu
    layout: Layout
    engine: Engine
    defaults: EngineDefaults

    def cost(self, efficiency: Efficiency, residuals: Residuals | None = None) -> StepCost:
        """Step times with these efficiencies."""
        physics = steptime.physics(self.model, self.gpu, self.layout, self.engine, self.defaults, efficiency)
        cost = physics.cost(self.defaults.max_num_batched_tokens, self.defaults.max_num_seqs)
        return cost if residuals is None else corrected(cost, residuals)


@dataclass(frozen=True, slots=True)
class Steps:
    """Distinct steps of one replica."""

    replica: Replica
    shapes: tuple[StepShape, ...]
    measured_ms: Floats
    """float64[steps]: median of the repeats."""
    spread: Floats
    """float64[steps]: standard deviation of its logarithm."""
    host: bool
    """The times include the host's part: schedule and update beside the model."""

    def predict_ms(self, efficiency: Efficiency, residuals: Residuals | None = None) -> Floats:
        """What the physics says of each step, float64[steps]."""
        cost = self.replica.cost(efficiency, residuals)
        if self.host:
            return np.array([step_ns(cost, shape) for shape in self.shapes]) / NS_PER_MS
        return np.array([max(device_fs(cost, shape), FS_PER_NS) for shape in self.shapes]) / FS_PER_MS

    def part(self, chosen: Sequence[bool]) -> "Steps":
        """Those that are chosen."""
        kept = np.flatnonzero(chosen)
        shapes = tuple(self.shapes[i] for i in kept)
        return Steps(self.replica, shapes, self.measured_ms[kept], self.spread[kept], self.host)


def label(shape: StepShape) -> str:
    """A step in words."""
    parts = []
    if shape.prefill_seqs:
        parts.append(f"prefill {shape.prefill_seqs} x {shape.prefill_tokens / shape.prefill_seqs:.0f}")
    if shape.decode_seqs:
        parts.append(f"decode {shape.decode_seqs} at {shape.context_tokens / shape.decode_seqs:.0f}")
    return ", ".join(parts)


def data_of(profiles: Sequence[Steps], residuals: Residuals | None = None) -> Data:
    """The steps as rows to fit."""

    def predict(efficiency: Efficiency) -> Floats:
        times: Floats = np.concatenate([one.predict_ms(efficiency, residuals) for one in profiles])
        return np.log(times).astype(np.float64)

    return Data(
        predict,
        np.log(np.concatenate([one.measured_ms for one in profiles])),
        np.concatenate([one.spread for one in profiles]),
    )
