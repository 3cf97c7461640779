"""Failures, and how they are noticed and mended, by hand arithmetic."""

import numpy as np
import pytest

from sim.fleet.nodes import BROKEN, FREE
from sim.result import Cause, Ending, Outcome, State
from sim.units import NS_PER_S
from tests.unit.small_fleet import lengths
from tests.unit.under_fire import AT_ONCE, Watched, fire, stages

STARTS = stages(provision=20, boot=10, image=30, process=4, compile=2, warm=1)
"""67 s from nothing, 7 s on a node that is there; the weights take no time."""
OLD_KUBERNETES = {"node_grace_s": 40.0, "toleration_s": 300.0}


def lasting(seconds: int, per_s: float = 2.0) -> dict:
    """Short requests at a constant rate."""
    arrivals = {"kind": "constant", "request_rate": per_s}
    return {"num_prompts": int(seconds * per_s), "arrivals": arrivals, "lengths": lengths(50, 4)}


def struck(of: str, at_s: float = 100.0, **more) -> list[dict]:
    return [{"kind": "drill", "of": of, "at_s": at_s} | more]


def pool(replicas: int = 1, **more) -> list[dict]:
    return [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": replicas} | more]


def losses(seen: Watched) -> tuple[np.ndarray, np.ndarray]:
    """When requests that were lost were sent, and when their clients knew, s."""
    one = seen.one
    lost = one.outcome == Outcome.FAILED
    return one.sent_ns[lost] / NS_PER_S, one.ended_ns[lost] / NS_PER_S


def changes(seen: Watched, place: int, since: float = 100.0) -> list[tuple[float, str]]:
    return [(at, state.name) for at, state in seen.life(place) if at >= since]


def test_a_crashed_process_starts_again_on_the_spot():
    seen = fire(lasting(130), fleet=pool(), failures=struck("replica"), recovery={"restart_s": 3.0}, startup=STARTS)
    assert changes(seen, 0) == [
        (100, "DEAD"),
        (103, "STARTING"),
        (107, "LOADING"),
        (107, "COMPILING"),
        (109, "WARMING"),
        (110, "READY"),
    ]
    assert len(seen.one.leases.gpus) == 1, "one lease all through"


def test_connections_to_a_crashed_process_break_at_once():
    """Until the checks have failed (period 10 s, the third one): 20 to 30 s; then nobody is ready (503)."""
    seen = fire(lasting(150), fleet=pool(), failures=struck("replica"), startup=stages(process=300))
    sent, ended = losses(seen)
    assert sent.min() == pytest.approx(100, abs=0.51)
    assert (sent[1:] == ended[1:]).all(), "refused when they are sent (one may be inside when the process dies)"
    endings = seen.one.tries.ending[seen.one.tries.sent_ns > 100 * NS_PER_S]
    refused = np.count_nonzero(endings == Ending.LOST)
    assert 20 * 2 - 1 <= refused <= 30 * 2 + 1
    assert set(endings[refused:]) == {Ending.UNAVAILABLE}


def test_a_process_that_crashes_again_waits_longer():
    """kubelet: none, 10 s, 20 s, 40 s; all within ten minutes of the one before. A start takes 7 s."""
    again = [one for at in (100.0, 120.0, 150.0, 200.0) for one in struck("replica", at)]
    seen = fire(lasting(270, 0.5), fleet=pool(), failures=again, startup=STARTS)
    assert seen.entered(State.DEAD) == [100, 120, 150, 200]
    assert seen.entered(State.READY)[1:] == [100 + 7, 120 + 10 + 7, 150 + 20 + 7, 200 + 40 + 7]


def test_ten_minutes_later_a_crash_is_forgiven():
    again = struck("replica") + struck("replica", 701.0)
    seen = fire(lasting(720, 0.1), fleet=pool(), failures=again, startup=STARTS)
    assert seen.entered(State.READY)[1:] == [107, 708]


def test_a_lost_node_is_replaced_after_grace_and_toleration():
    """Kubernetes before 1.32: noticed after 40 s, evicted 300 s later; only then is another node asked for."""
    seen = fire(lasting(520, 0.5), fleet=pool(), failures=struck("node"), recovery=OLD_KUBERNETES, startup=STARTS)
    assert changes(seen, 0) == [
        (100, "DEAD"),
        (440, "GONE"),
        (440, "REQUESTED"),
        (460, "BOOTING"),
        (470, "IMAGE"),
        (500, "STARTING"),
        (504, "LOADING"),
        (504, "COMPILING"),
        (506, "WARMING"),
        (507, "READY"),
    ]
    leases = seen.one.leases
    assert (leases.start_ns / NS_PER_S).tolist() == [0, 460]
    assert (leases.end_ns / NS_PER_S).tolist()[0] == 440, "paid for until it is given up"


def test_clients_of_a_lost_node_hear_nothing_until_it_is_ejected():
    """All that was sent since then, and what was inside, fails at one instant, 20 to 30 s later."""
    seen = fire(lasting(140), fleet=pool(2), router={"kind": "round_robin"}, failures=struck("zone"), startup=STARTS)
    tries = seen.one.tries
    lost = tries.ending == Ending.LOST
    sent, ended = losses(seen)
    broken = np.unique(ended[np.isin(np.flatnonzero(seen.one.outcome == Outcome.FAILED), tries.request[lost])])
    assert len(broken) == 2, "each of the two is ejected by its own checks"
    assert ((broken >= 120) & (broken <= 130)).all()
    assert sent.min() == pytest.approx(100, abs=0.51)


@pytest.mark.parametrize(("failures", "after"), [(1, (0, 10)), (3, (20, 30)), (6, (50, 60))])
def test_it_is_out_after_so_many_failed_checks_and_in_after_so_many_good_ones(failures, after):
    """Round robin over two: every other request is refused until the checks have failed; in again as checks succeed."""
    health = {"health": {"failures": failures, "successes": 2}}
    seen = fire(
        lasting(230),
        fleet=pool(2),
        router={"kind": "round_robin"},
        failures=struck("replica"),
        recovery=health,
        startup=stages(process=70),
    )
    sent, _ = losses(seen)
    assert after[0] <= sent.max() + 1 - 100
    assert sent.max() - 100 <= after[1]
    assert len(sent) == pytest.approx(sent.max() - 100, abs=2)
    (ready,) = seen.entered(State.READY)[2:]
    assert ready == 170
    answered = seen.one.sent_ns[(seen.one.replica == 0) & (seen.one.outcome == Outcome.FINISHED)] / NS_PER_S
    assert 170 + 10 <= answered[answered > 100].min() <= 170 + 20 + 1


def test_a_hung_engine_passes_liveness_checks():
    """It stays as it is; its clients give up."""
    patience = {"timeout_s": 5.0}
    seen = fire(lasting(150), fleet=pool(), failures=struck("replica", hang=True), clients=patience, startup=STARTS)
    assert changes(seen, 0) == [(100, "HUNG")]
    late = seen.one.sent_ns > 100 * NS_PER_S
    assert (seen.one.outcome[late] == Outcome.TIMED_OUT).all()
    assert (seen.one.ended_ns - seen.one.sent_ns)[late].tolist() == [5 * NS_PER_S] * int(late.sum())


def test_an_inference_probe_sees_it_and_restarts_it():
    probe = {"health": {"probe": "inference"}}
    seen = fire(lasting(150), fleet=pool(), failures=struck("replica", hang=True), recovery=probe, startup=STARTS)
    (hung,), (dead,), (_, ready) = (seen.entered(state) for state in (State.HUNG, State.DEAD, State.READY))
    assert hung == 100
    assert 120 <= dead <= 130
    assert ready == pytest.approx(dead + 7, abs=0.002)
    _, ended = losses(seen)
    assert ended.min() == pytest.approx(dead, abs=0.002), "what it held fails when it is killed"


def test_a_broken_gpu_leaves_the_node_to_the_others():
    """Three of TP 2 on a node of eight: the one that lost a GPU moves to the pair that is left, weights and all."""
    seen = fire(lasting(150), fleet=pool(3, tensor_parallel_size=2), failures=struck("gpu", index=1), startup=STARTS)
    (gone,) = seen.entered(State.GONE, Cause.GPU)
    assert 120 <= gone <= 130, "when the checks have failed"
    assert seen.entered(State.READY)[3:] == [pytest.approx(gone + 7, abs=0.002)]
    assert set(seen.one.timeline.node.tolist()) == {0}
    assert seen.fleet.nodes[0].gpus == [0, 0, BROKEN, 1, 2, 2, 1, FREE]


def test_on_full_owned_nodes_a_broken_gpu_is_missed_until_it_is_repaired():
    seen = fire(
        lasting(200),
        fleet=pool(2, tensor_parallel_size=4, market="owned"),
        failures=struck("gpu"),
        recovery={"repair": {"kind": "fixed", "s": 60.0}},
        startup=STARTS,
    )
    assert seen.entered(State.READY)[2:] == [100 + 60 + 7]
    assert (seen.one.leases.gpus.tolist(), seen.one.leases.end_ns.tolist()) == ([8], [seen.one.end_ns])


def test_owned_nodes_that_nobody_repairs_are_not_there_any_more():
    seen = fire(lasting(500, 0.5), fleet=pool(2, tensor_parallel_size=8, market="owned"), failures=struck("node"))
    assert changes(seen, 0) == [(100, "DEAD"), (100 + 50 + 300, "GONE")]


def test_one_crew_repairs_one_node_after_the_other():
    """Two nodes are lost together; each repair takes 30 s, and engines 7 s after it."""
    seen = fire(
        lasting(200),
        fleet=pool(2, tensor_parallel_size=8, market="owned"),
        failures=struck("zone"),
        recovery={"repair": {"kind": "fixed", "s": 30.0}, "repair_crews": 1},
        startup=STARTS,
    )
    assert seen.entered(State.READY)[2:] == [100 + 30 + 7, 100 + 60 + 7]


@pytest.mark.parametrize("of", ["replica", "gpu", "node", "zone"])
def test_a_drill_is_over_when_it_says(of):
    seen = fire(lasting(150), fleet=pool(), failures=struck(of, for_s=12.5), startup=AT_ONCE)
    assert changes(seen, 0) == [(100, "DEAD"), (112.5, "READY")]
    sent, _ = losses(seen)
    assert sent.max() < 112.5
    assert seen.one.outcome[seen.one.sent_ns > 112.5 * NS_PER_S].tolist() == [Outcome.FINISHED] * 75


def test_all_nodes_of_a_replica_die_with_one():
    """TP 8 x PP 2 stands on two nodes; the second is lost."""
    seen = fire(
        lasting(150),
        fleet=pool(tensor_parallel_size=8, pipeline_parallel_size=2),
        failures=struck("node", index=1),
        startup=STARTS,
    )
    assert changes(seen, 0)[0] == (100, "DEAD")


def test_a_request_that_dies_with_its_replica_is_computed_again_elsewhere():
    """Its KV cache is lost: the try that is answered begins with the prompt, and half an answer is thrown away."""
    long = {"num_prompts": 2, "arrivals": {"kind": "constant", "request_rate": 1.0}, "lengths": lengths(100, 400)}
    seen = fire(
        long,
        fleet=pool(2),
        router={"kind": "round_robin"},
        failures=struck("replica", 2.5),
        clients={"retry": {"backoff_s": 0.0}},
        startup=STARTS,
    )
    tries = seen.one.tries
    first, second = (np.flatnonzero(tries.request == tries.request[tries.ending == Ending.LOST][0])[i] for i in (0, -1))
    assert (tries.ending[first], tries.ending[second]) == (Ending.LOST, Ending.ANSWERED)
    assert 0 < tries.produced[first] < 400
    assert (tries.produced[second], tries.cached_tokens[second]) == (400, 0)
    assert tries.tokens[second] == 100 + 400 - 1
    assert seen.one.last_token_ns[tries.request[second]] == tries.left_ns[second]
