"""Availability where failures are rare: what each kind of failure costs, times how often it happens.

A fleet that answers 99.95 % of its requests fails so seldom that a simulation of days may see no failure, and its
interval then says nothing. So each kind is simulated on the condition that it strikes: the same requests are served
with a drill of that kind and without one, and what the drill leaves unanswered beyond that is the loss of one event.
Then, with requests at a steady rate,

    unanswered a day  =  what is lost without any event  +  sum over kinds of  events a day x requests lost an event

This is the first order in the rates: it holds while events seldom fall into each other's consequences, that is while
the sum of events a day x days that an event lasts is far below one (`overlap`). Rates are taken as known; the interval
is that of the simulated losses. All kinds serve the same requests (common random numbers), so they are added within a
replication, and the interval is taken over the sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sim.stats import Interval, t_interval

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure that befalls a fleet."""

    name: str
    per_day: float
    """Events a day, in the whole fleet."""
    lost: tuple[float, ...]
    """Requests that one event leaves unanswered, by replication."""
    lasts_s: float = 0.0
    """For about how long it is felt, s."""

    @property
    def lost_per_event(self) -> Interval:
        """Its mean."""
        return t_interval(self.lost)


def lost(calm: Sequence[float], struck: Sequence[float]) -> tuple[float, ...]:
    """Requests that an event costs: unanswered with it less those without it, by replication.

    Raises:
        ValueError: if the two differ in length.
    """
    return tuple(after - before for before, after in zip(calm, struck, strict=True))


def unanswered(kinds: Sequence[Kind], requests_per_day: float, calm_share: Sequence[float]) -> Interval:
    """Return how many requests a day are not answered.

    Args:
        kinds: every kind of failure, each with as many replications as `calm_share`.
        requests_per_day: traffic.
        calm_share: of requests that are unanswered although nothing fails, by replication.

    Raises:
        ValueError: if replications differ in number.
    """
    if any(len(one.lost) != len(calm_share) for one in kinds):
        raise ValueError("kinds of failures differ in their replications")
    return t_interval(
        share * requests_per_day + sum(one.per_day * one.lost[i] for one in kinds) for i, share in enumerate(calm_share)
    )


def availability(kinds: Sequence[Kind], requests_per_day: float, calm_share: Sequence[float]) -> Interval:
    """Return the share of requests that are answered, in per cent; arguments as for `unanswered`."""
    lacking = unanswered(kinds, requests_per_day, calm_share)
    mean, high, low = (
        None if one is None else 100 * (1 - one / requests_per_day) for one in (lacking.mean, lacking.low, lacking.high)
    )
    return Interval(mean, low, high, lacking.n)


def overlap(kinds: Sequence[Kind]) -> float:
    """Return the mean number of events that are felt at the same time; the sum above is good where it is small."""
    return sum(one.per_day * one.lasts_s for one in kinds) / SECONDS_A_DAY
