"""A million requests a day in money."""

import pytest

from sim.audit.claims.cost import fewest, longest
from sim.audit.lab import Lab
from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_the_end_is_cheap_and_the_start_is_unsupported() -> None:
    found = ask("C40")
    assert found.ruling.verdict == Verdict.UNSUPPORTED
    assert [one.name for one in found.evidence.readings if one.holds] == ["fleet", "saved"]
    # claims.md: 3 to 4 replicas of 2,243 to 3,543 output tokens/s at 3 times the mean, so about as many at twice
    assert mean(found, "cards") == 4 * (3 + 1)
    assert mean(found, "fleet") == pytest.approx(16 * 24 * 7.64)
    assert mean(found, "api") == pytest.approx(1159, abs=1)
    assert mean(found, "after") == pytest.approx(3800 / 24 / 7.64)


def test_long_answers_at_a_high_price_contradict_the_end() -> None:
    found = ask("C40", price=12.29, output=512.0)
    assert found.ruling.verdict == Verdict.CONTRADICTED
    assert mean(found, "fleet") > 3800


def test_the_fewest_are_enough_and_one_less_is_not() -> None:
    """Three replicas serve answers of as many tokens as bind them, and a mean answer more takes a fourth."""
    lab, rate = Lab(coarse=True), 23.148
    most = longest(lab, rate, 3)
    assert fewest(lab, rate, float(most)) == 3
    assert fewest(lab, rate, most + 16.0) == 4


def test_three_times_is_no_order_of_magnitude() -> None:
    found = ask("C44")
    assert found.ruling.verdict == Verdict.INCONSISTENT
    assert mean(found, "case") == pytest.approx(12 / 3.8)
    # claims.md: 0.24 x 0.25 x 58/79 = 0.044, or $529 a day
    assert mean(found, "product") == pytest.approx(1 / (0.24 * 0.25 * 58 / 79), rel=0.001)
    assert mean(found, "then") == pytest.approx(529, abs=1)
    assert ask("C44", before=40000.0).ruling.verdict == Verdict.SUPPORTED
