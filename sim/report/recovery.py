"""How long the fleet takes to serve as well as before, after each incident, and whether it ever does.

An incident is one or several failures, each within a minute of the one before. Time is seen in the bins of
sim/report/goodput.py, by the time at which requests were sent. The yardstick is the share of good requests (of those
that could be judged) in the whole bins before the first incident that has any before it; it serves for all incidents.

An incident is over with the first bin, from that of its first failure on, that holds requests and from which on the
share of good ones is at least 95 % of the yardstick, taken over all bins that begin within 60 s of the bin's own start
or of the time at which the fleet was whole again, whichever is later: as many replicas have become ready as fell, and
if that never was, all bins count. (While one is missing, a queue may grow for minutes before anybody gives up: a good
minute proves nothing then.) Where the run ends before, 30 s must do, or as long as a client goes on trying if that is
longer (only an incident that comes later still is judged by what is left): a handful of requests at the end prove
nothing, and in a retry storm the last ones get their answers only because nobody asks after them. The time to recover
runs from the first failure to the start of that bin; it is 0 if no request that was sent since says otherwise. Without
such a bin the fleet did not recover by the end.

An incident is left out if no good request was sent before it, for want of a yardstick, or none at all after it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.report.goodput import Bins
from sim.report.incidents import incidents
from sim.result import Timeline
from sim.stats import clopper_pearson
from sim.units import NS_PER_S, seconds_to_ns

AS_GOOD = 0.95
HOLD_NS = 60 * NS_PER_S
LEAST_NS = 30 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Recovery:
    """The incidents of all replications."""

    incidents: int
    recovered: int
    share_low: float
    """95 % interval of the share that recovers (Clopper-Pearson, incidents taken as independent)."""
    share_high: float
    median_minutes: float | None
    """Of those that recovered."""
    longest_minutes: float | None


def patience_ns(clients: Mapping[str, Any]) -> int:
    """Return how long a client goes on trying at most, ns; 0 if it waits for ever.

    Args:
        clients: the scenario's block, as JSON data.
    """
    timeout_s, retry = clients.get("timeout_s"), clients.get("retry")
    if timeout_s is None:
        return 0
    if retry is None:
        return seconds_to_ns(timeout_s)
    pauses = (
        min(retry["backoff_s"] * retry["multiplier"] ** done, retry["max_backoff_s"])
        for done in range(retry["max_retries"])
    )
    return seconds_to_ns(timeout_s * (1 + retry["max_retries"]) + sum(pauses))


def minutes_to_recover(sorted_in: Bins, timeline: Timeline, patience: int = 0) -> list[float | None]:
    """Return the minutes that one replication took to recover from each incident, None where it did not.

    Args:
        sorted_in: its requests.
        timeline: of its fleet.
        patience: how long a client goes on trying, ns.
    """
    least = max(LEAST_NS, patience)
    judged, good = (np.concatenate([[0], each.cumsum()]) for each in (sorted_in.judged, sorted_in.good))
    width, size = sorted_in.width_ns, len(sorted_in.judged)
    yardstick = None
    found: list[float | None] = []
    for first, last, whole in zip(*(each.tolist() for each in incidents(timeline)), strict=True):
        begin = first // width
        before = min(begin, size)
        if yardstick is None and good[before]:
            yardstick = good[before] / judged[before]
        if yardstick is None or begin >= size or judged[size] == judged[begin]:
            continue
        starts = np.arange(begin, size)
        ends = np.minimum(-(-(np.maximum(starts * width, min(whole, sorted_in.last_ns)) + HOLD_NS) // width), size)
        seen, well = judged[ends] - judged[starts], good[ends] - good[starts]
        ok = (sorted_in.judged[starts] > 0) & (well >= AS_GOOD * yardstick * seen)
        at_the_end = last + least > sorted_in.last_ns
        ok &= at_the_end | (starts * width + least <= sorted_in.last_ns)
        if not ok.any():
            found.append(None)
            continue
        over = int(starts[ok.argmax()])
        spotless = judged[over] == judged[begin]
        found.append(0.0 if spotless else (over * width - first) / (60 * NS_PER_S))
    return found


def recovery(replications: Iterable[Sequence[float | None]]) -> Recovery:
    """Join what `minutes_to_recover` found in each replication."""
    every = [minutes for one in replications for minutes in one]
    known = [minutes for minutes in every if minutes is not None]
    return Recovery(
        len(every),
        len(known),
        *clopper_pearson(len(known), len(every)),
        median_minutes=float(np.median(known)) if known else None,
        longest_minutes=max(known, default=None),
    )
