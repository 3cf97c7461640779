"""A simulated and a measured run of the same requests, side by side.

Errors are signed, simulated against measured: +5 % means that the simulator says 5 % more. Only requests that ended
well on both sides are compared; the others are counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, wasserstein_distance

from calibrate import parts
from calibrate.realrun import Mask, RealRun
from sim.errors import InputError
from sim.result import Outcome, Replication, Run
from sim.stats import CONFIDENCE
from sim.units import NS_PER_MS, NS_PER_S

Floats = NDArray[np.float64]

PERCENTILES = (50, 90, 99)
ARRIVAL_TOLERANCE_NS = 1000
"""Both sides draw arrivals with the same code; another numpy may round the last bit otherwise."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of one metric on both sides."""

    sim: float
    real: float

    @property
    def error(self) -> float | None:
        """Signed relative error, simulated against measured; None where the measured value is 0."""
        return self.sim / self.real - 1 if self.real else None


@dataclass(frozen=True, slots=True)
class Metric:
    """One latency, ms."""

    statistics: Mapping[str, Statistic]
    """mean, p50, p90, p99."""
    mean_error_interval: tuple[float, float] | None
    """95 % interval of the relative error of the mean (block bootstrap over requests); None where that has none."""
    ks: float
    """Largest distance between the two distribution functions (Kolmogorov-Smirnov), 0 to 1."""
    wasserstein_ms: float
    """Area between the two distribution functions."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found."""

    replication: int
    requests: int
    compared: int
    """Requests that ended well on both sides."""
    sim_failed: int
    real_failed: int
    metrics: Mapping[str, Metric]
    """By name: ttft, tpot, itl, e2el."""
    rates: Mapping[str, Statistic]
    """duration_s, request_throughput (1/s) and output_throughput (tokens/s) over the compared requests, from the
    first sending to the last token."""
    attribution: parts.Attribution


def compare(sim: Run, real: RealRun, sim_path: Path) -> Comparison:
    """Compare the replication that was measured with the simulated one of the same number.

    Raises:
        InputError: the two are not the same requests, or none ended well on both sides.
    """
    number = int(real.server.get("replication", 0))
    one = _same_requests(sim, real, sim_path, number)
    both = (one.outcome == Outcome.FINISHED) & real.ok
    if not both.any():
        raise InputError(f"{real.path}: no request ended well both here and in {sim_path}, expected at least one")
    _same_answers(one, real, sim_path, both)
    sim_ms, real_ms = _requests_ms(one, both), _requests_ms(real, both)
    outputs = one.requests.output_tokens[both].astype(np.float64)
    more = outputs > 1
    itls = np.repeat(one.itl_ns, one.itl_count) / NS_PER_MS, real.itl_ms(both)
    ones, gaps = np.ones(len(outputs)), outputs[more] - 1
    metrics = {"ttft": _metric(sim_ms["ttft"], real_ms["ttft"], sim_ms["ttft"], real_ms["ttft"], ones)}
    if more.any():
        sim_decode, real_decode = sim_ms["decode"][more], real_ms["decode"][more]
        sim_tpot, real_tpot = sim_decode / gaps, real_decode / gaps
        metrics["tpot"] = _metric(sim_tpot, real_tpot, sim_tpot, real_tpot, ones[more])
        metrics["itl"] = _metric(*itls, sim_decode, real_decode, gaps)
    metrics["e2el"] = _metric(sim_ms["e2el"], real_ms["e2el"], sim_ms["e2el"], real_ms["e2el"], ones)
    return Comparison(
        replication=number,
        requests=len(both),
        compared=int(both.sum()),
        sim_failed=int(np.count_nonzero(one.outcome != Outcome.FINISHED)),
        real_failed=int(np.count_nonzero(~real.ok)),
        metrics=metrics,
        rates=_rates(one, real, both),
        attribution=parts.attribute(one, real, both),
    )


