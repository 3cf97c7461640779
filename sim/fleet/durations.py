"""Draws of durations: what a scenario says about how long things take, in nanoseconds."""

from collections.abc import Callable
from functools import partial

import numpy as np

from sim.scenario.duration import (
    Duration,
    ExponentialDuration,
    FixedDuration,
    LognormalDuration,
    UniformDuration,
)
from sim.units import seconds_to_ns


def sample_ns(duration: Duration, rng: np.random.Generator) -> int:
    """Draw once, in nanoseconds, never below 0; a fixed duration takes nothing from the generator."""
    match duration:
        case FixedDuration():
            return seconds_to_ns(duration.s)
        case ExponentialDuration():
            return _bounded(rng.exponential(duration.mean_s))
        case LognormalDuration():
            return _bounded(rng.lognormal(np.log(duration.median_s), duration.sigma))
        case UniformDuration():
            return seconds_to_ns(rng.uniform(duration.low_s, duration.high_s))


def _bounded(seconds: float) -> int:
    """A third of a century at most, which no run outlasts."""
    return seconds_to_ns(min(seconds, 1e9))


def sampler(duration: Duration, rng: np.random.Generator) -> Callable[[], int]:
    """Return a function that draws from `rng`, in nanoseconds."""
    return partial(sample_ns, duration, rng)
