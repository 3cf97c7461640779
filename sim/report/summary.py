"""The summary of a run: every number averaged over the replications, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

import numpy as np

from sim import metrics
from sim.metrics import Mask
from sim.report import measure
from sim.report.bottleneck import bottleneck
from sim.report.measure import PERCENTILES, Measures, ratio
from sim.report.objective import Objective, objectives
from sim.report.warnings import warnings
from sim.result import Outcome, Replication, Run
from sim.stats import Interval, Truncation, mser5, t_interval

Values = Mapping[str, Interval]


class Verdict(StrEnum):
    """Whether the share of good requests reaches what the SLO asks for."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    """The interval contains the required share."""


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """One request class; `values` has the keys of `Summary.values` that can be told by class."""

    name: str
    values: Values
    slo_ms: Mapping[str, float]
    """Limits by metric: ttft, tpot, e2el, ttfat; empty without an SLO."""
    percentile: float
    """At least this percentage of the requests must be good."""
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """The replicas of one pool; utilisation and queueing keys of `Summary.values`."""

    pool: str
    model: str
    gpu: str
    replicas: int
    gpus: int
    """Of all its replicas."""
    step_time_label: str
    values: Values


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers. Keys of `values` are vLLM bench's where it has the number (see sim/report/measure.py)."""

    name: str
    model: str
    seed: int
    replications: int
    state: str
    values: Values
    classes: tuple[ClassSummary, ...]
    pools: tuple[PoolSummary, ...]
    usd_per_hour: float | None
    """Of the fleet; None if some pool has no price."""
    verdict: Verdict | None
    """Missed if any class misses, else undecided if any is, else met; None without an SLO."""
    bottleneck: str
    warnings: tuple[str, ...]

    def __getitem__(self, key: str) -> Interval:
        """Return one of `values`."""
        return self.values[key]

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON data; what is unknown is null."""
        return asdict(self)


def summarise(run: Run) -> Summary:
    """Summarise a run.

    Latencies, rates and counts rest on all requests (`state: terminating`) or on those sent after the warm-up
    (`state: steady`), which MSER-5 finds in the series of end-to-end latencies in the order of sending. ITL,
    utilisation, queueing and KV use cannot be told apart by request and always cover the whole run. Each number is
    computed in each replication, then averaged with a t interval; percentiles are never pooled.
    """
    settings: dict[str, Any] = run.scenario["run"]  # type: ignore[assignment]
    aims = objectives(run)
    usd_per_hour = _usd_per_hour(run)
    steady = settings["state"] == "steady"
    cuts = [_warm_up(one) if steady else None for one in run.replications]
    measured = [_measure(run, one, cut, aims, usd_per_hour) for one, cut in zip(run.replications, cuts, strict=True)]
    values = _join([whole for whole, _ in measured])
    classes = tuple(_class_summary(aim, _join([by_class[i] for _, by_class in measured])) for i, aim in enumerate(aims))
    pools = _pools(run)
    truncated = [cut for cut in cuts if cut is not None]
    return Summary(
        name=str(run.scenario["name"]),
        model=str(run.scenario["model"]),
        seed=int(settings["seed"]),
        replications=len(run.replications),
        state=str(settings["state"]),
        values=values,
        classes=classes,
        pools=pools,
        usd_per_hour=usd_per_hour,
        verdict=_overall([one.verdict for one in classes]),
        bottleneck=bottleneck(values, {one.name: one.values for one in classes if one.slo_ms}),
        warnings=warnings(run, values, [cut.converged for cut in truncated]),
    )


def _warm_up(one: Replication) -> Truncation:
    """Cut in nanoseconds: keep requests sent from `keep_from` on."""
    rows = metrics.finished(one)
    rows = rows[np.argsort(one.sent_ns[rows], kind="stable")]
    cut = mser5(metrics.e2el(one, rows))
    return Truncation(int(one.sent_ns[rows[cut.keep_from]]) if cut.keep_from else 0, cut.converged)


def _measure(
    run: Run, one: Replication, cut: Truncation | None, aims: Sequence[Objective], usd_per_hour: float | None
) -> tuple[Measures, list[Measures]]:
    """Measure the whole traffic and each class of it."""
    since = cut.keep_from if cut else 0
    kept = (one.sent_ns >= since) | (one.outcome == Outcome.NOT_SENT)
    whole = measure.traffic(one, kept, since, PERCENTILES)
    by_class = [_measure_class(one, kept, i, since, aim, alone=len(aims) == 1) for i, aim in enumerate(aims)]
    # Without limits a finished request is good by definition: then there is no goodput, as in vLLM bench.
    good = [part["good"] or 0.0 for part, aim in zip(by_class, aims, strict=True)]
    has_slo = any(aim.limits_ms for aim in aims)
    goodput = ratio(sum(good), whole["duration"]) if has_slo else None
    everyone = np.ones(len(run.replicas), np.bool_)
    whole |= measure.inter_token(one, PERCENTILES)
    whole |= measure.peaks(one, np.flatnonzero(kept & (one.outcome == Outcome.FINISHED)))
    whole |= measure.hardware(one, run.replicas, everyone)
    whole |= {
        "request_goodput": goodput,
        "waiting_share": measure.waiting_share(one),
        "kv_cache_usage_peak": float(one.gauges.kv_cache_usage.max(initial=0.0)),
        "preempted_requests": int(np.count_nonzero(one.preemptions)),
        "warm_up_requests": int(np.count_nonzero(~kept)),
        "usd_per_1m_output_tokens": _unit_cost(usd_per_hour, whole["output_throughput"], 1e6),
        "usd_per_1m_total_tokens": _unit_cost(usd_per_hour, whole["total_token_throughput"], 1e6),
        "usd_per_1k_good_requests": _unit_cost(usd_per_hour, goodput, 1e3),
    }
    return whole, by_class


def _measure_class(one: Replication, kept: Mask, index: int, since: int, aim: Objective, *, alone: bool) -> Measures:
    chosen = kept if alone else kept & (one.requests.klass == index)
    percentiles = sorted({*PERCENTILES, aim.percentile})
    good, shares = measure.objective(one, chosen, aim.limits_ms)
    return measure.traffic(one, chosen, since, percentiles) | {"good": good} | shares


def _usd_per_hour(run: Run) -> float | None:
    total = 0.0
    for info in run.replicas:
        if info.usd_per_gpu_hour is None:
            return None
        total += info.gpus * info.usd_per_gpu_hour
    return total


def _unit_cost(usd_per_hour: float | None, per_second: float | None, unit: float) -> float | None:
    """USD for `unit` tokens or requests at a rate a second."""
    if usd_per_hour is None:
        return None
    return ratio(usd_per_hour * unit, per_second * 3600 if per_second else None)


def _join(replications: Sequence[Measures]) -> Values:
    keys = {key: None for one in replications for key in one}  # a metric may lack in some: no reasoning was drawn
    return {key: t_interval(one.get(key) for one in replications) for key in keys}


def _class_summary(aim: Objective, values: Values) -> ClassSummary:
    verdict = _verdict(values["good_share"], aim.percentile / 100) if aim.limits_ms else None
    return ClassSummary(aim.name, values, aim.limits_ms, aim.percentile, verdict)


def _verdict(share: Interval, required: float) -> Verdict:
    """Judge the share by its interval; by its value where one replication has given no interval."""
    if share.mean is None:
        return Verdict.UNDECIDED
    low = share.mean if share.low is None else share.low
    high = share.mean if share.high is None else share.high
    if low >= required:
        return Verdict.MET
    return Verdict.MISSED if high < required else Verdict.UNDECIDED


def _overall(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    return next((one for one in (Verdict.MISSED, Verdict.UNDECIDED, Verdict.MET) if one in verdicts), None)


def _pools(run: Run) -> tuple[PoolSummary, ...]:
    names = [info.pool for info in run.replicas]
    pools = []
    for name, members in groupby(run.replicas, key=lambda info: info.pool):
        infos = list(members)
        chosen = np.array([other == name for other in names])
        values = _join([measure.hardware(one, run.replicas, chosen) for one in run.replications])
        first = infos[0]
        gpus = sum(info.gpus for info in infos)
        pools.append(PoolSummary(name, first.model, first.gpu, len(infos), gpus, first.step_time_label, values))
    return tuple(pools)