def _same_requests(sim: Run, real: RealRun, sim_path: Path, number: int) -> Replication:
    settings: Any = sim.scenario["run"]
    if real.server.get("seed") != settings["seed"]:
        raise InputError(
            f"{real.path}: measured with seed {real.server.get('seed')}, expected {settings['seed']}, "
            f"that of {sim_path}"
        )
    if number >= len(sim.replications):
        raise InputError(
            f"{sim_path}: holds {len(sim.replications)} replications, expected number {number} (from 0), "
            f"which {real.path} measured"
        )
    one = sim.replications[number]
    drawn = one.requests
    if len(drawn) != len(real.sent_ns):
        raise InputError(f"{real.path}: holds {len(real.sent_ns)} requests, expected {len(drawn)}, those of {sim_path}")
    pairs: tuple[tuple[str, NDArray[Any], NDArray[Any], int], ...] = (
        ("prompt_tokens", real.prompt_tokens, drawn.prompt_tokens, 0),
        ("arrival_ns", real.arrival_ns, drawn.arrival_ns, ARRIVAL_TOLERANCE_NS),
    )
    for name, found, expected, tolerance in pairs:
        _agree(real.path, sim_path, name, found, expected, np.ones(len(drawn), np.bool_), tolerance)
    return one


def _same_answers(one: Replication, real: RealRun, sim_path: Path, both: Mask) -> None:
    _agree(real.path, sim_path, "output_tokens", real.output_tokens, one.requests.output_tokens, both, 0)


def _agree(
    path: Path, sim_path: Path, name: str, found: NDArray[Any], expected: NDArray[Any], where: Mask, tolerance: int
) -> None:
    wrong = np.flatnonzero(where & (np.abs(found.astype(np.int64) - expected) > tolerance))
    if len(wrong):
        first = int(wrong[0])
        raise InputError(
            f"{path}: requests.parquet: request {first} has {name} {found[first]}, expected {expected[first]} "
            f"as in {sim_path} ({len(wrong)} such requests): these are not the same requests"
        )


def _requests_ms(side: Replication | RealRun, both: Mask) -> dict[str, Floats]:
    sent, first, last = side.sent_ns[both], side.first_token_ns[both], side.last_token_ns[both]
    return {
        "ttft": (first - sent) / NS_PER_MS,
        "decode": (last - first) / NS_PER_MS,
        "e2el": (last - sent) / NS_PER_MS,
    }


def _metric(sim: Floats, real: Floats, sim_sums: Floats, real_sums: Floats, weights: Floats) -> Metric:
    """Compare two samples.

    Args:
        sim: every value, ms.
        real: likewise.
        sim_sums: by request in the order of sending, the sum of its values, ms.
        real_sums: likewise.
        weights: by request, how many values it has.
    """
    total = weights.sum()
    statistics = {"mean": Statistic(float(sim_sums.sum() / total), float(real_sums.sum() / total))}
    for percentage in PERCENTILES:
        pair = (float(np.percentile(values, percentage)) for values in (sim, real))
        statistics[f"p{percentage}"] = Statistic(*pair)
    return Metric(
        statistics,
        mean_error_interval=_bootstrap(sim_sums, real_sums) if real_sums.min() > 0 else None,
        ks=float(ks_2samp(sim, real, method="asymp").statistic),
        wasserstein_ms=float(wasserstein_distance(sim, real)),
    )


def _bootstrap(sim: Floats, real: Floats) -> tuple[float, float]:
    """Return the 95 % interval of sum(sim) / sum(real) - 1 over pairs of requests.

    Requests close in time wait for each other, so blocks of consecutive ones are drawn, not single ones (circular
    block bootstrap, Politis and Romano 1992; blocks of sqrt(n)). Both sides keep the same blocks: they are paired.
    """
    n = len(sim)
    length = max(round(n**0.5), 1)
    rng = np.random.default_rng(0)
    starts = rng.integers(0, n, (RESAMPLES, -(-n // length)))

    def sums(values: Floats) -> Floats:
        cumulated = np.concatenate([[0.0], np.concatenate([values, values[:length]]).cumsum()])
        total: Floats = (cumulated[starts + length] - cumulated[starts]).sum(axis=1)
        return total

    errors = sums(sim) / sums(real) - 1
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(errors, [tail, 100 - tail])
    return float(low), float(high)


def _rates(one: Replication, real: RealRun, both: Mask) -> dict[str, Statistic]:
    def span(side: Replication | RealRun) -> float:
        return float(side.last_token_ns[both].max() - side.sent_ns[both].min()) / NS_PER_S

    spans = span(one), span(real)
    tokens = int(one.requests.output_tokens[both].sum(dtype=np.int64))
    return {
        "duration_s": Statistic(*spans),
        "request_throughput": Statistic(*(int(both.sum()) / duration for duration in spans)),
        "output_throughput": Statistic(*(tokens / duration for duration in spans)),
    }
