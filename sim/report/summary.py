"""The summary of a run: every number averaged over the replications, with its interval and its calibration's range."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any

import numpy as np

from sim.report.bottleneck import bottleneck
from sim.report.fleet import under_fire
from sim.report.goodput import Goodput, bin_width_ns, bins, goodput
from sim.report.objective import Objective, objectives
from sim.report.recovery import Recovery, minutes_to_recover, patience_ns, recovery
from sim.report.replication import measured, warm_up
from sim.report.warnings import warnings
from sim.result import Measured, Measures, Run
from sim.stats import Interval, next_value, t_interval

Values = Mapping[str, Interval]


class Verdict(StrEnum):
    """Whether the share of good requests reaches what the SLO asks for."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    """The interval, of sampling and calibration together, contains the required share."""


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
    """At the start, as the scenario says."""
    gpus: int
    """Of all these."""
    gpus_per_replica: int
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
    """Of the fleet as it stands in the scenario, at list price; None if some pool has no price."""
    usd_p10_p90: Mapping[str, tuple[float, float]]
    """10th and 90th percentile over the replications, of the keys of `values` in USD; none with one replication."""
    verdict: Verdict | None
    """Missed if any class or the availability misses, else undecided if any is, else met; None without an SLO."""
    bottleneck: str
    warnings: tuple[str, ...]
    draws: int
    """Posterior draws of the calibration that were simulated; 0 without a calibration."""
    availability_verdict: Verdict | None
    """None without slo.availability."""
    goodput: Goodput | None
    """Through time. None, as `recovery`, where nothing failed and nothing was expected to."""
    recovery: Recovery | None

    def __getitem__(self, key: str) -> Interval:
        """Return one of `values`."""
        return self.values[key]

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON data; what is unknown is null. Without draws nothing is said of calibration."""
        return asdict(self, dict_factory=dict if self.draws else _without_draws)


def summarise(run: Run) -> Summary:
    """Summarise a run.

    Latencies, rates and counts rest on all requests (`state: terminating`) or on those sent after the warm-up
    (`state: steady`), which MSER-5 finds in the series of end-to-end latencies in the order of sending. ITL,
    utilisation, queueing and KV use cannot be told apart by request and always cover the whole run. Each number is
    computed in each replication, then averaged with a t interval; percentiles are never pooled.

    How far the calibration leaves a number open is told apart from that: each posterior draw served the requests of
    one replication, and what it gives is compared with that replication at the best estimate, so that the traffic's
    own chance cancels (common random numbers). `next_value` makes a range of the differences.
    """
    settings: dict[str, Any] = run.scenario["run"]  # type: ignore[assignment]
    aims = objectives(run)
    cuts = [warm_up(run, one) for one in run.replications]
    rows = [_parts(measured(run, one, cut)) for one, cut in zip(run.replications, cuts, strict=True)]
    pairs = [(_parts(draw.measured), rows[draw.replication]) for draw in run.draws]
    values, *parts = (
        _join([row[i] for row in rows], [(drawn[i], best[i]) for drawn, best in pairs]) for i in range(len(rows[0]))
    )
    classes = tuple(_class_summary(aim, found) for aim, found in zip(aims, parts[: len(aims)], strict=True))
    available = _availability(run, values)
    through_time, recovered = _through_time(run, aims) if under_fire(run) else (None, None)
    return Summary(
        name=str(run.scenario["name"]),
        model=str(run.scenario["model"]),
        seed=int(settings["seed"]),
        replications=len(run.replications),
        state=str(settings["state"]),
        values=values,
        classes=classes,
        pools=_pools(run, parts[len(aims) :]),
        usd_per_hour=_list_price(run),
        usd_p10_p90=_spread([row[0] for row in rows]),
        verdict=_overall([*(one.verdict for one in classes), available]),
        bottleneck=bottleneck(values, {one.name: one.values for one in classes if one.slo_ms}),
        warnings=warnings(run, values, [cut.converged for cut in cuts if cut is not None]),
        draws=len(run.draws),
        availability_verdict=available,
        goodput=through_time,
        recovery=recovered,
    )


def _parts(one: Measured) -> tuple[Measures, ...]:
    return one.whole, *one.classes, *one.pools


