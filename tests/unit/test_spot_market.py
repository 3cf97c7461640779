"""Spot markets by hand: notice and drain, no node to sell, fallback, over-provisioning, closed zones."""

import numpy as np
import pytest

from sim.result import Cause, Outcome, State
from sim.units import NS_PER_S
from tests.unit.small_fleet import lengths
from tests.unit.under_fire import AT_ONCE, fire, stages

WIDE = {"gpu": "h100-sxm-80gb", "tensor_parallel_size": 8, "usd_per_gpu_hour": 2.0}
"""A replica fills a node."""
CALM = {"kind": "hazard", "mean_life_hours": 1e9}
START = stages(provision=3, process=4)
"""7 s from nothing, 4 s of it the engine."""


def lasting(seconds: int, per_s: float = 2.0, output: int = 4) -> dict:
    arrivals = {"kind": "constant", "request_rate": per_s}
    return {"num_prompts": int(seconds * per_s), "arrivals": arrivals, "lengths": lengths(50, output)}


def spot(replicas: int, reclaims: dict, **more) -> dict:
    pool = {key: more.pop(key) for key in ("zones",) if key in more}
    return WIDE | {"pool": "a", "replicas": replicas, "market": "spot", "spot": {"reclaims": reclaims} | more} | pool


def recorded(folder, *rows: tuple[float, int]) -> dict:
    """A market that has so many nodes from so many seconds on; the last row ends the recording."""
    lines = [f"{at},{nodes}" for at, nodes in rows]
    (folder / "market.csv").write_text("\n".join(["time_s,nodes", *lines]) + "\n")
    return {"kind": "trace", "path": "market.csv", "format": "csv"}


def reclaim(at_s: float, notice_s: float, index: int = 0) -> dict:
    return {"kind": "drill", "of": "node", "at_s": at_s, "notice_s": notice_s, "index": index}


def test_what_fits_into_the_notice_is_finished_and_nothing_is_lost():
    """Two minutes' notice at 10 s, requests of a few seconds."""
    seen = fire(lasting(40, 4.0, 400), fleet=[spot(2, CALM)], failures=[reclaim(10.0, 120.0)], startup=START)
    one = seen.one
    assert (one.outcome == Outcome.FINISHED).all()
    assert seen.entered(State.DRAINING, Cause.SPOT) == [10.0]
    mine = (one.replica == 0) & (one.sent_ns <= 10 * NS_PER_S)
    end = int(one.last_token_ns[mine].max())
    assert end > 10 * NS_PER_S
    assert one.leases.end_ns[0] == end, "the node is given back when it is empty, before its time is up"
    assert one.sent_ns[one.replica == 0].max() < 10 * NS_PER_S


def test_another_is_asked_for_with_the_notice_not_with_the_end():
    seen = fire(lasting(60), fleet=[spot(1, CALM)], failures=[reclaim(10.0, 30.0)], startup=START)
    assert seen.entered(State.REQUESTED) == [10.0]
    assert seen.entered(State.READY) == [0.0, 17.0]


def test_a_recorded_market_takes_back_what_it_lacks_after_a_notice(tmp_path):
    """Three nodes, and one from 20 s on: two get notice at 15 s, and nothing replaces them before 40 s."""
    market = recorded(tmp_path, (0, 3), (20, 1), (40, 3), (1000, 3))
    seen = fire(lasting(60), tmp_path, fleet=[spot(3, market, notice_s=5.0)], startup=START)
    assert sorted(seen.entered(State.GONE)) == [15.0, 15.0], "with nothing to finish they are gone with the notice"
    assert seen.entered(State.REQUESTED) == [15.0, 15.0], "asked for at once"
    assert seen.entered(State.STARTING) == [43.0, 43.0], "sold when the market has them again"
    assert seen.entered(State.READY)[3:] == [47.0, 47.0]
    assert (seen.one.leases.start_ns[3:] == 43 * NS_PER_S).all(), "nobody pays for waiting"


def test_capacity_that_is_not_there_when_asked_for(tmp_path):
    """A market of one node for a pool of two, cold, until 25 s."""
    market = recorded(tmp_path, (0, 1), (25, 2), (1000, 2))
    seen = fire(
        lasting(40), tmp_path, fleet=[spot(2, market, notice_s=0.0)], startup=START | {"cold": True, "cold_nodes": True}
    )
    assert seen.entered(State.READY) == [7.0, 25.0 + 7.0]


