"""The rule of verdicts, case by case, and the inputs that matter."""

import pytest

from sim.audit.claim import Span, Words
from sim.audit.evidence import Reading, Rests, exact
from sim.audit.verdict import Verdict, rule
from sim.stats import Interval
from tests.audit.made_up import answered

HOLDS, FAILS = exact(5.0), exact(50.0)
OPEN = Interval(10.0, 8.0, 12.0, 5)


def reading(rests: Rests, ours: Interval) -> Reading:
    claimed = None if rests == Rests.CONTEXT else Span(low=0.0, high=10.0)
    return Reading("x", Words(en="x", zh="x"), rests, ours, "", claimed)


@pytest.mark.parametrize(
    ("own", "other", "check", "expected"),
    [
        ([HOLDS], [], [], Verdict.SUPPORTED),
        ([HOLDS, HOLDS], [FAILS], [HOLDS], Verdict.SUPPORTED),
        ([HOLDS, FAILS], [], [], Verdict.CONDITIONAL),
        ([FAILS], [HOLDS, FAILS], [], Verdict.CONDITIONAL),
        ([FAILS], [FAILS], [], Verdict.CONTRADICTED),
        ([], [HOLDS, FAILS], [], Verdict.UNSUPPORTED),
        ([], [FAILS], [], Verdict.CONTRADICTED),
        ([HOLDS], [HOLDS], [FAILS], Verdict.INCONSISTENT),
        ([HOLDS], [], [HOLDS, FAILS], Verdict.INCONSISTENT),
        ([], [], [HOLDS], Verdict.SUPPORTED),
        ([], [FAILS], [HOLDS], Verdict.CONTRADICTED),
    ],
)
def test_a_verdict_follows_from_what_holds(
    own: list[Interval], other: list[Interval], check: list[Interval], expected: Verdict
) -> None:
    readings = [
        *(reading(Rests.OWN, one) for one in own),
        *(reading(Rests.OTHER, one) for one in other),
        *(reading(Rests.CHECK, one) for one in check),
        reading(Rests.CONTEXT, FAILS),
    ]
    ruling = rule(readings, qualitative=False)
    assert ruling.verdict == expected
    assert not ruling.is_open


def test_an_interval_across_a_bound_leaves_the_verdict_open() -> None:
    ruling = rule([reading(Rests.OWN, OPEN)], qualitative=False)
    assert (ruling.verdict, ruling.could_be) == (Verdict.CONTRADICTED, Verdict.SUPPORTED)
    assert ruling.is_open
    assert not rule([reading(Rests.OWN, HOLDS), reading(Rests.OTHER, OPEN)], qualitative=False).is_open


def test_where_nothing_can_be_measured_the_claim_is_qualitative() -> None:
    assert rule([reading(Rests.OWN, FAILS)], qualitative=True).verdict == Verdict.QUALITATIVE


@pytest.mark.parametrize(
    ("span", "low", "high", "expected"),
    [
        (Span(low=1, high=2), 1, 2, True),
        (Span(low=1, high=2), 0.5, 1, None),
        (Span(low=1, high=2), 2.1, 3, False),
        (Span(high=2), -9, 2, True),
        (Span(low=2), 1, 1.9, False),
    ],
)
def test_bounds_belong_to_what_is_claimed(span: Span, low: float, high: float, expected: bool | None) -> None:
    assert span.holds(low, high) is expected


def test_the_verdict_moves_with_the_inputs() -> None:
    assert answered().ruling.verdict == Verdict.SUPPORTED
    assert answered(height=3000).ruling.verdict == Verdict.CONDITIONAL


def test_inputs_are_ranked_by_what_they_do_and_those_that_do_nothing_are_left_out() -> None:
    found = answered().matters
    assert [(one.name, one.at_low, one.at_high) for one in found] == [("height", 100.0, 90.0), ("salt", 100.0, 100.5)]