def _join(replications: Sequence[Measures], drawn: Sequence[tuple[Measures, Measures]]) -> Values:
    """Join replications, and (draw, best estimate) of the same replication each."""
    keys = {key: None for one in replications for key in one}  # a metric may lack in some: no reasoning was drawn
    return {key: _interval(key, replications, drawn) for key in keys}


def _interval(key: str, replications: Sequence[Measures], drawn: Sequence[tuple[Measures, Measures]]) -> Interval:
    sampled = t_interval(one.get(key) for one in replications)
    pairs = [(draw.get(key), best.get(key)) for draw, best in drawn]
    moved = next_value([draw - best for draw, best in pairs if draw is not None and best is not None])
    if sampled.mean is None or moved is None:
        return sampled
    return replace(sampled, calibration_low=sampled.mean + moved[0], calibration_high=sampled.mean + moved[1])


def _class_summary(aim: Objective, values: Values) -> ClassSummary:
    verdict = _verdict(values["good_share"], aim.percentile / 100) if aim.limits_ms else None
    return ClassSummary(aim.name, values, aim.limits_ms, aim.percentile, verdict)


def _availability(run: Run, values: Values) -> Verdict | None:
    required: float | None = run.scenario["slo"].get("availability")  # type: ignore[attr-defined]
    return None if required is None else _verdict(values["availability"], required / 100)


def _through_time(run: Run, aims: Sequence[Objective]) -> tuple[Goodput, Recovery]:
    width_ns = bin_width_ns(run.replications)
    sorted_in = [bins(one, aims, width_ns) for one in run.replications]
    scenario: dict[str, Any] = run.scenario
    patience = patience_ns(scenario.get("clients", {}))
    pairs = zip(sorted_in, run.replications, strict=True)
    return goodput(sorted_in), recovery([minutes_to_recover(found, one.timeline, patience) for found, one in pairs])


def _verdict(share: Interval, required: float) -> Verdict:
    """Judge the share by all that leaves it open; by its value where that is unknown (one replication, no draws)."""
    if share.mean is None:
        return Verdict.UNDECIDED
    low, high = share.combined or (share.mean, share.mean)
    if low >= required:
        return Verdict.MET
    return Verdict.MISSED if high < required else Verdict.UNDECIDED


def _overall(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    return next((one for one in (Verdict.MISSED, Verdict.UNDECIDED, Verdict.MET) if one in verdicts), None)


def _pools(run: Run, values: Sequence[Values]) -> tuple[PoolSummary, ...]:
    members = groupby(run.replicas, key=lambda info: info.pool)
    wanted = _wanted(run)
    pools = []
    for (name, group), found in zip(members, values, strict=True):
        one, n = next(group), wanted[name]
        pools.append(PoolSummary(name, one.model, one.gpu, n, n * one.gpus, one.gpus, one.step_time_label, found))
    return tuple(pools)


def _wanted(run: Run) -> Mapping[str, int]:
    """Replicas of each pool at the start; `run.replicas` has places for all that may come."""
    scenario: dict[str, Any] = run.scenario
    return {pool["pool"]: pool["replicas"] for pool in scenario["fleet"]}


def _list_price(run: Run) -> float | None:
    """What the fleet of the scenario costs an hour; None if one of its replicas has no price."""
    prices = {info.pool: (info.gpus, info.usd_per_gpu_hour) for info in run.replicas}
    total = 0.0
    for pool, replicas in _wanted(run).items():
        gpus, usd = prices.get(pool, (0, None))
        if replicas and usd is None:
            return None
        total += replicas * gpus * (usd or 0.0)
    return total


def _spread(replications: Sequence[Measures]) -> Mapping[str, tuple[float, float]]:
    keys = [key for key in replications[0] if key.startswith("usd_") and not key.startswith("usd_share")]
    known = {key: [usd for one in replications if (usd := one[key]) is not None] for key in keys}
    tails = {key: np.percentile(values, (10, 90)) for key, values in known.items() if len(values) > 1}
    return {key: (float(low), float(high)) for key, (low, high) in tails.items()}


def _without_draws(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if key not in {"draws", "calibration_low", "calibration_high"}}
