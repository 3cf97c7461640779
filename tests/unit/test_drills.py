"""Drills as settings and as runs, against arithmetic by hand."""

import pytest

from sim.scenario.load import load
from sim.study.drills import CALM, NAMES, OUTAGE_SHARE, Drilled, drilled
from sim.study.stress import STRIKE_AT
from sim.workload.draw import draw
from tests.unit.study_cases import design

ZONES = {"zones": [{"zone": "a"}, {"zone": "b"}]}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Two zones with a node each, of two replicas on four GPUs; three in four would do."""
    folder = tmp_path_factory.mktemp("drills")
    pool = {"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 4, "replicas": 4} | ZONES
    return design(folder, 3000, 30.0, fleet=[pool])


@pytest.fixture(scope="module")
def found(own):
    return {name: drilled(own, name) for name in (CALM, *NAMES)}


def _failures(one):
    again = load(one.evaluation.design.source, one.evaluation.design.settings)
    return again.scenario.failures, again.scenario.clients


def test_all_strike_a_third_into_the_traffic(own, found):
    loaded = load(own.source)
    last_s = draw(loaded.scenario, 0, 0, loaded.base_dir).arrival_ns.max() / 1e9
    for name in ("replica crash", "node lost", "zone lost", "retry storm"):
        (drill,), _ = _failures(found[name])
        assert drill.at_s == pytest.approx(STRIKE_AT * last_s)
        starts = [outage.start_s for replication in found[name].outages for outage in replication]
        assert starts == pytest.approx([drill.at_s] * 2)


def test_what_each_takes(found):
    assert {name: _failures(found[name])[0][0].of for name in ("replica crash", "node lost", "zone lost")} == {
        "replica crash": "replica",
        "node lost": "node",
        "zone lost": "zone",
    }
    failed = {name: found[name].evaluation.summary["values"] for name in NAMES if found[name].evaluation}
    assert failed["replica crash"]["failures_crash"]["mean"] == 1
    assert failed["node lost"]["failures_node"]["mean"] == 1
    assert failed["zone lost"]["failures_zone"]["mean"] == 1


def test_a_retry_storm_is_an_outage_among_impatient_clients(found):
    (drill,), clients = _failures(found["retry storm"])
    assert drill.for_s == pytest.approx(OUTAGE_SHARE * drill.at_s / STRIKE_AT)
    assert (clients.timeout_s, clients.cancellation, clients.retry.max_retries) == (30, "none", 3)
    for replication in found["retry storm"].outages:
        assert replication[0].whole_s - replication[0].start_s == pytest.approx(drill.for_s)


def test_the_same_requests_are_sent_whatever_happens(found):
    sent = {name: sum(one.through.sent.mean) for name, one in found.items() if one.through is not None}
    assert set(sent.values()) == {3000}


def test_calm_is_the_design_as_it_stands(own, found):
    assert found[CALM].evaluation.sha256 == load(own.source).sha256
    assert found[CALM].longest == ()
    assert found[CALM].recovery.mean is None


def test_what_does_not_apply_says_why(own, found, tmp_path):
    assert found["spot reclaim"].evaluation is None
    assert found["spot reclaim"].why_not == "The fleet has no spot nodes."
    assert "names no zones" in drilled(design(tmp_path, 100, 5.0), "zone lost").why_not


def test_its_own_failures_stay(tmp_path):
    crash = {"kind": "drill", "at_s": 5.0, "of": "replica", "index": 1}
    one = drilled(design(tmp_path, 600, 5.0, failures=[crash]), "node lost")
    kinds = [(drill.of, drill.index) for drill in _failures(one)[0]]
    assert kinds == [("replica", 1), ("node", 0)]


@pytest.mark.parametrize(
    ("minutes", "longest", "mean"),
    [
        (((1.0, 3.0), (2.0,)), (3.0, 2.0), 2.5),
        (((1.0, None), (2.0,)), (None, 2.0), None),
        (((), (2.0,)), (2.0,), 2.0),
        (((), ()), (), None),
    ],
)
def test_recovery_is_that_of_the_longest_incident(minutes, longest, mean):
    one = Drilled("node lost", None, minutes=minutes)
    assert one.longest == longest
    assert one.recovery.mean == mean


def test_an_interval_of_minutes_does_not_leave_zero():
    one = Drilled("node lost", None, minutes=((0.0,), (0.0,), (3.0,)))
    assert one.recovery.low == 0
    assert one.recovery.high > 3
