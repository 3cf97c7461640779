"""What must hold of every run, whatever the scenario: conservation, the order of events, Little's law."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.metrics import UNANSWERED, engine_stays
from sim.result import Ending, Outcome, ReplicaInfo, Replication


class InvariantError(AssertionError):
    """A defect of the simulator, never of the user's input."""


def check_invariants(replication: Replication) -> None:
    """Assert conservation, the order of events, the ITL count, Little's law and the fleet's accounts.

    Raises:
        InvariantError: naming what does not hold, and an example request (or try, or lease) where there is one.
    """
    _conservation(replication)
    _order(replication)
    if len(replication.tries):
        _tries(replication)
    _tokens(replication)
    _littles_law(replication)
    _fleet(replication)


def check_paid(replication: Replication, replicas: Sequence[ReplicaInfo]) -> None:
    """Assert that every GPU was paid for while its replica served.

    Args:
        replication: what is checked.
        replicas: what each of its replicas is.

    Raises:
        InvariantError: replicas served for more GPU-time than was leased.
    """
    served = sum(
        info.gpus * ready for info, ready in zip(replicas, replication.counters["ready_ns"].tolist(), strict=True)
    )
    leases = replication.leases
    lasted = (leases.end_ns - leases.start_ns).tolist()  # in Python's integers: years of many GPUs exceed 64 bits
    leased = sum(gpus * ns for gpus, ns in zip(leases.gpus.tolist(), lasted, strict=True))
    if served > leased:
        raise InvariantError(f"{served} GPU-ns served, but only {leased} were leased")


def _require(holds: NDArray[np.bool_], rows: NDArray[np.bool_], rule: str, what: str = "request") -> None:
    broken = np.flatnonzero(rows & ~holds)
    if len(broken):
        raise InvariantError(f"{rule}: not so for {len(broken)} {what}s, {what} {broken[0]} for one")


def _all(holds: NDArray[np.bool_], rule: str, what: str) -> None:
    _require(holds, np.ones(len(holds), np.bool_), rule, what)


def _conservation(one: Replication) -> None:
    known = (one.outcome >= min(Outcome)) & (one.outcome <= max(Outcome))
    everyone = np.ones(len(one.requests), np.bool_)
    if len(one.outcome) != len(everyone):
        raise InvariantError(f"{len(everyone)} requests have {len(one.outcome)} outcomes")
    _require(known, everyone, "every request has one outcome")
    _require((one.sent_ns >= 0) == (one.outcome != Outcome.NOT_SENT), everyone, "a request is sent or not_sent")
    if not len(one.tries):  # one of several tries may be rejected by a replica with a shorter max_model_len
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
    gave_up = np.isin(one.outcome, UNANSWERED)
    never = (one.outcome == Outcome.IN_FLIGHT) | (one.outcome == Outcome.NOT_SENT)
    _require(one.ended_ns >= one.last_token_ns, done, "no answer is there before its last token")
    _require(one.ended_ns >= one.sent_ns, gave_up, "no client gives up before it sends")
    _require(one.ended_ns <= one.end_ns, done | gave_up, "no request ends after the end")
    _require(one.ended_ns == -1, never, "a request that is not sent or in flight has not ended")


def _tries(one: Replication) -> None:
    """Who was sent has tries, in order; at most one is answered, and that makes the request finished."""
    tries, n = one.tries, len(one.requests)
    _all((tries.request >= 0) & (tries.request < n), "a try is one of a request", "try")
    known = (tries.ending >= min(Ending)) & (tries.ending <= max(Ending))
    _all(known, "every try has one ending", "try")
    order = np.argsort(tries.request, kind="stable")
    request, sent = tries.request[order], tries.sent_ns[order]
    first = np.diff(request, prepend=-1) > 0
    tried = np.zeros(n, np.bool_)
    tried[request] = True
    everyone = np.ones(n, np.bool_)
    excused = one.outcome == Outcome.REJECTED
    _require(tried == (one.sent_ns >= 0), everyone & ~excused, "a request that is sent has a try, any other has none")
    _all(first | (np.diff(sent, prepend=0) >= 0), "the tries of a request are in the order of sending", "row")
    _all(~first | (sent == one.sent_ns[request]), "a request's first try is sent when it is", "row")
    answers = np.bincount(tries.request[tries.ending == Ending.ANSWERED], minlength=n)
    _require(answers == (one.outcome == Outcome.FINISHED), everyone, "a request is finished by one answered try")
    waits = one.outcome[tries.request] == Outcome.IN_FLIGHT
    _require(waits, tries.ending == Ending.OPEN, "a try is open only while its request is in flight", "try")
    queued, left = tries.queued_ns >= 0, tries.left_ns >= 0
    _require(tries.queued_ns >= tries.sent_ns, queued, "no try is queued before it is sent", "try")
    _require(tries.queued_ns <= one.end_ns, queued, "no try is queued after the end", "try")
    _require(queued & (tries.left_ns >= tries.queued_ns), left, "no try leaves an engine before it is queued", "try")
    _require(tries.left_ns <= one.end_ns, left, "no try leaves its engine after the end", "try")
    _require(tries.replica >= 0, queued, "a replica queues what reaches it", "try")
    _require(left, tries.ending == Ending.ANSWERED, "an answered try has left its engine", "try")


def _tokens(one: Replication) -> None:
    """Every output token but the first has one inter-token latency; unfinished requests may have left some.

    With tries the count is exact: they say how many tokens each has produced.
    """
    done = one.outcome == Outcome.FINISHED
    least = int((one.requests.output_tokens[done].astype(np.int64) - 1).sum())
    under_way = (one.first_token_ns >= 0) & ~done
    most = least + int((one.requests.output_tokens[under_way].astype(np.int64) - 1).sum())
    if len(one.tries):
        least = most = int(np.maximum(one.tries.produced.astype(np.int64) - 1, 0).sum())
    found = int(one.itl_count.sum(dtype=np.int64))
    if not least <= found <= most:
        raise InvariantError(f"{found} inter-token latencies for {least} to {most} later tokens")


def _littles_law(one: Replication) -> None:
    """Time-average number in system = arrival rate x mean sojourn; both sides times the run's length.

    The system is the engines, behind the front end. The left side is what they integrated as they went, the right side
    comes from each try's own times; open ones stay until the end, refused ones never enter. Equal but for the rounding
    of float64 sums.
    """
    entered, left = engine_stays(one)
    sojourn = float((left - entered).sum(dtype=np.float64))
    area = float(one.counters["system_ns"].sum())
    if not math.isclose(area, sojourn, rel_tol=1e-9, abs_tol=1.0):
        raise InvariantError(f"Little's law: {area} request-ns in the system, but sojourn times sum to {sojourn}")


def _fleet(one: Replication) -> None:
    """No replica serves, and no node is paid for, for longer than the run."""
    ready_ns = one.counters["ready_ns"]
    _all((ready_ns >= 0) & (ready_ns <= one.end_ns), "a replica serves for no longer than the run", "replica")
    leases = one.leases
    _all((leases.start_ns >= 0) & (leases.start_ns <= leases.end_ns), "a lease starts before it ends", "lease")
    _all(leases.end_ns <= one.end_ns, "no lease ends after the end", "lease")
