"""Arrival times of open and closed loops, as int64 nanoseconds since the start, rising."""

import math

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.request import Int64s
from sim.scenario.workload import (
    Arrivals,
    ClosedLoop,
    Constant,
    Diurnal,
    Gamma,
    OnOff,
    Poisson,
    Ramp,
)
from sim.units import NS_PER_S
from sim.workload import Streams

Floats = NDArray[np.float64]
OpenLoop = Poisson | Gamma | Constant | Ramp | Diurnal | OnOff

MAX_SECONDS = 9.2e9
"""Just under 2**63 ns, 292 years."""
DIURNAL_CELLS = 1 << 16
"""A day's cumulative rate is taken as linear over 1/65536 of its period (1.3 s of a day)."""
MAX_PHASES = 50_000_000


def arrival_times(arrivals: Arrivals, count: int, streams: Streams) -> Int64s:
    """Draw when `count` requests (or sessions) are sent; stream ``arrivals``, and ``arrivals/phases`` for on_off.

    Args:
        arrivals: The arrival process. A varying rate is a Poisson process of unit rate whose time is stretched by
            the inverse of the cumulative rate (Cinlar 1975).
        count: How many.
        streams: Named streams of the replication.

    Returns:
        int64[count], ns. As in `vllm bench serve`, the first is sent after the first gap, not at 0.

    Raises:
        InputError: The last would be sent more than 292 years after the start.
    """
    if isinstance(arrivals, ClosedLoop):
        return np.zeros(count, np.int64)
    with np.errstate(all="ignore"):  # absurd rates give inf or nan, which to_ns refuses
        return to_ns(_seconds(arrivals, count, streams), "workload.arrivals")


def _seconds(arrivals: OpenLoop, count: int, streams: Streams) -> Floats:
    rng = streams("arrivals")
    if isinstance(arrivals, Constant):
        return np.arange(1, count + 1) / arrivals.request_rate
    if isinstance(arrivals, Gamma):
        # vllm/benchmarks/serve.py get_request (0.32): gamma gaps of this shape, cumulated and scaled so that the last
        # request is sent at count / rate; their own scale cancels.
        sums = np.cumsum(rng.standard_gamma(arrivals.burstiness, count))
        return sums * (count / arrivals.request_rate / sums[-1]) if sums[-1] > 0 else sums
    masses = np.cumsum(rng.standard_exponential(count))
    if isinstance(arrivals, Ramp):
        return _ramp(arrivals, masses)
    if isinstance(arrivals, Diurnal):
        return _diurnal(arrivals, masses)
    if isinstance(arrivals, OnOff):
        return _on_off(arrivals, masses, streams("arrivals/phases"))
    return masses / arrivals.request_rate


def to_ns(seconds: Floats, key: str) -> Int64s:
    """Round rising seconds to nanoseconds; an InputError names `key` where int64 cannot hold the last of them."""
    if not seconds[-1] <= MAX_SECONDS:
        raise InputError(f"{key}: the last request would be sent after {seconds[-1]:.3g} s, expected at most 292 years")
    return np.rint(seconds * NS_PER_S).astype(np.int64)


def _ramp(ramp: Ramp, masses: Floats) -> Floats:
    slope = (ramp.end_rate - ramp.start_rate) / ramp.duration_s
    mass_of_ramp = (ramp.start_rate + ramp.end_rate) / 2 * ramp.duration_s
    within = np.minimum(masses, mass_of_ramp)
    # The root of start t + slope t^2 / 2 = mass, in the form that keeps its digits when slope or start is 0.
    seconds = 2 * within / (ramp.start_rate + np.sqrt(np.maximum(ramp.start_rate**2 + 2 * slope * within, 0)))
    return seconds + (masses - within) / ramp.end_rate


def _diurnal(day: Diurnal, masses: Floats) -> Floats:
    phase = np.linspace(0.0, 2 * math.pi, DIURNAL_CELLS + 1)
    peak = 2 * math.pi * day.peak_at_s / day.period_s
    # Cumulative rate over one period, in units of its mean: 0 to 2 pi, rising.
    mass = phase + (day.peak_to_mean - 1) * (np.sin(phase - peak) + math.sin(peak))
    periods, rest = np.divmod(masses / (day.mean_rate * day.period_s), 1.0)
    return (periods + np.interp(rest * 2 * math.pi, mass, phase) / (2 * math.pi)) * day.period_s


def _on_off(bursts: OnOff, masses: Floats, rng: np.random.Generator) -> Floats:
    cycle = np.array([bursts.mean_on_s, bursts.mean_off_s])
    rates = np.array([bursts.on_rate, bursts.off_rate])
    needed = masses[-1] / float(cycle @ rates)
    if not needed <= MAX_PHASES / 2:
        raise InputError(
            f"workload.arrivals: {needed:.3g} on/off cycles pass before the last request, "
            f"expected at most {MAX_PHASES // 2:,}: lengthen mean_on_s or mean_off_s"
        )
    durations = np.empty(0)
    while (durations * np.resize(rates, durations.size)).sum() <= masses[-1]:
        more = max(64, int(needed * 0.5))
        durations = np.concatenate([durations, (rng.standard_exponential((more, 2)) * cycle).ravel()])
    rate = np.resize(rates, durations.size)
    starts = np.concatenate([[0.0], np.cumsum(durations)])
    mass = np.concatenate([[0.0], np.cumsum(durations * rate)])
    # side="right" never lands in a phase of rate 0: its mass is empty.
    at = np.minimum(np.searchsorted(mass, masses, side="right") - 1, durations.size - 1)
    seconds: Floats = starts[at] + (masses - mass[at]) / rate[at]
    return seconds
