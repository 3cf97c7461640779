"""The worst requests of a replication, and where their time went."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim import metrics
from sim.report.objective import Objective
from sim.result import Replication
from sim.stats import Floats
from sim.units import NS_PER_MS, NS_PER_S

MOST = 50
PARTS = ("retried", "front end", "queue", "prefill", "decode")
"""In their order. A request with several tries spends the time before its last one in "retried"; a preemption's time
is part of prefill before the first token, of decode after it, as vLLM counts it."""


@dataclass(frozen=True, slots=True)
class Worst:
    """An answered request."""

    request: int
    klass: str
    """Its class; "" where there is but one."""
    sent_s: float
    parts_ms: tuple[float, ...]
    """As PARTS."""
    over: float | None
    """Its latency over the limit that it is worst in; None without an SLO."""
    tries: int
    preemptions: int
    readmitted_ms: float | None
    """Since sending, when it was last admitted again after a preemption."""
    prompt_tokens: int
    output_tokens: int


def worst(one: Replication, aims: Sequence[Objective], most: int = MOST) -> tuple[Worst, ...]:
    """Find the answered requests that are furthest beyond their SLO, without one the slowest; the worst first."""
    rows = metrics.finished(one)
    outputs = metrics.answer_tokens(one)
    over = _over(one, rows, aims)
    known = any(aim.limits_ms for aim in aims)
    order = np.lexsort((-metrics.e2el(one, rows), -over))[:most]
    tries = np.bincount(one.tries.request, minlength=len(one.requests)) if len(one.tries) else None
    names = one.requests.classes if len(aims) > 1 else ("",) * max(len(one.requests.classes), 1)
    found = []
    for place, i in zip(order.tolist(), rows[order].tolist(), strict=True):
        sent, preempted = int(one.sent_ns[i]), int(one.preemptions[i])
        times = [sent, one.queued_ns[i], one.first_scheduled_ns[i], one.first_token_ns[i], one.last_token_ns[i]]
        before, *inside = (float(step / NS_PER_MS) for step in np.diff(times))
        sent_to = int(tries[i]) if tries is not None else 1
        found.append(
            Worst(
                request=i,
                klass=names[int(one.requests.klass[i])],
                sent_s=sent / NS_PER_S,
                parts_ms=(before, 0.0, *inside) if sent_to > 1 else (0.0, before, *inside),
                over=float(over[place]) if known else None,
                tries=sent_to,
                preemptions=preempted,
                readmitted_ms=(int(one.last_scheduled_ns[i]) - sent) / NS_PER_MS if preempted else None,
                prompt_tokens=int(one.requests.prompt_tokens[i]),
                output_tokens=int(outputs[i]),
            )
        )
    return tuple(found)


def _over(one: Replication, rows: metrics.Rows, aims: Sequence[Objective]) -> Floats:
    """Each request's latency over its limit, in the metric where that is largest; 0 without limits."""
    found = np.zeros(len(rows))
    single = metrics.answer_tokens(one)[rows] == 1  # these have no TPOT
    for index, aim in enumerate(aims):
        mine = (one.requests.klass[rows] == index) if len(aims) > 1 else np.ones(len(rows), np.bool_)
        for metric, limit in aim.limits_ms.items():
            chosen = np.flatnonzero(mine & ~single) if metric == "tpot" else np.flatnonzero(mine)
            found[chosen] = np.maximum(found[chosen], metrics.LATENCIES[metric](one, rows[chosen]) / limit)
    return found
