"""What failures, refusals and impatience did to requests, and the work that was lost to them.

All but the failures leave out the warm-up, as latencies do.
"""

from typing import Any

import numpy as np

from sim.metrics import UNANSWERED, Mask
from sim.report.incidents import failures
from sim.report.measure import ratio
from sim.result import FAILURES, Ending, Measures, Outcome, Replication, Run

FAILURE_KEYS = {cause: f"failures_{cause.name.lower()}" for cause in FAILURES}


def under_fire(run: Run) -> bool:
    """Whether there is anything to tell: tries, changes of the fleet, requests without an answer, or cause for them."""
    scenario: dict[str, Any] = run.scenario
    expected = scenario.get("failures") or scenario["slo"].get("availability") or at_random(run)
    return bool(expected) or any(
        len(one.tries) or (one.timeline.time_ns > 0).any() or np.isin(one.outcome, UNANSWERED).any()
        for one in run.replications
    )


def at_random(run: Run) -> bool:
    """Whether the scenario leaves failures or reclaims to chance (drills happen in every replication)."""
    scenario: dict[str, Any] = run.scenario
    random = any(one["kind"] != "drill" for one in scenario.get("failures", ()))
    return random or any(pool.get("spot") for pool in scenario.get("fleet", ()))


def fleet(run: Run, one: Replication, kept: Mask) -> Measures:
    """Measure one replication.

    availability: share of the requests that were answered, however late, of those that ended. A request that
        max_model_len rejects is its client's fault, one in flight may yet be answered: both count neither way.
    error_budget_used: share that was not answered, over the share that slo.availability leaves; above 1 it is spent.
    lost_tries: tries that died with their replica, or whose connection was refused.
    retries: tries after a request's first, hedges included; retried_requests: requests with more than one try.
    re_prefilled_tokens: prompt tokens that such tries computed (again), without what they found cached.
    wasted_tokens: tokens, prompt and output, of tries that ended without an answer; wasted_share: of all computed.
    failures_crash, _hang, _gpu, _node, _zone, _spot: how often, see sim/report/incidents.py.

    Args:
        run: for the scenario.
        one: the replication (or draw) of it.
        kept: bool[n], the requests to count.
    """
    counts = np.bincount(one.outcome[kept], minlength=len(Outcome))
    answered, unanswered = int(counts[Outcome.FINISHED]), int(counts[list(UNANSWERED)].sum())
    out: Measures = {"availability": ratio(answered, answered + unanswered)}
    slo: Any = run.scenario["slo"]
    if slo.get("availability"):
        out["error_budget_used"] = ratio(ratio(unanswered, answered + unanswered), 1 - slo["availability"] / 100)
    out |= _work(one, kept)
    return out | {FAILURE_KEYS[cause]: count for cause, count in failures(one.timeline).items()}


def _work(one: Replication, kept: Mask) -> Measures:
    tries = one.tries
    ours = kept[tries.request]
    later = ours.copy()
    later[np.unique(tries.request, return_index=True)[1]] = False  # tries are in the order of sending
    outputs = np.maximum(tries.produced.astype(np.int64) - 1, 0)  # the last one is not computed on
    ended = ours & (tries.ending != Ending.OPEN)
    wasted = int(tries.tokens[ended & (tries.ending != Ending.ANSWERED)].sum())
    return {
        "lost_tries": int(np.count_nonzero(ours & (tries.ending == Ending.LOST))),
        "retries": int(np.count_nonzero(later)),
        "retried_requests": len(np.unique(tries.request[later])),
        "re_prefilled_tokens": int(np.maximum(tries.tokens - outputs, 0)[later].sum()),
        "wasted_tokens": wasted,
        "wasted_share": (ratio(wasted, int(tries.tokens[ours].sum())) or 0.0),
    }
