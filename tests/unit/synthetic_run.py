"""Runs made by hand for the tests of reports: no simulator, every number chosen."""

from collections.abc import Sequence

import numpy as np

from sim.request import Requests
from sim.result import COUNTERS, Gauges, Outcome, ReplicaInfo, Replication, Run

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
            np.array([0, S], np.int64), np.array([0, 1], np.int32), np.array([0, 0], np.int32), np.array([0.0, 0.5])
        ),
        end_ns=end,
    )


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


def run(replications: Sequence[Replication], *, slo=None, state="terminating", classes=(), arrivals=None) -> Run:
    workload = {"kind": "synthetic", "arrivals": arrivals or {"kind": "poisson", "request_rate": 5.0}}
    return Run(
        scenario={
            "name": "by-hand",
            "model": "deepseek-llm-67b",
            "workload": workload | {"classes": list(classes)},
            "slo": slo or {},
            "run": {"seed": 7, "replications": len(replications), "state": state},
        },
        provenance={"date": "20260101-000000", "scenario_sha256": "0123456789abcdef"},
        replicas=(REPLICA,),
        replications=tuple(replications),
    )