def test_nodes_that_will_be_taken_within_the_notice_are_not_sold(tmp_path):
    """At 12 s there is a node, but it would end at 20 s, and notice is 10 s: it is sold from 30 s on."""
    market = recorded(tmp_path, (0, 1), (20, 0), (30, 1), (1000, 1))
    crash = {"kind": "drill", "of": "node", "at_s": 11.0}
    gone = {"node_grace_s": 0.5, "toleration_s": 0.5}
    seen = fire(
        lasting(50),
        tmp_path,
        fleet=[spot(1, market, notice_s=10.0)],
        failures=[crash],
        recovery=gone,
        startup=START,
    )
    assert seen.entered(State.READY) == [0.0, 37.0]


def test_a_fallback_stands_in_while_spot_replicas_are_missing(tmp_path):
    """SkyServe: as many on-demand replicas as ready spot ones are short of N; they drain when those are back."""
    market = recorded(tmp_path, (0, 2), (20, 1), (40, 2), (1000, 2))
    fallback = WIDE | {"pool": "f", "replicas": 0, "fallback_for": "a"}
    seen = fire(lasting(70, 0.8), tmp_path, fleet=[spot(2, market, notice_s=5.0), fallback], startup=START)
    (place,) = {int(place) for place in seen.one.timeline.replica if place >= 4}
    life = [(at, state.name) for at, state in seen.life(place)]
    assert life[0] == (15.0, "REQUESTED")
    assert (22.0, "READY") in life
    assert life[-1] == (47.0, "GONE"), "when the spot replica is ready, not when it is bought"
    mine = seen.one.leases.pool == 1
    assert (seen.one.leases.end_ns - seen.one.leases.start_ns)[mine] == pytest.approx([(47 - 18) * NS_PER_S], abs=1e5)


@pytest.mark.parametrize(("left", "stand_ins"), [(3, 0), (2, 1), (1, 2), (0, 2)])
def test_the_fallback_makes_up_for_what_is_over_provisioned_too(tmp_path, left, stand_ins):
    """SkyServe (arXiv 2411.01438): min(N, N + extra - ready); N = 2 and one extra, of which `left` stay."""
    fallback = WIDE | {"pool": "f", "replicas": 0, "fallback_for": "a"}
    market = recorded(tmp_path, (0, 3), (20, left), (1000, left))
    seen = fire(lasting(40), tmp_path, fleet=[spot(2, market, notice_s=5.0, over_provision=1), fallback], startup=START)
    assert np.count_nonzero(seen.one.leases.start_ns == 0) == 3
    assert np.count_nonzero(seen.one.leases.pool == 1) == stand_ins


def test_after_a_reclaim_its_zone_sells_nothing():
    """Whatever is taken from one zone is bought in the other, for outages of weeks; then nothing is left to buy."""
    market = {"kind": "hazard", "mean_life_hours": 5 / 3600, "mean_outage_s": 1e6}
    zones = [{"zone": "x"}, {"zone": "y"}]
    seen = fire(
        lasting(100),
        fleet=[spot(1, market, notice_s=0.0, zones=zones)],
        startup=AT_ONCE,
        run={"replications": 1, "seed": 3},
    )
    assert seen.one.leases.zone.tolist() == [0, 1]
    assert seen.one.leases.end_ns[1] < seen.one.end_ns
    assert seen.life(0)[-1][1] is State.REQUESTED


def test_a_reclaim_takes_several_of_its_zone_and_none_of_another():
    """Ten nodes each in two zones, whose reclaims take a thousand: the first one empties its zone."""
    market = {"kind": "hazard", "mean_life_hours": 0.001, "nodes_per_event": 1000.0, "mean_outage_s": 1e9}
    zones = [{"zone": "x"}, {"zone": "y"}]
    pool = spot(20, market, notice_s=0.0, zones=zones)
    seen = fire(lasting(1000, 0.5), fleet=[pool], startup=AT_ONCE, run={"replications": 1, "seed": 1})
    times, taken = np.unique(seen.entered(State.DRAINING, Cause.SPOT), return_counts=True)
    assert taken.tolist() == [10, 20], "then the other, where all had to be bought since"
    leases = seen.one.leases
    emptied = leases.zone[leases.end_ns == leases.end_ns.min()]
    assert (emptied == emptied[0]).all()
    assert (leases.zone[leases.start_ns > 0] == 1 - emptied[0]).all()
    assert leases.end_ns.max() / NS_PER_S == pytest.approx(times[1], abs=1e-3), "and nothing is left to buy"
