"""The life of replicas by hand arithmetic: where they stand, how they come and go, what is paid for them."""

import numpy as np
import pytest

from sim.result import Cause, Outcome, State
from sim.units import NS_PER_S
from tests.unit.small_fleet import ENGINE, lengths
from tests.unit.under_fire import AT_ONCE, Watched, fire, stages

WEIGHTS_GB = 2 * 6_910_365_696 / 1e9
"""DeepSeek-LLM-7B's parameters (model card), two bytes each."""
ONCE_A_SECOND = {"arrivals": {"kind": "constant", "request_rate": 1.0}, "lengths": lengths(50, 4)}


def lasting(seconds: int) -> dict:
    """One short request a second."""
    return ONCE_A_SECOND | {"num_prompts": seconds}


def pool(replicas: int = 1, **more) -> list[dict]:
    return [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": replicas} | more]


def scheduled(most: int = 4, **steps_at: int) -> dict:
    """An autoscaler that wants so many replicas from t<seconds> on, and decides every second."""
    steps = [{"at_s": float(at[1:]), "replicas": replicas} for at, replicas in steps_at.items()]
    more = {"max_replicas": most, "interval_s": 1.0, "scale_down_window_s": 0.0}
    return {"autoscalers": [{"kind": "schedule", "pool": "a", "steps": steps} | more]}


def nodes(seen: Watched) -> dict[int, int]:
    """First node of each place."""
    return dict(zip(seen.one.timeline.replica.tolist(), seen.one.timeline.node.tolist(), strict=True))


@pytest.mark.parametrize(
    ("layout", "replicas", "on"),
    [
        ({"tensor_parallel_size": 1}, 9, [0] * 8 + [1]),
        ({"tensor_parallel_size": 2}, 5, [0, 0, 0, 0, 1]),
        ({"tensor_parallel_size": 4, "pipeline_parallel_size": 2}, 2, [0, 1]),
        ({"tensor_parallel_size": 8, "pipeline_parallel_size": 2}, 2, [0, 2]),  # of two nodes each
    ],
)
def test_replicas_fill_nodes_of_eight(layout, replicas, on):
    assert list(nodes(fire(lasting(2), fleet=pool(replicas, **layout))).values()) == on


def test_nodes_are_spread_over_the_zones():
    zones = [{"zone": name} for name in "xyz"]
    seen = fire(lasting(2), fleet=pool(7, tensor_parallel_size=8, zones=zones))
    assert seen.one.leases.zone.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_one_more_on_a_node_that_is_there_reads_its_disk():
    """10 s to read from the store, 1 s from the disk of the node; process 2 s, compile and warm 1 s each."""
    links = {"store_gb_per_s": WEIGHTS_GB / 10, "node_gb_per_s": WEIGHTS_GB / 10, "disk_gb_per_s": WEIGHTS_GB}
    starts = stages(provision=20, process=2, compile=1, warm=1) | links
    seen = fire(lasting(40), fleet=pool(), startup=starts, **scheduled(t5=2))
    asked, ready = seen.life(1)[0], seen.life(1)[-1]
    assert (asked, ready) == ((5.0, State.REQUESTED), (5.0 + 2 + 1 + 1 + 1, State.READY))
    cold = starts | {"cold": True}  # the first one brings the weights, from 22 s to 32 s
    seen = fire(lasting(60), fleet=pool(), startup=cold, **scheduled(t40=2))
    assert [seen.life(place)[-1][0] for place in (0, 1)] == [20 + 2 + 10 + 1 + 1, 40 + 2 + 1 + 1 + 1]
    wide = {"tensor_parallel_size": 8}  # has to come with a node of its own
    seen = fire(lasting(60), fleet=pool(**wide), startup=starts, **scheduled(t5=2))
    assert seen.life(1)[-1] == (5.0 + 20 + 2 + 10 + 1 + 1, State.READY)


def test_two_that_recover_at_once_take_twice_as_long_to_load():
    """The store gives one replica its weights in 3 s and two in 6 s; their nodes are lost together at 5 s."""
    links = {"store_gb_per_s": WEIGHTS_GB / 3, "node_gb_per_s": 2 * WEIGHTS_GB}
    zone = {"kind": "drill", "of": "zone", "at_s": 5.0}
    gone = {"node_grace_s": 1.0, "toleration_s": 1.0}
    for replicas, load_s in ((1, 3.0), (2, 6.0)):
        seen = fire(
            lasting(30),
            fleet=pool(replicas, tensor_parallel_size=8),
            failures=[zone],
            recovery=gone,
            startup=AT_ONCE | links,
        )
        assert seen.entered(State.LOADING) == [7.0] * replicas
        assert seen.entered(State.READY)[replicas:] == [7.0 + load_s] * replicas


def test_who_drains_finishes_what_it_has_and_gets_nothing_new():
    """Requests of 400 steps; from 3 s on one replica is enough."""
    long = {"num_prompts": 40, "arrivals": {"kind": "constant", "request_rate": 4.0}, "lengths": lengths(50, 400)}
    seen = fire(long, fleet=pool(2), startup=AT_ONCE, **scheduled(t3=1))
    one = seen.one
    (away,) = {int(place) for place in one.timeline.replica[one.timeline.state == State.DRAINING]}
    assert (one.outcome == Outcome.FINISHED).all()
    mine = one.replica == away
    assert one.sent_ns[mine].max() < 3 * NS_PER_S
    last = one.last_token_ns[mine].max()
    assert last > 3 * NS_PER_S, "it had something to finish"
    lines = one.timeline
    assert lines.time_ns[(lines.replica == away) & (lines.state == State.GONE)].tolist() == [last]
    assert sorted(one.leases.end_ns.tolist()) == [last, one.end_ns], "paid for to its end, and no longer"


def test_what_outlasts_the_time_to_drain_is_lost():
    long = {"num_prompts": 40, "arrivals": {"kind": "constant", "request_rate": 4.0}, "lengths": lengths(50, 400)}
    seen = fire(long, fleet=pool(2), startup=AT_ONCE, recovery={"drain_s": 0.5}, **scheduled(t3=1))
    one = seen.one
    assert seen.entered(State.GONE) == [3.5]
    lost = one.outcome == Outcome.FAILED
    assert lost.any()
    assert (one.ended_ns[lost] == 3.5 * NS_PER_S).all()


def test_those_that_do_not_serve_yet_go_first():
    """Three at 1 s, of which one takes 60 s to start, and two again at 5 s."""
    seen = fire(lasting(20), fleet=pool(2), startup=stages(process=60), **scheduled(t1=3, t5=2))
    assert seen.life(2)[-1] == (5.0, State.GONE)
    assert seen.entered(State.DRAINING) == []


def test_of_those_that_serve_the_least_busy_goes():
    """One seat each: the first request, of 400 steps, keeps replica 0 busy, and replica 1 is idle at 1 s."""
    work = {"num_prompts": 20, "arrivals": {"kind": "constant", "request_rate": 0.45}, "lengths": lengths(50, 400)}
    seen = fire(
        work,
        fleet=pool(2),
        engine=ENGINE | {"max_num_seqs": 1},
        router={"kind": "round_robin"},
        startup=AT_ONCE,
        **scheduled(t3=1),
    )
    sent = seen.one.sent_ns / NS_PER_S
    busy = int(seen.one.replica[np.flatnonzero(sent <= 3)[-1]])
    (away,) = {int(place) for place in seen.one.timeline.replica[seen.one.timeline.state == State.DRAINING]}
    assert away == 1 - busy


@pytest.mark.parametrize(("billed_by", "gpus"), [("gpu", [1, 1]), ("node", [8])])
def test_leases_run_from_when_an_instance_runs_to_when_it_is_given_back(billed_by, gpus):
    """Asked for at 0, there from 3 s on, both replicas on one node; no end but that of the run."""
    starts = stages(provision=3, boot=4) | {"cold": True}
    seen = fire(lasting(20), fleet=pool(2), startup=starts, cost={"billed_by": billed_by})
    leases = seen.one.leases
    assert leases.gpus.tolist() == gpus
    assert (leases.start_ns == 3 * NS_PER_S).all()
    assert (leases.end_ns == seen.one.end_ns).all()


def test_a_node_is_given_back_with_its_last_replica():
    seen = fire(lasting(20), fleet=pool(9), startup=AT_ONCE, cost={"billed_by": "node"}, **scheduled(9, t4=8))
    assert seen.one.leases.end_ns.tolist() == [seen.one.end_ns, 4 * NS_PER_S]
    assert seen.entered(State.GONE, Cause.PLAN) == [4.0]


def test_owned_gpus_have_no_room_for_more():
    seen = fire(lasting(20), fleet=pool(2, market="owned"), startup=AT_ONCE, **scheduled(t4=4))
    assert len(seen.one.timeline.time_ns) == 2, "nothing but the two that are ready at 0"
    assert seen.one.leases.gpus.tolist() == [2]
