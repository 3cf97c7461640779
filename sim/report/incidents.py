"""When replicas fell, and through what: the failures in a fleet's timeline."""

from collections.abc import Mapping

import numpy as np

from sim.metrics import Mask
from sim.request import Int64s
from sim.result import FAILURES, Cause, State, Timeline
from sim.units import NS_PER_S

FALLEN = (State.DEAD, State.HUNG, State.DRAINING, State.GONE)

TOGETHER_NS = 60 * NS_PER_S
"""Failures no further apart than this are one incident: what one of them did cannot be told from the next."""

NEVER = np.iinfo(np.int64).max


def falls(timeline: Timeline) -> Mask:
    """Return bool[rows], where a replica falls: it dies, hangs, drains or goes, and a failure is the cause.

    A replica falls once by the same failure: that a spot node goes after its notice, that a hung engine is killed or
    a lost node's pods are evicted at last is no fall of its own.
    """
    fallen = np.isin(timeline.state, FALLEN) & np.isin(timeline.cause, FAILURES)
    order = np.argsort(timeline.replica, kind="stable")
    replica, cause, down = timeline.replica[order], timeline.cause[order], fallen[order]
    again = (replica[1:] == replica[:-1]) & (cause[1:] == cause[:-1]) & down[:-1]
    fallen[order[1:][again]] = False
    return fallen


def failures(timeline: Timeline) -> Mapping[Cause, int]:
    """Count failures by cause: crashes, hangs and lost GPUs by replica, lost and reclaimed nodes by node, zones once.

    The replicas that one failure takes fall at the same instant.
    """
    rows = falls(timeline)
    time, cause = timeline.time_ns[rows], timeline.cause[rows]
    by_node = np.isin(cause, (Cause.NODE, Cause.SPOT))
    unit = np.where(by_node, timeline.node[rows], np.where(cause == Cause.ZONE, 0, timeline.replica[rows]))
    one_each = np.unique(np.stack([cause.astype(np.int64), time, unit.astype(np.int64)]), axis=1)[0]
    return {one: int(np.count_nonzero(one_each == one)) for one in FAILURES}


def incidents(timeline: Timeline) -> tuple[Int64s, Int64s, Int64s]:
    """Return the first and the last fall of each incident, and when the fleet was whole again, ns, in their order.

    Whole: as many replicas have become ready since the first fall as were ready and fell; NEVER if they did not.
    """
    fallen = falls(timeline)
    times = np.unique(timeline.time_ns[fallen])
    apart = np.diff(times) > TOGETHER_NS
    ends = np.ones(1, np.bool_)[: len(times)]
    first, last = times[np.concatenate([ends, apart])], times[np.concatenate([apart, ends])]
    lost = timeline.time_ns[fallen & _was_ready(timeline)]
    missing = np.searchsorted(lost, last, side="right") - np.searchsorted(lost, first)
    back = timeline.time_ns[timeline.state == State.READY]
    nth = np.searchsorted(back, first, side="right") + missing - 1
    whole = np.append(back, NEVER)[np.minimum(nth, len(back))]
    return first, last, np.where(missing > 0, np.maximum(whole, last), last)


def _was_ready(timeline: Timeline) -> Mask:
    """bool[rows], where a replica leaves the state READY."""
    order = np.argsort(timeline.replica, kind="stable")
    replica, ready = timeline.replica[order], timeline.state[order] == State.READY
    found = np.zeros(len(order), np.bool_)
    found[order[1:]] = (replica[1:] == replica[:-1]) & ready[:-1]
    return found
