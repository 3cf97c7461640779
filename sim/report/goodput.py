"""Goodput through time: what became of the requests that were sent in each stretch of the run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim import metrics
from sim.report.objective import Objective
from sim.request import Int64s
from sim.result import Outcome, Replication
from sim.stats import t_interval
from sim.units import NS_PER_S

MOST_BINS = 240

_WIDTHS_S = (10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Bins:
    """Requests by the time of sending: bin i holds [i, i + 1) x width_ns. Columns int64[bins].

    Requests that max_model_len rejects are left out.
    """

    width_ns: int
    last_ns: int
    """When the last was sent."""
    sent: Int64s
    judged: Int64s
    """Those of which it is known whether they are good: see metrics.told_apart."""
    good: Int64s
    """Finished within the SLO of their class; without one, finished."""
    failed: Int64s
    """Lost, shed or timed out."""


@dataclass(frozen=True, slots=True)
class Series:
    """A number of requests in each bin: means over the replications, with 95 % intervals."""

    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    """None with one replication."""
    high: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that were sent in each bin of `width_s`, from 0 s on, and how many of them were good and failed."""

    width_s: int
    sent: Series
    good: Series
    failed: Series


def bin_width_ns(replications: Sequence[Replication]) -> int:
    """Return the least round number of seconds, 10 or more, that cuts the time of sending into at most 240 bins."""
    span = max((int(one.sent_ns.max(initial=0)) for one in replications), default=0) + 1
    hours = -(-span // (MOST_BINS * 3600 * NS_PER_S))
    widths = [width * NS_PER_S for width in (*_WIDTHS_S, 3600 * hours)]
    return next(width for width in widths if -(-span // width) <= MOST_BINS)


def bins(one: Replication, aims: Sequence[Objective], width_ns: int) -> Bins:
    """Sort one replication's requests into bins, up to the one in which the last was sent.

    Args:
        one: the replication.
        aims: the SLO of each class.
        width_ns: of a bin.
    """
    counted = (one.sent_ns >= 0) & (one.outcome != Outcome.REJECTED)
    at = np.where(counted, one.sent_ns, 0) // width_ns
    size = int(at.max(initial=0)) + 1
    judged, good = (np.zeros(len(counted), np.bool_) for _ in range(2))
    for index, aim in enumerate(aims):
        chosen = counted if len(aims) == 1 else counted & (one.requests.klass == index)
        told, kept, _ = metrics.told_apart(one, aim.limits_ms, chosen)
        judged |= told
        good |= kept
    failed = np.isin(one.outcome, metrics.UNANSWERED)
    columns = (np.bincount(at[rows], minlength=size) for rows in (counted, judged, good, failed))
    return Bins(width_ns, int(one.sent_ns[counted].max(initial=0)), *columns)


def goodput(replications: Sequence[Bins]) -> Goodput:
    """Average the bins of replications; one that ends before others sends nothing from then on."""
    size = max(len(one.sent) for one in replications)

    def series(name: str) -> Series:
        rows = [np.pad(getattr(one, name), (0, size - len(one.sent))) for one in replications]
        found = [t_interval(column) for column in np.stack(rows, axis=1).tolist()]
        low = tuple(one.low for one in found if one.low is not None)
        high = tuple(one.high for one in found if one.high is not None)
        return Series(tuple(one.mean or 0.0 for one in found), low or None, high or None)

    return Goodput(replications[0].width_ns // NS_PER_S, series("sent"), series("good"), series("failed"))
