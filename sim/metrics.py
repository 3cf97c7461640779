"""Latencies of single requests and rates of a run, defined as vLLM defines them.

Client side: vllm/benchmarks/serve.py, calculate_metrics (0.32.0, lines 573-783). Server side: vllm/v1/metrics/stats.py
(0.32.0, lines 592-606), whose queue time ends at the *first* scheduling: time lost to preemption counts as prefill
before the first token and as decode after it. (vLLM's docs/design/metrics.md still says "most recent".)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.request import Int32s, Int64s
from sim.result import Ending, Outcome, Replication
from sim.stats import Floats
from sim.units import NS_PER_MS, NS_PER_S

_CHUNK = 1 << 18

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

UNANSWERED = (Outcome.FAILED, Outcome.SHED, Outcome.TIMED_OUT, Outcome.FORGOTTEN)
"""Outcomes of requests that could have been answered and were not; a rejected one could not."""


def finished(replication: Replication) -> Rows:
    """Return the indices of the requests that ended well, in the order of the columns."""
    return np.flatnonzero(replication.outcome == Outcome.FINISHED)


def answer_tokens(one: Replication) -> Int32s:
    """Output tokens of each request; an answer to a retry may have had another length than was drawn at first."""
    tokens = one.requests.output_tokens
    if len(one.tries):
        answered = one.tries.ending == Ending.ANSWERED
        tokens = tokens.copy()
        tokens[one.tries.request[answered]] = one.tries.produced[answered]
    return tokens


def _between(start: Int64s, end: Int64s, rows: Rows) -> Floats:
    return (end[rows] - start[rows]) / NS_PER_MS


def ttft(one: Replication, rows: Rows) -> Floats:
    """Time to first token, ms: from sending to the first token."""
    return _between(one.sent_ns, one.first_token_ns, rows)


def tpot(one: Replication, rows: Rows) -> Floats:
    """Time per output token without the first, ms; requests with one token have none and are left out."""
    outputs = answer_tokens(one)
    rows = rows[outputs[rows] > 1]
    return _between(one.first_token_ns, one.last_token_ns, rows) / (outputs[rows] - 1)


def e2el(one: Replication, rows: Rows) -> Floats:
    """End-to-end latency, ms: from sending to the last token."""
    return _between(one.sent_ns, one.last_token_ns, rows)


def ttfat(one: Replication, rows: Rows) -> Floats:
    """Time to first answer token, ms: as TTFT, but to the first token after the reasoning."""
    return _between(one.sent_ns, one.answer_token_ns, rows)


def queue(one: Replication, rows: Rows) -> Floats:
    """Queue time, ms: from the engine's queue to the first scheduling (vllm:request_queue_time_seconds)."""
    return _between(one.queued_ns, one.first_scheduled_ns, rows)


def prefill(one: Replication, rows: Rows) -> Floats:
    """Prefill time, ms: from the first scheduling to the first token (vllm:request_prefill_time_seconds)."""
    return _between(one.first_scheduled_ns, one.first_token_ns, rows)


def decode(one: Replication, rows: Rows) -> Floats:
    """Decode time, ms: from the first to the last token (vllm:request_decode_time_seconds)."""
    return _between(one.first_token_ns, one.last_token_ns, rows)


LATENCIES: Mapping[str, Callable[[Replication, Rows], Floats]] = {
    "ttft": ttft,
    "tpot": tpot,
    "e2el": e2el,
    "ttfat": ttfat,
    "queue": queue,
    "prefill": prefill,
    "decode": decode,
}
"""Metrics of single requests by name; each gives float64 ms of the given finished requests. ITL is a multiset."""

SLO_LATENCIES = ("ttft", "tpot", "e2el", "ttfat")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Requests held against an SLO."""

    judged: int
    """All that have ended, well or not, and unfinished ones that are too late already; others may yet be good."""
    good: int
    missed: Mapping[str, int]
    """By limit: judged requests that broke it (one may break several)."""


def judge(one: Replication, limits_ms: Mapping[str, float], chosen: Mask) -> Judgement:
    """Count good requests and those that could be judged: see `told_apart`."""
    judged, good, missed = told_apart(one, limits_ms, chosen)
    return Judgement(int(np.count_nonzero(judged)), int(np.count_nonzero(good)), missed)


def told_apart(one: Replication, limits_ms: Mapping[str, float], chosen: Mask) -> tuple[Mask, Mask, Mapping[str, int]]:
    """Hold requests against limits: good ones finished and kept every limit (<=), as `vllm bench serve --goodput`.

    A one-token output has a TPOT of 0 here, though it has none in the statistics. A request that was rejected, failed,
    shed or given up is not good.

    Args:
        one: the replication.
        limits_ms: limit by name, of SLO_LATENCIES.
        chosen: bool[n], the requests to judge.

    Returns:
        bool[n], the chosen requests that can be judged; bool[n], the good ones; by limit, how many broke it.
    """
    rows = np.flatnonzero(chosen & ((one.outcome == Outcome.FINISHED) | (one.outcome == Outcome.IN_FLIGHT)))
    late = np.zeros(len(rows), np.bool_)
    missed = {}
    for name, limit in limits_ms.items():
        too_late = _lower_bound_ns(one, name, rows) > limit * NS_PER_MS
        missed[name] = int(np.count_nonzero(too_late))
        late |= too_late
    done = one.outcome[rows] == Outcome.FINISHED
    judged = chosen & np.isin(one.outcome, (Outcome.REJECTED, *UNANSWERED))
    judged[rows] = done | late
    good = np.zeros(len(judged), np.bool_)
    good[rows] = done & ~late
    return judged, good, missed


def sojourns(one: Replication) -> tuple[Int64s, Int64s]:
    """When the client of each accepted request sent it and stopped waiting, ns; open ones stay until the end."""
    inside = (one.outcome != Outcome.REJECTED) & (one.outcome != Outcome.NOT_SENT)
    ended = one.ended_ns[inside]
    return one.sent_ns[inside], np.where(ended >= 0, ended, one.end_ns)


def engine_stays(one: Replication) -> tuple[Int64s, Int64s]:
    """When each try entered its engine's queue and left the engine, ns; open ones stay until the end of the run."""
    queued, left = one.queued_ns, np.where(one.outcome == Outcome.FINISHED, one.last_token_ns, -1)
    if len(one.tries):
        queued, left = one.tries.queued_ns, one.tries.left_ns
    inside = queued >= 0
    return queued[inside], np.where(left[inside] >= 0, left[inside], one.end_ns)


