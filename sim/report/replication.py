"""One replication measured as a whole, by request class and by pool: at the best estimate and for every draw alike."""

from itertools import groupby
from typing import Any

import numpy as np

from sim import metrics
from sim.metrics import Mask
from sim.report import measure
from sim.report.cost import cost, pool_costs
from sim.report.fleet import fleet, under_fire
from sim.report.measure import PERCENTILES, ratio
from sim.report.objective import Objective, objectives
from sim.result import Measured, Measures, Outcome, Replication, Run
from sim.stats import Truncation, mser5


def warm_up(run: Run, one: Replication) -> Truncation | None:
    """Cut in nanoseconds: keep requests sent from `keep_from` on; None unless the run's state is `steady`."""
    if run.scenario["run"]["state"] != "steady":  # type: ignore[index]
        return None
    rows = metrics.finished(one)
    rows = rows[np.argsort(one.sent_ns[rows], kind="stable")]
    cut = mser5(metrics.e2el(one, rows))
    return Truncation(int(one.sent_ns[rows[cut.keep_from]]) if cut.keep_from else 0, cut.converged)


def measured(run: Run, one: Replication, cut: Truncation | None) -> Measured:
    """Measure one replication (or draw) of a run without its warm-up."""
    aims = objectives(run)
    since = cut.keep_from if cut else 0
    kept = (one.sent_ns >= since) | (one.outcome == Outcome.NOT_SENT)
    by_class = [_class(one, kept, i, since, aim, alone=len(aims) == 1) for i, aim in enumerate(aims)]
    # Without limits a finished request is good by definition: then there is no goodput, as in vLLM bench.
    good = sum(part["good"] or 0.0 for part in by_class) if any(aim.limits_ms for aim in aims) else None
    return Measured(_whole(run, one, kept, since, good), tuple(by_class), tuple(_pools(run, one)))


def _whole(run: Run, one: Replication, kept: Mask, since: int, good: float | None) -> Measures:
    whole = measure.traffic(one, kept, since, PERCENTILES)
    whole |= measure.inter_token(one, PERCENTILES)
    whole |= measure.peaks(one, np.flatnonzero(kept & (one.outcome == Outcome.FINISHED)))
    everywhere = np.ones(len(run.replicas), np.bool_)
    whole |= measure.hardware(one, run.replicas, everywhere) | measure.memory(one, run.replicas, everywhere)
    whole |= {
        "request_goodput": ratio(good, whole["duration"]),
        "waiting_share": measure.waiting_share(one),
        "kv_cache_usage_peak": float(one.gauges.kv_cache_usage.max(initial=0.0)),
        "preempted_requests": int(np.count_nonzero(one.preemptions)),
        "warm_up_requests": int(np.count_nonzero(~kept)),
    }
    whole |= cost(one, run, whole)
    return whole | (fleet(run, one, kept) if under_fire(run) else {})


def _class(one: Replication, kept: Mask, index: int, since: int, aim: Objective, *, alone: bool) -> Measures:
    chosen = kept if alone else kept & (one.requests.klass == index)
    percentiles = sorted({*PERCENTILES, aim.percentile})
    good, shares = measure.objective(one, chosen, aim.limits_ms)
    return measure.traffic(one, chosen, since, percentiles) | {"good": good} | shares


def _pools(run: Run, one: Replication) -> list[Measures]:
    names = np.array([info.pool for info in run.replicas])
    scenario: dict[str, Any] = run.scenario
    costs = {pool["pool"]: found for pool, found in zip(scenario["fleet"], pool_costs(one, run), strict=True)}
    return [measure.hardware(one, run.replicas, names == name) | costs[name] for name, _ in groupby(names.tolist())]
