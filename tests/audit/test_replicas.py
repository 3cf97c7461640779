"""More replicas, and what a request costs then."""

import pytest

from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_five_replicas_instead_of_three_are_used_at_40_percent() -> None:
    found = ask("C14")
    assert found.ruling.verdict == Verdict.SUPPORTED
    assert mean(found, "work") == pytest.approx(65 * 3 / 5, rel=0.02)  # the same work, by the replicas
    assert mean(found, "busy") > 60  # an engine that has anything to do is busy


def test_as_many_as_before_are_used_as_before() -> None:
    found = ask("C14", replicas=3.0)
    assert found.ruling.verdict == Verdict.CONTRADICTED
    assert mean(found, "work") == pytest.approx(65)
    assert ask("C14", replicas=4.0).evidence["work"].holds is False  # N+1: 49 %


def test_40_percent_cost_as_much_more_as_they_are_less() -> None:
    found = ask("C15")
    assert found.ruling.verdict == Verdict.INCONSISTENT
    assert mean(found, "cost") == pytest.approx(65 / 40, rel=0.05)
    assert mean(found, "needed") == pytest.approx(28.26, abs=0.01)  # claims.md, C15


def test_a_request_is_2_3_times_as_dear_at_28_percent() -> None:
    assert ask("C15", after=28.3).ruling.verdict == Verdict.SUPPORTED