def _lower_bound_ns(one: Replication, name: str, rows: Rows) -> Floats:
    """The latency of finished requests; of unfinished ones what it is at least, given the time that has passed."""
    done = one.outcome[rows] == Outcome.FINISHED
    if name == "tpot":
        spent = np.where(done, one.last_token_ns[rows] - one.first_token_ns[rows], 0)
        return spent / np.maximum(answer_tokens(one)[rows] - 1, 1)
    event = {"ttft": one.first_token_ns, "e2el": one.last_token_ns, "ttfat": one.answer_token_ns}[name][rows]
    came = done if name == "e2el" else event >= 0
    return (np.where(came, event, one.end_ns) - one.sent_ns[rows]).astype(np.float64)


def peak_in_flight(one: Replication) -> int:
    """Most requests in flight at one instant; each counts over the half-open [sent, ended)."""
    started, ended = sojourns(one)
    started.sort()
    ended.sort()
    most = 0
    for begin in range(0, len(started), _CHUNK):  # just after each sending
        gone = np.searchsorted(ended, started[begin : begin + _CHUNK], side="right")
        most = max(most, int((np.arange(begin + 1, begin + 1 + len(gone)) - gone).max()))
    return most


def max_concurrent_requests(one: Replication, rows: Rows) -> int:
    """Most finished requests that touch one and the same second since the first was sent (serve.py:711-724).

    That is vLLM's number, and up to a second's arrivals above `peak_in_flight`.
    """
    if not len(rows):
        return 0
    origin = one.sent_ns[rows].min()
    first = (one.sent_ns[rows] - origin) // NS_PER_S
    after = (one.last_token_ns[rows] - origin) // NS_PER_S + 1
    seconds = _eventful(first, after)
    change = np.bincount(np.searchsorted(seconds, first), minlength=len(seconds))
    change -= np.bincount(np.searchsorted(seconds, after), minlength=len(seconds))
    return int(change.cumsum().max())


def max_output_tokens_per_s(one: Replication, rows: Rows) -> float:
    """Most output tokens in one second since the first request was sent (serve.py:691-723); approximate.

    vLLM counts tokens by their own times. Those are not kept here: the tokens after the first are spread evenly
    between a request's first and last token.
    """
    if not len(rows):
        return 0.0
    origin = one.sent_ns[rows].min()
    first, last = ((at[rows] - origin) // NS_PER_S for at in (one.first_token_ns, one.last_token_ns))
    seconds = _eventful(
        first, last, first + 1, last + 1
    )  # in any other second as many tokens come as in the one before
    tokens, rate_change = np.zeros(len(seconds)), np.zeros(len(seconds))
    outputs = answer_tokens(one)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        _spread_tokens(one, chunk, outputs[chunk], origin, seconds, tokens, rate_change)
    return float((tokens + rate_change.cumsum()).max())


def _eventful(*seconds: Int64s) -> Int64s:
    """Each second once, ascending: a run may last for years and hold few requests."""
    return np.unique(np.concatenate([np.unique(one) for one in seconds]))


def _spread_tokens(
    one: Replication,
    rows: Rows,
    outputs: Int32s,
    origin: np.int64,
    seconds: Int64s,
    tokens: Floats,
    rate_change: Floats,
) -> None:
    """Add each request's first token to its second, and the others as a constant rate from first to last token."""
    first = (one.first_token_ns[rows] - origin) / NS_PER_S
    last = (one.last_token_ns[rows] - origin) / NS_PER_S
    more = outputs - 1
    spread = last > first
    tokens += np.bincount(
        np.searchsorted(seconds, first.astype(np.int64)), np.where(spread, 1.0, 1.0 + more), minlength=len(tokens)
    )
    first, last = first[spread], last[spread]
    rate = more[spread] / (last - first)
    # Rates begin and end within seconds: the change holds from there on, less what lies before within that second.
    for when, sign in ((first, 1.0), (last, -1.0)):
        second = when.astype(np.int64)
        at = np.searchsorted(seconds, second)
        rate_change += sign * np.bincount(at, rate, minlength=len(tokens))
        tokens -= sign * np.bincount(at, rate * (when - second), minlength=len(tokens))
