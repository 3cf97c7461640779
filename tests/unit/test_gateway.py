"""Admission and the doors of dead replicas, request by request."""

import numpy as np
import pytest

from sim.result import Ending, Outcome
from sim.units import NS_PER_S
from tests.unit.calibrated import written
from tests.unit.small_fleet import ENGINE, SMALL, lengths
from tests.unit.under_fire import AT_ONCE, fire

ONE = [{"pool": "a", "gpu": "h100-sxm-80gb"}]
TWO = [ONE[0] | {"replicas": 2}]
IN_TURN = {"kind": "round_robin"}
HUNG = {"kind": "drill", "of": "replica", "at_s": 0.0, "hang": True}
PATIENCE = {"timeout_s": 100.0}
ONE_SEAT = ENGINE | {"max_num_seqs": 1}


def burst(requests: int, output: int = 200, **more) -> dict:
    """All at once, or nearly: 1 us apart."""
    arrivals = {"kind": "constant", "request_rate": 1e6}
    return {"num_prompts": requests, "arrivals": arrivals, "lengths": lengths(50, output)} | more


def outcomes(seen) -> list[str]:
    return [Outcome(one).name for one in seen.one.outcome.tolist()]


def test_a_server_takes_no_more_than_max_num_queued_reqs():
    """Running ones count, as in vLLM; who comes when one has left is taken."""
    engine = ONE_SEAT | {"max_num_queued_reqs": 3}
    seen = fire(burst(10), fleet=ONE, engine=engine)
    assert outcomes(seen) == ["FINISHED"] * 3 + ["SHED"] * 7
    apart = {"arrivals": {"kind": "constant", "request_rate": 0.2}}  # each takes about 1.4 s
    assert outcomes(fire(burst(10) | apart, fleet=ONE, engine=engine)) == ["FINISHED"] * 10


def test_the_cap_is_each_servers_own():
    seen = fire(burst(10), fleet=TWO, router=IN_TURN, engine=ONE_SEAT | {"max_num_queued_reqs": 3})
    assert outcomes(seen) == ["FINISHED"] * 6 + ["SHED"] * 4


@pytest.mark.parametrize(("above", "taken"), [(2.0, 5), (2.5, 6), (4.9, 10)])
def test_shedding_begins_above_a_mean_over_the_replicas(above, taken):
    """Two replicas: request k finds k unfinished ones, k / 2 a replica, and is shed where that is more."""
    seen = fire(burst(12), fleet=TWO, admission={"shed_above": above})
    assert outcomes(seen) == ["FINISHED"] * taken + ["SHED"] * (12 - taken)


def test_the_urgent_are_spared():
    classes = [{"name": name, "share": 1, "priority": priority} for name, priority in (("vip", 0), ("bulk", 5))]
    seen = fire(burst(40, classes=classes), fleet=ONE, admission={"shed_above": 3.0, "spare_priority": 0})
    vip = np.array(seen.one.requests.classes)[seen.one.requests.klass] == "vip"
    assert 10 < vip.sum() < 30
    assert (seen.one.outcome[vip] == Outcome.FINISHED).all()
    unfinished = 0
    for urgent, outcome in zip(vip, seen.one.outcome, strict=True):
        assert urgent or (outcome == Outcome.SHED) == (unfinished > 3)
        unfinished += outcome == Outcome.FINISHED


def test_the_urgent_are_served_first():
    """One seat, the priority policy: when the first has left, all urgent ones go before all others."""
    classes = [{"name": name, "share": 1, "priority": priority} for name, priority in (("vip", 0), ("bulk", 5))]
    engine = ONE_SEAT | {"scheduling_policy": "priority"}
    one = fire(burst(20, 20, classes=classes), fleet=ONE, engine=engine).one
    turn = np.argsort(one.last_token_ns)[1:]
    vip = (np.array(one.requests.classes)[one.requests.klass] == "vip")[turn]
    assert vip.tolist() == sorted(vip.tolist(), reverse=True)
    assert 0 < vip.sum() < len(vip)


