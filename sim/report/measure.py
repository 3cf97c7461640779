"""Numbers of one replication: a flat dict whose keys are vLLM bench's where vLLM has the number.

Units are in the keys as vLLM writes them: `_ms`, `_throughput` and `_goodput` a second; shares are 0 to 1. A number
that does not exist (the mean of nothing) is None.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sim import metrics
from sim.metrics import Mask, Rows
from sim.result import Measures, Outcome, ReplicaInfo, Replication
from sim.stats import Floats, WeightedValues
from sim.units import FS_PER_NS, NS_PER_MS, NS_PER_S

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)

WITHOUT_ANSWER = {
    Outcome.REJECTED: "rejected_requests",
    Outcome.FAILED: "lost_requests",
    Outcome.SHED: "shed_requests",
    Outcome.TIMED_OUT: "timed_out_requests",
}
"""Requests that ended without an answer, by outcome: vLLM bench's `failed` is their sum."""


def without_answer(one: Replication) -> Mapping[Outcome, str]:
    """The same, with what engines that pad may forget."""
    return WITHOUT_ANSWER if one.padding is None else WITHOUT_ANSWER | {Outcome.FORGOTTEN: "forgotten_requests"}


def percentile_key(percentile: float, metric: str) -> str:
    """Name a percentile as vLLM bench does: p99_ttft_ms, p99.9_ttft_ms (serve.py:1389)."""
    word = str(int(percentile)) if int(percentile) == percentile else str(percentile)
    return f"p{word}_{metric}_ms"


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return part / whole, or None where there is no whole."""
    return part / whole if part is not None and whole else None


def traffic(one: Replication, chosen: Mask, since_ns: int, percentiles: Sequence[float]) -> Measures:
    """Counts, rates and latencies of the chosen requests.

    Args:
        one: the replication.
        chosen: bool[n], requests to count.
        since_ns: rates are over the time from here to the end of the run.
        percentiles: which, 0 to 100.
    """
    rows = np.flatnonzero(chosen & (one.outcome == Outcome.FINISHED))
    counts = np.bincount(one.outcome[chosen], minlength=len(Outcome))
    unanswered = without_answer(one)
    duration = (one.end_ns - since_ns) / NS_PER_S
    inputs = int(one.requests.prompt_tokens[rows].sum(dtype=np.int64))
    outputs = int(metrics.answer_tokens(one)[rows].sum(dtype=np.int64))
    out: Measures = {
        "duration": duration,
        "completed": len(rows),
        "failed": int(counts[list(unanswered)].sum()),
        "in_flight": int(counts[Outcome.IN_FLIGHT]),
        "not_sent": int(counts[Outcome.NOT_SENT]),
        **{key: int(counts[outcome]) for outcome, key in unanswered.items()},
        "total_input_tokens": inputs,
        "total_output_tokens": outputs,
        "request_throughput": ratio(len(rows), duration),
        "output_throughput": ratio(outputs, duration),
        "total_token_throughput": ratio(inputs + outputs, duration),
    }
    for name, latency in metrics.LATENCIES.items():
        if name != "ttfat" or one.requests.reasoning_tokens.any():
            out |= distribution(name, latency(one, rows), percentiles)
    return out


def distribution(name: str, values: Floats, percentiles: Sequence[float]) -> Measures:
    """Mean, median, standard deviation (population, as numpy.std) and percentiles of a metric in ms."""
    keys = _keys(name, percentiles)
    if not len(values):
        return dict.fromkeys(keys)
    numbers = [values.mean(), 0.0, values.std(), *np.percentile(values, percentiles, overwrite_input=True)]
    numbers[1] = np.median(values, overwrite_input=True)
    return dict(zip(keys, map(float, numbers), strict=True))


def inter_token(one: Replication, percentiles: Sequence[float]) -> Measures:
    """The same of the inter-token latencies, which are kept as a multiset."""
    gaps = WeightedValues(one.itl_ns, one.itl_count)
    keys = _keys("itl", percentiles)
    if not len(gaps):
        return dict.fromkeys(keys)
    mean, std = gaps.mean_std()
    median, *others = gaps.quantiles([50.0, *percentiles])
    return dict(zip(keys, (float(ns) / NS_PER_MS for ns in (mean, median, std, *others)), strict=True))


def _keys(name: str, percentiles: Sequence[float]) -> list[str]:
    first = [f"{statistic}_{name}_ms" for statistic in ("mean", "median", "std")]
    return first + [percentile_key(one, name) for one in percentiles]


def peaks(one: Replication, rows: Rows) -> Measures:
    """Highest concurrency and token rate, of the finished requests `rows`; and how the arrivals and the queue went."""
    last = int(one.sent_ns.max(initial=0))
    return {
        "max_output_tokens_per_s": metrics.max_output_tokens_per_s(one, rows),
        "max_concurrent_requests": metrics.max_concurrent_requests(one, rows),
        "peak_in_flight": metrics.peak_in_flight(one),
        "offered_rate": ratio(int(np.count_nonzero(one.sent_ns >= 0)), last / NS_PER_S),
        "in_flight_halfway": _in_flight_at(one, last // 2),
        "in_flight_at_last_arrival": _in_flight_at(one, last),
    }


def _in_flight_at(one: Replication, instant: int) -> int:
    sent, left = metrics.sojourns(one)
    return int(np.count_nonzero((sent <= instant) & (left > instant)))


def hardware(one: Replication, replicas: Sequence[ReplicaInfo], chosen: Mask) -> Measures:
    """Utilisation and queueing of some replicas over the whole run, from their counters.

    mfu: model FLOPs over the peak of the weights' precision; hbm_utilisation: bytes read over peak bandwidth;
    kv_cache_usage: mean share of KV blocks in use. All over the time in which the replicas served, idle time included.
    mean_ready_replicas: how many served, averaged over the run.

    Args:
        one: the replication.
        replicas: what each is.
        chosen: bool[replicas], which to count.
    """

    def total(name: str) -> float:
        return float(one.counters[name][chosen].sum())

    used = [info for info, wanted in zip(replicas, chosen, strict=True) if wanted]
    ready_ns: list[int] = one.counters["ready_ns"][chosen].tolist()

    def offered(each: Iterable[float]) -> float:
        """Sum over the replicas of what each offers at any time, times the ns in which it served."""
        return sum(size * ns for size, ns in zip(each, ready_ns, strict=True))

    waiting = total("waiting_ns")
    held = {name: total(f"waiting_{name}_ns") for name in ("seats", "blocks", "budget")}
    held["next_step"] = max(waiting - sum(held.values()), 0.0)
    return {
        "busy": ratio(total("busy_ns"), sum(ready_ns)),
        "mfu": ratio(total("flops"), offered(info.peak_flops for info in used) / NS_PER_S),
        "hbm_utilisation": ratio(total("bytes"), offered(info.hbm_bytes_per_s for info in used) / NS_PER_S),
        "kv_cache_usage": ratio(total("block_ns"), offered(info.num_gpu_blocks - 1 for info in used)),
        "communication": ratio(total("comm_fs"), total("device_fs")),
        "device": ratio(total("device_fs"), total("busy_ns") * FS_PER_NS),
        "steps": total("steps"),
        "tokens_per_step": ratio(total("prefill_tokens") + total("decode_tokens"), total("steps")),
        "prefill_token_share": ratio(total("prefill_tokens"), total("prefill_tokens") + total("decode_tokens")),
        "preemptions": total("preemptions"),
        "prefix_cache_hit_rate": ratio(total("prefix_hits"), total("prefix_queries")),
        "peak_running": float(one.counters["peak_running"][chosen].max(initial=0)),
        "mean_waiting": ratio(waiting, one.end_ns),
        "mean_ready_replicas": ratio(sum(ready_ns), one.end_ns),
        **{f"waiting_for_{name}": ratio(part, waiting) for name, part in held.items()},
    }


def memory(one: Replication, replicas: Sequence[ReplicaInfo], chosen: Mask) -> Measures:
    """What is reserved or computed for nothing, over the whole run.

    hbm_unused: share of the HBM that is allocated for KV and empty, while the replicas served; unknown in old runs.
    Of engines that pad: padding_share and padding_flops_share of all tokens and FLOPs that they computed, and
    kv_reserved_unused, the share of the KV reserved by batches that held nothing. Their empty KV is what no live
    sequence holds, that of others what lies in no block.

    Args:
        one: the replication.
        replicas: what each is.
        chosen: bool[replicas], which to count.
    """
    used = [info for info, wanted in zip(replicas, chosen, strict=True) if wanted]
    counters, padding = one.counters[chosen], None if one.padding is None else one.padding[chosen]
    held_ns = counters["block_ns"] if padding is None else _held_blocks(padding, used)
    out: Measures = {}
    if all(info.kv_share is not None for info in used):
        gpus, shares = (
            np.array(column, np.float64) for column in zip(*((i.gpus, i.kv_share) for i in used), strict=True)
        )
        blocks = np.array([info.num_gpu_blocks - 1 for info in used])
        served = counters["ready_ns"]
        empty = gpus * shares * (served - held_ns / blocks)
        out["hbm_unused"] = ratio(float(empty.sum()), float((gpus * served).sum()))
    if padding is not None:
        tokens = int((counters["prefill_tokens"] + counters["decode_tokens"]).sum())
        padded, flops = int(padding["tokens"].sum()), float(padding["flops"].sum())
        reserved = float(padding["kv_reserved_ns"].sum())
        out |= {
            "padding_share": ratio(padded, padded + tokens),
            "padding_flops_share": ratio(flops, flops + float(counters["flops"].sum())),
            "kv_reserved_unused": ratio(reserved - float(padding["kv_held_ns"].sum()), reserved),
        }
    return out


def _held_blocks(padding: NDArray[np.void], replicas: Sequence[ReplicaInfo]) -> Floats:
    held: Floats = padding["kv_held_ns"] / np.array([info.block_size for info in replicas])
    return held


def waiting_share(one: Replication) -> float | None:
    """Share of the requests' time in the engines that they spend in a waiting queue."""
    entered, left = metrics.engine_stays(one)
    return ratio(float(one.counters["waiting_ns"].sum()), float((left - entered).astype(np.float64).sum()))


def objective(one: Replication, chosen: Mask, limits_ms: Mapping[str, float]) -> tuple[int, Measures]:
    """How many chosen requests are good, and what share is good, had no answer for which reason, breaks each limit."""
    judged = metrics.judge(one, limits_ms, chosen)
    shares: Measures = {"good_share": ratio(judged.good, judged.judged)}
    counts = np.bincount(one.outcome[chosen], minlength=len(Outcome))
    for outcome, key in without_answer(one).items():
        shares[f"missed_{key.removesuffix('_requests')}"] = ratio(int(counts[outcome]), judged.judged)
    for name, missed in judged.missed.items():
        shares[f"missed_{name}"] = ratio(missed, judged.judged)
    return judged.good, shares
