"""Drills of the spot market, and restarts on nodes that are there, by hand arithmetic."""

import numpy as np
import pytest
from pydantic import ValidationError

from sim.result import Cause, Outcome, State
from sim.units import NS_PER_S
from tests.unit.small_fleet import lengths, replicate, scenario

STARTS = {
    stage: {"kind": "fixed", "s": seconds}
    for stage, seconds in {"provision": 1, "boot": 2, "image": 4, "process": 8, "compile": 16, "warm": 32}.items()
}
WEIGHTS_S = 13_820_731_392 / 0.75e9
"""DeepSeek-LLM-7B's parameters (6,910,365,696, its model card) at two bytes, over one replica's link."""
TRAFFIC = {"num_prompts": 400, "arrivals": {"kind": "constant", "request_rate": 2.0}, "lengths": lengths(50, 4)}
RECLAIM = {"kind": "drill", "at_s": 10.0, "of": "node", "notice_s": 30.0}


def fleet(**pools):
    return [{"pool": name, "gpu": "h100-sxm-80gb", "tensor_parallel_size": 8, **more} for name, more in pools.items()]


def entered(one, state, cause=None):
    """Seconds at which replicas enter a state, by place."""
    log = one.timeline
    rows = (log.state == state) & (True if cause is None else log.cause == cause)
    return sorted(zip((log.time_ns[rows] / NS_PER_S).tolist(), log.replica[rows].tolist(), strict=True))


def test_a_third_of_the_spot_nodes_is_taken_after_its_notice():
    long = {"num_prompts": 2000, "arrivals": {"kind": "constant", "request_rate": 20.0}, "lengths": lengths(50, 460)}
    one = replicate(
        TRAFFIC | long,
        fleet=fleet(base={"replicas": 2}, cheap={"replicas": 3, "market": "spot"}),
        failures=[RECLAIM | {"notice_s": 0.5}],
        startup=STARTS,
    )
    notices = entered(one, State.DRAINING, Cause.SPOT)
    assert notices == [(10.0, 2)], "the oldest spot node, whatever stands before it in the fleet"
    assert entered(one, State.GONE) == [(10.5, 2)], "what it still has is lost when the notice ends"
    assert entered(one, State.READY)[-1][0] == pytest.approx(10 + 63 + WEIGHTS_S, abs=1.0)
    assert np.count_nonzero(one.outcome == Outcome.FAILED) > 0


def test_each_drill_takes_one_more():
    one = replicate(TRAFFIC, fleet=fleet(cheap={"replicas": 3, "market": "spot"}), failures=[RECLAIM, RECLAIM])
    assert [place for _, place in entered(one, State.DRAINING, Cause.SPOT)] == [0, 1]


def test_no_spot_nodes_nothing_is_taken():
    one = replicate(TRAFFIC, fleet=fleet(base={"replicas": 3}), failures=[RECLAIM])
    assert (one.timeline.time_ns == 0).all()


def test_a_restart_needs_no_nodes():
    patient = {"clients": {"retry": {"max_retries": 100, "backoff_s": 1.0, "multiplier": 1.0, "jitter": "none"}}}
    starts = {"startup": STARTS | {"cold": True}}
    cold = replicate(TRAFFIC, fleet=fleet(base={"replicas": 1}), **starts, **patient)
    there = {"startup": starts["startup"] | {"cold_nodes": False}}
    warm = replicate(TRAFFIC, fleet=fleet(base={"replicas": 1}), **there, **patient)
    first = [entered(one, State.READY)[0][0] for one in (cold, warm)]
    assert first[1] == pytest.approx(8 + 16 + 32 + WEIGHTS_S, abs=0.5)
    assert first[0] - first[1] == pytest.approx(1 + 2 + 4)
    assert warm.leases.start_ns.tolist() == [0], "nodes that are there are paid for"


@pytest.mark.parametrize("more", [{"of": "gpu"}, {"for_s": 5.0}])
def test_only_nodes_get_notice(more):
    with pytest.raises(ValidationError, match="notice_s goes with"):
        scenario({}, failures=[RECLAIM | more])
