"""One replication through time, as vLLM's Grafana dashboard shows a server: its panels, titles and order.

After examples/online_serving/prometheus_grafana/grafana.json (vLLM 0.11). As Prometheus counts them, a request's TTFT
belongs to the bin of its first token, its other latencies to that of its last. Latencies, tokens and lengths are those
of answered requests; TTFT and E2E latency start when the client sends. Inter-token latencies are not kept by time, so
the third panel shows time per output token, a mean of each request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sim import metrics
from sim.report.objective import Objective
from sim.request import Int64s
from sim.result import Outcome, Replication
from sim.stats import Floats
from sim.units import NS_PER_S

PERCENTILES = (50, 90, 95, 99)
SECONDS_FROM_MS = 10_000
"""Latencies that reach this are told in seconds."""

_WIDTHS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_LEAST_BINS, _MOST_BINS, _A_BIN = 12, 120, 20
"""Bins, and answered requests that one should have on average, for its percentiles to mean something."""

Column = tuple[float | None, ...]
"""A number in each bin; None where there is none."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Bin i holds [i, i + 1) x width_ns; the last one ends with the run or later."""

    width_ns: int
    size: int

    @property
    def width_s(self) -> float:
        """Width in seconds."""
        return self.width_ns / NS_PER_S

    @property
    def middles_s(self) -> tuple[float, ...]:
        """Where a bin's numbers are drawn."""
        return tuple((i + 0.5) * self.width_s for i in range(self.size))

    def of(self, at_ns: Int64s) -> NDArray[np.intp]:
        """The bin of each instant of the run."""
        return np.minimum(at_ns // self.width_ns, self.size - 1).astype(np.intp)


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over the bins, in one unit."""

    title: str
    unit: str
    lines: tuple[tuple[str, Column], ...]
    """By name."""
    log: bool = False
    limit: float | None = None
    """Of the SLO, where all classes have the same."""


def cut(one: Replication) -> Bins:
    """Choose bins: the least round width that leaves at most 120, fewer where few requests were answered."""
    answered = int(np.count_nonzero(one.outcome == Outcome.FINISHED))
    most = int(np.clip(answered // _A_BIN, _LEAST_BINS, _MOST_BINS))
    end = max(one.end_ns, 1)
    days = -(-end // (most * _WIDTHS_S[-1] * NS_PER_S))
    widths = [width * NS_PER_S for width in (*_WIDTHS_S, days * _WIDTHS_S[-1])]
    width = next(width for width in widths if -(-end // width) <= most)
    return Bins(width, -(-end // width))


def panels(one: Replication, bins: Bins, aims: Sequence[Objective]) -> tuple[Panel, ...]:
    """Compute all panels.

    Args:
        one: the replication.
        bins: of its time.
        aims: the SLO of each class.
    """
    rows = metrics.finished(one)
    outputs = metrics.answer_tokens(one)
    many = rows[outputs[rows] > 1]
    last, first, there = one.last_token_ns[rows], one.first_token_ns[rows], one.requests
    ends, begins = bins.of(last), bins.of(first)
    return (
        _latency("E2E Request Latency", metrics.e2el(one, rows), ends, bins, _limit(aims, "e2el")),
        Panel("Token Throughput", "tokens/s", tuple(_tokens(one, rows, outputs[rows], bins))),
        _latency(
            "Time Per Output Token Latency",
            metrics.tpot(one, rows),
            bins.of(one.last_token_ns[many]),
            bins,
            _limit(aims, "tpot"),
        ),
        _scheduler(one, bins),
        _latency("Time To First Token Latency", metrics.ttft(one, rows), begins, bins, _limit(aims, "ttft")),
        _cache(one, bins),
        Panel("Request Prompt Length", "tokens", _percentiles(there.prompt_tokens[rows], ends, bins)),
        Panel("Request Generation Length", "tokens", _percentiles(outputs[rows], ends, bins)),
        Panel("Finish Reason", "requests/s", tuple(_reasons(one, outputs, bins))),
        _latency("Queue Time", metrics.queue(one, rows), ends, bins, None, log=False),
        _phases(one, rows, ends, bins),
    )


def _limit(aims: Sequence[Objective], metric: str) -> float | None:
    limits = {aim.limits_ms.get(metric) for aim in aims}
    return limits.pop() if len(limits) == 1 else None


def _latency(
    title: str, values_ms: Floats, at: NDArray[np.intp], bins: Bins, limit_ms: float | None, *, log: bool = True
) -> Panel:
    unit, factor = _unit(values_ms)
    limit = None if limit_ms is None else limit_ms * factor
    return Panel(title, unit, _percentiles(values_ms * factor, at, bins), log, limit)


def _unit(values_ms: Floats) -> tuple[str, float]:
    return ("s", 1e-3) if values_ms.max(initial=0.0) >= SECONDS_FROM_MS else ("ms", 1.0)


def _percentiles(
    values: NDArray[np.floating] | NDArray[np.integer], at: NDArray[np.intp], bins: Bins
) -> tuple[tuple[str, Column], ...]:
    """The percentiles of the values in each bin, as numpy.percentile has them."""
    order = np.argsort(at, kind="stable")
    edges = np.searchsorted(at[order], np.arange(bins.size + 1))
    found = np.full((bins.size, len(PERCENTILES)), np.nan)
    for i, (start, end) in enumerate(pairwise(edges)):
        if end > start:
            found[i] = np.percentile(values[order[start:end]], PERCENTILES)
    return tuple((f"P{p}", column(found[:, i])) for i, p in enumerate(PERCENTILES))


def column(values: Floats) -> Column:
    """Numbers to six digits, for a chart; NaN is None."""
    return tuple(None if np.isnan(one) else float(f"{one:.6g}") for one in values)


def _tokens(
    one: Replication, rows: metrics.Rows, outputs: NDArray[np.int32], bins: Bins
) -> Iterator[tuple[str, Column]]:
    """Prompts at their first token, as vLLM counts them; an answer's tokens spread evenly from first to last."""
    first, last = one.first_token_ns[rows], one.last_token_ns[rows]
    spread = last > first
    start, end = first[spread] / NS_PER_S, last[spread] / NS_PER_S
    rate: Floats = (outputs[spread] - 1) / (end - start)
    edges = np.arange(bins.size + 1, dtype=np.float64) * bins.width_s
    prompts = np.bincount(bins.of(first), one.requests.prompt_tokens[rows], bins.size)
    at_once = np.bincount(bins.of(first), np.where(spread, 1, outputs), bins.size)
    answers = at_once + np.diff(_ramp(start, rate, edges) - _ramp(end, rate, edges))
    yield "prompt", column(prompts / bins.width_s)
    yield "generation", column(np.maximum(answers, 0.0) / bins.width_s)


def _ramp(since: Floats, rate: Floats, at: Floats) -> Floats:
    """What flows that begin at `since` have brought by each time: sum of rate x (at - since)."""
    order = np.argsort(since)
    rates, offsets = (np.concatenate([[0.0], each[order].cumsum()]) for each in (rate, rate * since))
    begun = np.searchsorted(since[order], at, side="right")
    flown: Floats = rates[begun] * at - offsets[begun]
    return flown


def _scheduler(one: Replication, bins: Bins) -> Panel:
    gauges = one.gauges
    lines = (
        ("running", _mean(gauges.running, bins.of(gauges.time_ns), bins)),
        ("waiting", _mean(gauges.waiting, bins.of(gauges.time_ns), bins)),
        ("waiting, most", _most(gauges.waiting, bins.of(gauges.time_ns), bins)),
    )
    return Panel("Scheduler State", "requests", lines)


def _cache(one: Replication, bins: Bins) -> Panel:
    at, used = bins.of(one.gauges.time_ns), 100 * one.gauges.kv_cache_usage
    return Panel(
        "Cache Utilization", "% of KV blocks", (("mean", _mean(used, at, bins)), ("most", _most(used, at, bins)))
    )


def _mean(values: NDArray[np.number], at: NDArray[np.intp], bins: Bins) -> Column:
    counts = np.bincount(at, minlength=bins.size)
    with np.errstate(invalid="ignore"):  # a bin without any is NaN
        return column(np.bincount(at, values, bins.size) / counts)


def _most(values: NDArray[np.number], at: NDArray[np.intp], bins: Bins) -> Column:
    found = np.full(bins.size, -np.inf)
    np.maximum.at(found, at, values)
    return column(np.where(np.isinf(found), np.nan, found))


def _reasons(one: Replication, outputs: NDArray[np.int32], bins: Bins) -> Iterator[tuple[str, Column]]:
    """How requests ended; vLLM's reasons, then what only clients know of."""
    done, full = one.outcome == Outcome.FINISHED, outputs >= one.requests.max_tokens
    when = np.where(one.outcome == Outcome.REJECTED, one.sent_ns, one.ended_ns)
    reasons = {
        "stop": done & ~full,
        "length": done & full,
        "timed out": one.outcome == Outcome.TIMED_OUT,
        "lost": one.outcome == Outcome.FAILED,
        "shed": one.outcome == Outcome.SHED,
        "forgotten": one.outcome == Outcome.FORGOTTEN,
        "rejected": one.outcome == Outcome.REJECTED,
    }
    for name, chosen in reasons.items():
        if chosen.any():
            yield name, column(np.bincount(bins.of(when[chosen]), minlength=bins.size) / bins.width_s)


def _phases(one: Replication, rows: metrics.Rows, ends: NDArray[np.intp], bins: Bins) -> Panel:
    parts = {"prefill": metrics.prefill(one, rows), "decode": metrics.decode(one, rows)}
    unit, factor = _unit(np.concatenate(list(parts.values())))
    lines = tuple((f"{name}, mean", _mean(factor * values, ends, bins)) for name, values in parts.items())
    return Panel("Requests Prefill and Decode Time", unit, lines, log=True)
