"""Runs made by hand for the tests of reports: no simulator, every number chosen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.request import Requests
from sim.result import (
    COUNTERS,
    Cause,
    Ending,
    Gauges,
    Leases,
    Outcome,
    ReplicaInfo,
    Replication,
    Run,
    State,
    Timeline,
    Tries,
)
from sim.scenario.fleet import Pool

MS = 1_000_000
S = 1_000_000_000

REPLICA = ReplicaInfo(
    pool="base",
    model="deepseek-llm-67b",
    gpu="h100-sxm-80gb",
    gpus=4,
    usd_per_gpu_hour=2.5,
    block_size=16,
    num_gpu_blocks=1001,
    peak_flops=1e15,
    hbm_bytes_per_s=1e13,
    step_time_label="roofline only",
)


def requests(prompt, output, sent, *, klass=None, classes=("all",), reasoning=0, segments=None, concurrency=None):
    n = len(prompt)
    chains = segments or [[] for _ in range(n)]
    flat = [part for chain in chains for part in chain]
    return Requests(
        arrival_ns=np.asarray(sent, np.int64),
        prompt_tokens=np.asarray(prompt, np.int32),
        output_tokens=np.asarray(output, np.int32),
        max_tokens=np.asarray(output, np.int32),
        klass=np.zeros(n, np.int16) if klass is None else np.asarray(klass, np.int16),
        reasoning_tokens=np.full(n, reasoning, np.int32),
        own_stream=np.arange(n, dtype=np.int64),
        after=np.full(n, -1, np.int32),
        segment_offset=np.cumsum([0, *map(len, chains)]).astype(np.int64),
        segment_stream=np.array([stream for stream, _ in flat], np.int64),
        segment_end=np.array([end for _, end in flat], np.int32),
        classes=classes,
        concurrency=concurrency,
    )


def replication(drawn: Requests, sent, scheduled, first, last, *, outcome=None, end=None, counters=None) -> Replication:
    """Times in ns; the gaps of a request are equal (the last one takes the rest)."""
    n = len(drawn)
    sent, scheduled, first, last = (np.asarray(t, np.int64) for t in (sent, scheduled, first, last))
    outcome = np.full(n, Outcome.FINISHED, np.int8) if outcome is None else np.asarray(outcome, np.int8)
    gaps = []
    for i in np.flatnonzero(outcome == Outcome.FINISHED):
        edges = np.linspace(first[i], last[i], drawn.output_tokens[i]).astype(np.int64)
        gaps.append(np.diff(edges))
    itl, count = np.unique(np.concatenate([np.zeros(0, np.int64), *gaps]), return_counts=True)
    row = np.zeros(1, COUNTERS)
    for name, value in (counters or {}).items():
        row[name] = value
    end = int(last.max()) if end is None else end
    row["ready_ns"] = end
    inside = outcome <= Outcome.FINISHED
    row["system_ns"] = (np.where(outcome == Outcome.FINISHED, last, end) - sent)[inside].sum(dtype=np.float64)
    return Replication(
        requests=drawn,
        outcome=outcome,
        sent_ns=sent,
        queued_ns=np.where(inside, sent, -1),
        first_scheduled_ns=scheduled,
        last_scheduled_ns=scheduled,
        first_token_ns=first,
        answer_token_ns=first,
        last_token_ns=last,
        cached_tokens=np.zeros(n, np.int32),
        preemptions=np.zeros(n, np.int32),
        replica=np.where(inside, 0, -1).astype(np.int32),
        itl_ns=itl,
        itl_count=count,
        counters=row,
        gauges=Gauges(
            time_ns=np.array([0, S], np.int64),
            running=np.array([0, 1], np.int32),
            waiting=np.array([0, 0], np.int32),
            kv_cache_usage=np.array([0.0, 0.5]),
            ready=np.array([1, 1], np.int32),
        ),
        ended_ns=np.where(outcome == Outcome.FINISHED, last, -1),
        tries=tries([]),
        timeline=timeline([]),
        leases=leases([(0, 0, 0, 4, 0, end)]),
        end_ns=end,
    )


def tries(rows) -> Tries:
    """Rows: request, sent_ns, queued_ns, left_ns, replica, ending, tokens, produced, cached_tokens."""
    return Tries(*_columns(rows, "iqqqibqii"))


def timeline(rows) -> Timeline:
    """Rows: time_ns, replica, node, state, cause."""
    return Timeline(*_columns(rows, "qiibb"))


def leases(rows) -> Leases:
    """Rows: node, pool, zone, gpus, start_ns, end_ns."""
    return Leases(*_columns(rows, "iiiiqq"))


def _columns(rows, kinds):
    return [np.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds)]


def under_fire() -> Replication:
    """Two replicas, 10 s, one request of every outcome; the first replica dies with its node after 3 s."""
    outcome = [
        Outcome.FINISHED,
        Outcome.FINISHED,  # at its second try
        Outcome.FAILED,
        Outcome.SHED,
        Outcome.TIMED_OUT,
        Outcome.IN_FLIGHT,
        Outcome.REJECTED,
        Outcome.NOT_SENT,
    ]
    sent = np.array([0, 0, 1, 2, 4, 9, 1, -1])
    one = replication(
        requests([100] * 8, [11] * 8, np.maximum(sent, 0) * S),
        sent=np.where(sent >= 0, sent * S, -1),
        scheduled=_seconds([1, 5, 1, -1, 4, 9, -1, -1]),
        first=_seconds([2, 6, -1, -1, 6, 9.5, -1, -1]),
        last=_seconds([4, 8, -1, -1, 9, 9.6, -1, -1]),
        outcome=outcome,
        end=10 * S,
    )
    counters = np.concatenate([one.counters, one.counters])
    counters["ready_ns"], counters["system_ns"] = [3 * S, 10 * S], [9 * S, 9 * S]
    each = [  # request, sent, queued, left, replica, ending, tokens, produced, cached
        (0, 0, 0, 4, 1, Ending.ANSWERED, 110, 11, 0),
        (1, 0, 0, 3, 0, Ending.LOST, 103, 4, 0),
        (2, 1, 1, 3, 0, Ending.LOST, 60, 0, 0),
        (6, 1, -1, -1, -1, Ending.REJECTED, 0, 0, 0),
        (3, 2, -1, -1, -1, Ending.SHED, 0, 0, 0),
        (4, 4, 4, 9, 1, Ending.ABANDONED, 110, 11, 0),
        (1, 5, 5, 8, 1, Ending.ANSWERED, 78, 11, 32),
        (5, 9, 9, -1, 1, Ending.OPEN, 101, 2, 0),
    ]
    return replace(
        one,
        queued_ns=_seconds([0, 5, 1, -1, 4, 9, -1, -1]),
        replica=np.array([1, 1, 0, -1, 1, 1, -1, -1], np.int32),
        ended_ns=_seconds([4, 8, 3, 2, 7, -1, -1, -1]),
        itl_ns=np.array([200 * MS, 100 * MS]),
        itl_count=np.array([30, 4]),
        counters=counters,
        tries=tries([(row[0], *(t * S if t >= 0 else -1 for t in row[1:4]), *row[4:]) for row in each]),
        timeline=timeline(
            [
                (0, 0, 0, State.READY, Cause.PLAN),
                (0, 1, 1, State.READY, Cause.PLAN),
                (3 * S, 0, 0, State.DEAD, Cause.NODE),
            ]
        ),
        leases=leases([(0, 0, 0, 4, 0, 3 * S), (1, 0, 0, 4, 0, 10 * S)]),
    )


def _seconds(times):
    return np.array([round(t * S) if t >= 0 else -1 for t in times], np.int64)


def random_replication(seed: int, n: int = 200, **kwargs) -> Replication:
    """Independent latencies; nothing queues for anything."""
    rng = np.random.default_rng(seed)
    sent = np.sort(rng.integers(0, n * S // 5, n))
    scheduled = sent + rng.integers(0, 300 * MS, n)
    first = scheduled + rng.integers(10 * MS, 500 * MS, n)
    output = rng.integers(1, 60, n)
    last = first + (output - 1) * rng.integers(5 * MS, 60 * MS, n)
    kwargs.setdefault("counters", COUNTS)
    return replication(requests(rng.integers(1, 500, n), output, sent), sent, scheduled, first, last, **kwargs)


COUNTS = {
    "steps": 1000,
    "busy_ns": 20 * S,
    "device_fs": 16e15,
    "comm_fs": 4e15,
    "flops": 2e15,
    "bytes": 1e14,
    "prefill_tokens": 40_000,
    "decode_tokens": 6_000,
    "sampled": 6_200,
    "preemptions": 3,
    "prefix_queries": 50_000,
    "prefix_hits": 5_000,
    "peak_running": 17,
    "block_ns": 400.0 * 40 * S,
    "waiting_ns": 30.0 * S,
    "waiting_seats_ns": 3.0 * S,
    "waiting_blocks_ns": 21.3 * S,
    "waiting_budget_ns": 2.7 * S,
}


def run(
    replications: Sequence[Replication],
    *,
    slo=None,
    state="terminating",
    classes=(),
    arrivals=None,
    replicas=None,
    **scenario,
) -> Run:
    """`replicas`: default so many of REPLICA as the first replication has; `scenario`: more of its blocks."""
    workload = {"kind": "synthetic", "arrivals": arrivals or {"kind": "poisson", "request_rate": 5.0}}
    replicas = replicas or (REPLICA,) * len(replications[0].counters)
    return Run(
        scenario={
            "name": "by-hand",
            "model": "deepseek-llm-67b",
            "workload": workload | {"classes": list(classes)},
            "fleet": [_pool(info, count).model_dump(mode="json") for info, count in Counter(replicas).items()],
            "slo": slo or {},
            "run": {"seed": 7, "replications": len(replications), "state": state},
            **scenario,
        },
        provenance={"date": "20260101-000000", "scenario_sha256": "0123456789abcdef"},
        replicas=tuple(replicas),
        replications=tuple(replications),
    )


def _pool(info: ReplicaInfo, count: int) -> Pool:
    return Pool(
        pool=info.pool,
        gpu=info.gpu,
        tensor_parallel_size=info.gpus,
        replicas=count,
        usd_per_gpu_hour=info.usd_per_gpu_hour,
    )
