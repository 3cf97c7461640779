"""A node fails: recovery, cascade, availability."""

import pytest

from sim import catalog
from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_kubernetes_takes_minutes_and_a_process_less_than_one() -> None:
    found = ask("C12")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    start_s = 48 * 1.02  # lognormal stages of sigma 0.2 have a mean 2 % above their median
    weights_gb = 134.85  # claims.md, section 0
    assert mean(found, "kubernetes") == pytest.approx(350 + 204 * 1.02 + start_s + weights_gb / 0.75, rel=0.05)
    assert mean(found, "process") == pytest.approx(start_s + weights_gb / 25, rel=0.1)
    assert mean(found, "standby") == 25  # third failed check of 10 s each, at a random phase
    assert mean(found, "r1") > mean(found, "kubernetes") + 600


def test_weights_from_a_disk_take_too_long_and_a_prepared_fleet_does_not() -> None:
    assert ask("C12", local=5.0).ruling.verdict == Verdict.CONTRADICTED
    prepared = ask("C12", eviction=15.0, node=0.0, store=25.0, engine=25.0)
    assert prepared.evidence["kubernetes"].holds
    assert prepared.ruling.verdict == Verdict.SUPPORTED


def test_a_cascade_takes_a_long_outage_and_more_than_two_thirds_of_the_load() -> None:
    found = ask("C13")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert mean(found, "own") > 95  # 45 s at 65 %: nothing of it is left
    assert mean(found, "fuller") < 10
    assert mean(found, "heard") > 20 + mean(found, "fuller")
    assert mean(found, "large") < 10
    assert mean(found, "shed") > 90
    assert mean(found, "after") == 97.5


def test_there_is_no_cascade_at_40_percent() -> None:
    found = ask("C13", load=40.0)
    assert found.ruling.verdict == Verdict.CONTRADICTED
    assert not found.ruling.is_open


def test_availability_depends_on_the_spot_market() -> None:
    found = ask("C41")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert [found.evidence[name].holds for name in ("singly", "together", "ondemand", "retried")] == [
        True,
        False,
        True,
        True,
    ]
    assert mean(found, "retried") < mean(found, "ondemand")
    assert mean(found, "zone") == pytest.approx(4 * 3600 * 1e6 / 86_400, rel=0.01)
    lost = mean(found, "reclaims") * mean(found, "reclaim")
    assert mean(found, "together") == pytest.approx(mean(found, "ondemand") + lost)
    market = catalog.spot_preset("gcp-a100")
    events = 24 * 5 / (market.mean_life_hours * market.nodes_per_event) * (1 - 1 / market.nodes_per_event) ** 4
    assert mean(found, "reclaims") == pytest.approx(events)


def test_a_zone_that_fails_every_year_spends_the_budget() -> None:
    found = ask("C41", zone_years=1.0, zone_hours=6.0)
    assert 6 * 3600 * 1e6 / 86_400 / 365 > 0.0005 * 1e6
    assert found.ruling.verdict == Verdict.CONTRADICTED
