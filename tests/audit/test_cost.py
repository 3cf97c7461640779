"""A million requests a day in money."""

import pytest

from sim.audit.claims.cost import fewest, longest
from sim.audit.lab import Lab
from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_none_is_near_the_best_of_all_and_some_are_good_enough() -> None:
    found = ask("C1")
    assert found.ruling.verdict == Verdict.UNSUPPORTED
    assert [one.name for one in found.evidence.readings if one.holds] == ["gap"]
    corners = [mean(found, name) for name in ("performance", "cost", "flexibility")]
    assert mean(found, "gap") == pytest.approx(max(corners))
    assert mean(found, "all_three") >= 1
    assert ask("C1", within=50.0).ruling.verdict == Verdict.CONTRADICTED


def test_fewer_fleets_to_choose_from_are_no_nearer() -> None:
    few, more = ask("C1", fp8=0.0), ask("C1")
    assert mean(few, "fleets") == 4  # bf16-* of scenarios/article/triangle.yaml, all within the SLO
    assert mean(few, "all_three") < mean(more, "all_three")


def test_spot_at_the_list_price_is_no_cheaper() -> None:
    """The same fleets on both markets cost the same then, so the best in cost is where it was without Spot."""
    dear, without = ask("C1", discount=0.0), ask("C1", spot=0.0)
    assert mean(dear, "cost") == pytest.approx(mean(without, "cost"), rel=0.001)
    assert mean(dear, "fleets") == mean(without, "fleets") + 3


def test_the_end_is_cheap_and_the_start_is_unsupported() -> None:
    found = ask("C40")
    assert found.ruling.verdict == Verdict.UNSUPPORTED
    assert [one.name for one in found.evidence.readings if one.holds] == ["fleet", "saved"]
    # claims.md: 3 to 4 replicas by a public benchmark's 2,243 to 3,543 output tokens/s, with N + 1 five, or 20 H100s
    assert mean(found, "cards") == 4 * (4 + 1)
    assert mean(found, "fleet") == pytest.approx(20 * 24 * 7.64)
    assert mean(found, "api") == pytest.approx(1159, abs=1)
    assert mean(found, "after") == pytest.approx(3800 / 24 / 7.64)


def test_long_answers_at_a_high_price_contradict_the_end() -> None:
    found = ask("C40", price=12.29, output=512.0)
    assert found.ruling.verdict == Verdict.CONTRADICTED
    assert mean(found, "fleet") > 3800


def test_the_fewest_are_enough_and_one_less_is_not() -> None:
    """Four replicas serve answers of as many tokens as bind them, and 16 tokens more take a fifth."""
    lab, rate = Lab(coarse=True), 23.148
    most = longest(lab, rate, 4)
    assert fewest(lab, rate, float(most)) == 4
    assert fewest(lab, rate, most + 16.0) == 5


def test_three_times_is_no_order_of_magnitude() -> None:
    found = ask("C44")
    assert found.ruling.verdict == Verdict.INCONSISTENT
    assert mean(found, "case") == pytest.approx(12 / 3.8)
    # claims.md: 0.24 x 0.25 x 58/79 = 0.044, or $529 a day
    assert mean(found, "product") == pytest.approx(1 / (0.24 * 0.25 * 58 / 79), rel=0.001)
    assert mean(found, "then") == pytest.approx(529, abs=1)
    # eight H200s at the spot median of $2.51445 and four at $7.912 on demand
    assert mean(found, "designed") == pytest.approx(12_000 / (24 * (8 * 2.51445 + 4 * 7.912)))
    assert ask("C44", before=40000.0).ruling.verdict == Verdict.SUPPORTED
