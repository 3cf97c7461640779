"""What Spot saves."""

import pytest

from sim.audit.evidence import Rests
from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_the_list_of_the_best_zone_alone_says_so() -> None:
    found = ask("C35")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert [one.name for one in found.evidence.readings if one.holds] == ["list_best"]
    assert found.evidence["list_best"].rests is Rests.OTHER
    # sim/catalog/discounts.yaml by hand: 17 of 21 zones, and only aps1-az1 above 76 %
    assert (mean(found, "zones"), mean(found, "at_least"), mean(found, "flagged")) == (17, 1, 4)
    assert mean(found, "list_mean") == pytest.approx(60.4, abs=0.05)


def test_where_nothing_is_taken_back_the_saving_is_arithmetic() -> None:
    """Four are paid for where three are needed, at 60.1 % off in the median zone."""
    found = ask("C35")
    assert mean(found, "taken") == 0
    assert mean(found, "effective") == pytest.approx(100 * (1 - 4 / 3 * (1 - 0.601)), abs=0.2)
    assert mean(ask("C35", spare=0.0), "effective") == pytest.approx(60.1, abs=0.5)


def test_it_is_true_in_the_best_zone() -> None:
    assert ask("C35", zone=100.0).ruling.verdict == Verdict.SUPPORTED


def test_a_market_that_takes_nodes_back_saves_less() -> None:
    harsh, calm = ask("C35", reclaims=14.7), ask("C35")
    assert mean(harsh, "taken") > 0
    assert mean(harsh, "stand_in") > 0
    assert mean(harsh, "effective") < mean(calm, "effective") - 3
