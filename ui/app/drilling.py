"""What drills came to, in words and numbers."""

from collections.abc import Mapping, Sequence

from sim.stats import Interval
from sim.study.drills import Drilled
from sim.study.evaluation import Evaluation
from sim.study.flexibility import Kept, judge
from sim.study.stress import Stress
from ui.app import numbers

COLUMNS = {
    "Goodput kept, %": "goodput_kept",
    "Minutes to recover": "recovery_drill",
    "Lost": "lost_requests",
    "Retried": "retried_requests",
    "Shed": "shed_requests",
    "Timed out": "timed_out_requests",
    "Availability, %": "availability",
    "Error budget used, %": "error_budget",
}
"""Of the table of drills: heads, and where they are defined."""


def verdict(one: Drilled) -> str:
    """When the fleet served as well as before."""
    minutes = one.longest
    if not minutes:
        return "nothing to recover from"
    lost = sum(each is None for each in minutes)
    if lost:
        of = "" if lost == len(minutes) else f" in {lost} of {len(minutes)} replications"
        return f"did not recover while the traffic lasted{of}"
    if not any(minutes):
        return "not felt"
    return f"recovered in {numbers.plus_minus(one.recovery, 1)} minutes"


def recovery(one: Drilled) -> str:
    """The same in a word."""
    if None in one.longest:
        return "did not recover"
    return numbers.plus_minus(one.recovery, 1)


def keeps(calm: Drilled | None, of: Sequence[Drilled]) -> list[Kept]:
    """Share of the calm run's goodput that is kept, of drills with as many replications."""
    if calm is None or calm.evaluation is None:
        return []
    if any(one.evaluation is None or len(one.outages) != len(calm.outages) for one in of):
        return []
    pairs = [(Stress(one.name, one.evaluation.design), one.evaluation) for one in of if one.evaluation is not None]
    return list(judge(calm.evaluation, pairs).kept)


def count(one: Evaluation, key: str) -> str:
    """Requests a replication."""
    value = numbers.value(one, key)
    return numbers.plus_minus(value, 0 if value.mean >= 10 else 1) if value.mean else "0"


def available(one: Evaluation) -> Interval:
    """Share of requests that were answered; the summary leaves it out where every one was."""
    return numbers.value(one, "availability") if "availability" in one.summary["values"] else Interval(1.0, 1.0, 1.0, 1)


def spent(one: Evaluation) -> Interval:
    """Share of the error budget."""
    return numbers.value(one, "error_budget_used")


def line(one: Drilled, calm: Drilled | None) -> Mapping[str, str]:
    """A row of the table."""
    if one.evaluation is None:
        return dict.fromkeys(COLUMNS, numbers.NOTHING)
    share = keeps(calm, [one])
    return {
        "Goodput kept, %": numbers.plus_minus(share[0].share.scaled(100), 1) if share else numbers.NOTHING,
        "Minutes to recover": recovery(one),
        "Lost": count(one.evaluation, "lost_requests"),
        "Retried": count(one.evaluation, "retried_requests"),
        "Shed": count(one.evaluation, "shed_requests"),
        "Timed out": count(one.evaluation, "timed_out_requests"),
        "Availability, %": numbers.plus_minus(available(one.evaluation).scaled(100), 2),
        "Error budget used, %": numbers.plus_minus(spent(one.evaluation).scaled(100), 0),
    }
