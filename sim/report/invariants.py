"""What must hold of every run, whatever the scenario: conservation, the order of events, Little's law."""

import math

import numpy as np
from numpy.typing import NDArray

from sim.metrics import engine_stays
from sim.result import Outcome, Replication


class InvariantError(AssertionError):
    """A defect of the simulator, never of the user's input."""


def check_invariants(replication: Replication) -> None:
    """Assert conservation, the order of each request's events, the ITL count and Little's law on one replication.

    Raises:
        InvariantError: naming what does not hold, and an example request where there is one.
    """
    _conservation(replication)
    _order(replication)
    _tokens(replication)
    _littles_law(replication)


def _require(holds: NDArray[np.bool_], rows: NDArray[np.bool_], rule: str) -> None:
    broken = np.flatnonzero(rows & ~holds)
    if len(broken):
        raise InvariantError(f"{rule}: not so for {len(broken)} requests, request {broken[0]} for one")


def _conservation(one: Replication) -> None:
    known = (one.outcome >= min(Outcome)) & (one.outcome <= max(Outcome))
    everyone = np.ones(len(one.requests), np.bool_)
    if len(one.outcome) != len(everyone):
        raise InvariantError(f"{len(everyone)} requests have {len(one.outcome)} outcomes")
    _require(known, everyone, "every request has one outcome")
    _require((one.sent_ns >= 0) == (one.outcome != Outcome.NOT_SENT), everyone, "a request is sent or not_sent")
    _require(one.replica < 0, one.outcome == Outcome.REJECTED, "a rejected request reaches no replica")
    _require((one.replica >= 0) == (one.queued_ns >= 0), everyone, "a replica queues exactly what reaches it")


def _order(one: Replication) -> None:
    done = one.outcome == Outcome.FINISHED
    queued = one.queued_ns >= 0
    begun = one.first_scheduled_ns >= 0
    _require(one.sent_ns <= one.end_ns, one.sent_ns >= 0, "no request is sent after the end")
    _require(one.queued_ns >= one.sent_ns, queued, "no request is queued before it is sent")
    _require(one.queued_ns <= one.end_ns, queued, "no request is queued after the end")
    _require(queued & (one.first_scheduled_ns >= one.queued_ns), begun, "no request is scheduled before it is queued")
    _require(one.last_scheduled_ns >= one.first_scheduled_ns, begun, "the last scheduling is not before the first")
    _require(one.first_token_ns > one.first_scheduled_ns, one.first_token_ns >= 0, "a token takes time")
    _require(begun & (one.first_token_ns >= 0), done, "a finished request was scheduled and got tokens")
    _require(one.answer_token_ns >= one.first_token_ns, done, "the answer does not begin before the first token")
    _require(one.last_token_ns >= one.answer_token_ns, done, "the last token is not before the answer begins")
    _require(one.last_token_ns <= one.end_ns, done, "no token comes after the end")


def _tokens(one: Replication) -> None:
    """Every output token but the first has one inter-token latency; unfinished requests may have left some."""
    done = one.outcome == Outcome.FINISHED
    least = int((one.requests.output_tokens[done].astype(np.int64) - 1).sum())
    under_way = (one.first_token_ns >= 0) & ~done
    most = least + int((one.requests.output_tokens[under_way].astype(np.int64) - 1).sum())
    found = int(one.itl_count.sum(dtype=np.int64))
    if not least <= found <= most:
        raise InvariantError(f"{found} inter-token latencies for {least} to {most} later tokens")


def _littles_law(one: Replication) -> None:
    """Time-average number in system = arrival rate x mean sojourn; both sides times the run's length.

    The system is the engines, behind the front end. The left side is what they integrated as they went, the right side
    comes from each request's own times; in-flight requests stay until the end, rejected ones never enter. Equal but
    for the rounding of float64 sums.
    """
    entered, left = engine_stays(one)
    sojourn = float((left - entered).sum(dtype=np.float64))
    area = float(one.counters["system_ns"].sum())
    if not math.isclose(area, sojourn, rel_tol=1e-9, abs_tol=1.0):
        raise InvariantError(f"Little's law: {area} request-ns in the system, but sojourn times sum to {sojourn}")
