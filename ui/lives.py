"""The lives of a fleet's replicas in one replication: what each was doing from when to when, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.report.incidents import falls
from sim.result import Cause, ReplicaInfo, Replication, State
from sim.units import NS_PER_S

MOST_PLACES = 40
"""Rows that can be told apart in a chart."""
MOST_EVENTS = 200
_LEAST_SHARE = 1 / 4000
"""Of the run: shorter stretches are narrower than a pixel."""

STAGES = {
    State.REQUESTED: "requested",
    State.BOOTING: "boot",
    State.IMAGE: "image",
    State.STARTING: "process",
    State.LOADING: "load",
    State.COMPILING: "compile",
    State.WARMING: "warm",
    State.READY: "ready",
    State.DRAINING: "draining",
    State.HUNG: "hung",
    State.DEAD: "dead",
}
NOTICE = "spot notice"
"""Draining because its node is taken back."""

_WHY = {
    Cause.PLAN: "",
    Cause.SCALING: "scaling",
    Cause.CRASH: "crash",
    Cause.HANG: "hang",
    Cause.GPU: "GPU lost",
    Cause.NODE: "node lost",
    Cause.ZONE: "zone lost",
    Cause.SPOT: "spot reclaim",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A replica in one stage."""

    place: int
    """Row of `Lives.places`."""
    stage: str
    start_s: float
    end_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Event:
    """A change that was not just the next stage of a start."""

    at_s: float
    place: str
    node: int
    stage: str
    why: str
    failed: bool
    """Whether a failure took the replica here and now."""


@dataclass(frozen=True, slots=True)
class Lives:
    """A fleet through time."""

    places: tuple[str, ...]
    """Names of the rows."""
    in_all: int
    """Places that ever held a replica; more than rows where there are too many to draw."""
    spans: tuple[Span, ...]
    events: tuple[Event, ...]
    """The first `MOST_EVENTS`."""
    events_in_all: int

    def at(self, second: float) -> str:
        """How many replicas of the rows are in which stage at an instant: "3 ready, 1 load"."""
        there = [span.stage for span in self.spans if span.start_s <= second < span.end_s]
        words = [f"{there.count(stage)} {stage}" for stage in (*STAGES.values(), NOTICE) if stage in there]
        return (", ".join(words) or "none") + (f" of the {len(self.places)} drawn" if self.hidden else "")

    @property
    def hidden(self) -> int:
        """Places without a row."""
        return self.in_all - len(self.places)


def lives(one: Replication, replicas: Sequence[ReplicaInfo]) -> Lives:
    """Read a replication's timeline.

    Args:
        one: the replication.
        replicas: what each place holds.
    """
    names = _names(replicas)
    lines, fallen = one.timeline, falls(one.timeline)
    changes = np.bincount(lines.replica, minlength=len(replicas))
    shown = np.sort(np.argsort(-changes, kind="stable")[: min(MOST_PLACES, np.count_nonzero(changes))])
    spans: list[Span] = []
    for row, place in enumerate(shown.tolist()):
        spans += _spans(one, row, place)
    told = np.flatnonzero((lines.time_ns > 0) & (np.isin(lines.state, (State.READY, State.GONE)) | (lines.cause != 0)))
    events = tuple(
        Event(
            float(lines.time_ns[i] / NS_PER_S),
            names[lines.replica[i]],
            int(lines.node[i]),
            stage(int(lines.state[i]), int(lines.cause[i])),
            _WHY[Cause(lines.cause[i])],
            bool(fallen[i]),
        )
        for i in told[:MOST_EVENTS]
    )
    return Lives(tuple(names[i] for i in shown), int(np.count_nonzero(changes)), tuple(spans), events, len(told))


def stage(state: int, cause: int) -> str:
    """A state in a word."""
    if state == State.DRAINING and cause == Cause.SPOT:
        return NOTICE
    return STAGES.get(State(state), "gone")


def _spans(one: Replication, row: int, place: int) -> list[Span]:
    lines = one.timeline
    mine = np.flatnonzero(lines.replica == place)
    ends = np.append(lines.time_ns[mine[1:]], one.end_ns)
    return [
        Span(
            row,
            stage(int(lines.state[i]), int(lines.cause[i])),
            float(lines.time_ns[i] / NS_PER_S),
            float(end / NS_PER_S),
            _WHY[Cause(lines.cause[i])],
        )
        for i, end in zip(mine, ends, strict=True)
        if lines.state[i] != State.GONE and end - lines.time_ns[i] > _LEAST_SHARE * one.end_ns
    ]


def _names(replicas: Sequence[ReplicaInfo]) -> list[str]:
    """Pool and number within it."""
    counts: dict[str, int] = {}
    names = []
    for info in replicas:
        number = counts.get(info.pool, 0)
        counts[info.pool] = number + 1
        names.append(f"{info.pool} {number}")
    return names