def test_who_waits_too_long_in_the_queue_is_dropped():
    """One seat, answers of about 1.4 s: of four that come together, the third still waits after 2 s."""
    seen = fire(burst(4), fleet=ONE, engine=ONE_SEAT, admission={"queue_timeout_s": 2.0})
    one = seen.one
    assert outcomes(seen) == ["FINISHED"] * 2 + ["SHED"] * 2
    assert one.first_scheduled_ns[1] - one.sent_ns[1] < 2 * NS_PER_S < one.last_token_ns[1] - one.sent_ns[1]
    assert (one.ended_ns - one.sent_ns)[2:].tolist() == [2 * NS_PER_S] * 2
    assert one.tries.ending.tolist()[2:] == [Ending.DROPPED] * 2
    assert one.tries.tokens.tolist()[2:] == [0, 0], "nothing was computed for them"


def test_where_nobody_is_ready_it_is_503():
    starts = AT_ONCE | {"process": {"kind": "fixed", "s": 5.0}, "cold": True}
    work = burst(10) | {"arrivals": {"kind": "constant", "request_rate": 0.7}}
    one = fire(work, fleet=ONE, startup=starts, recovery={"health": {"period_s": 0.1}}).one
    early = one.sent_ns < 5 * NS_PER_S
    assert (one.outcome[early] == Outcome.FAILED).all()
    assert (one.outcome[one.sent_ns > 5.1 * NS_PER_S] == Outcome.FINISHED).all()
    assert set(one.tries.ending[: int(early.sum())].tolist()) == {Ending.UNAVAILABLE}
    assert (one.ended_ns == one.sent_ns)[early].all()


def test_a_router_keeps_to_itself_what_a_hung_replica_holds():
    """Least outstanding: the hung one is given as many as the other has, and no more; that is how a hang hides."""
    router = {"kind": "least_outstanding"}
    one = fire(burst(20), fleet=TWO, router=router, failures=[HUNG], clients=PATIENCE | {"timeout_s": 20.0}).one
    stuck = one.replica == 0
    assert stuck.sum() == 10
    assert (one.outcome[stuck] == Outcome.TIMED_OUT).all()
    assert (one.outcome[~stuck] == Outcome.FINISHED).all()


def test_what_is_in_the_front_end_of_a_process_that_crashes_is_lost_with_it(tmp_path):
    """The front end takes 0.5 s; a crash at 1.25 s finds the request of 1 s in it, and refuses that of 1.5 s."""
    path = written(tmp_path, {"frontend_s": 0.5}, models=(SMALL,), tensor_parallel_sizes=(1,))["calibration"]
    seen = fire(
        burst(3, 4) | {"arrivals": {"kind": "constant", "request_rate": 2.0}},
        tmp_path,
        fleet=ONE,
        failures=[HUNG | {"at_s": 1.25, "hang": False}],
        step_time={"kind": "calibrated", "calibration": path},
    )
    one = seen.one
    assert (one.sent_ns / NS_PER_S).tolist() == [0.5, 1.0, 1.5]
    assert outcomes(seen) == ["FINISHED", "FAILED", "FAILED"]
    assert (one.ended_ns[1:] / NS_PER_S).tolist() == [1.25, 1.5]
    assert one.queued_ns.tolist() == [NS_PER_S, -1, -1]


def test_a_smaller_server_refuses_what_another_takes():
    """Pools of 512 and 256 tokens of context, in turn: of six requests of 400, every second one is refused."""
    pools = [ONE[0], ONE[0] | {"pool": "b", "engine": {"max_model_len": 256}}]
    work = burst(6) | {"lengths": lengths(300, 100)}
    assert outcomes(fire(work, fleet=pools, router=IN_TURN)) == ["FINISHED", "REJECTED"] * 3
