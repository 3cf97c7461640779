"""The control loop in a run: when it decides, what it sees, and how long its decisions take to be of use."""

import pytest

from sim.result import Cause, State
from sim.scenario.scenario import Scenario
from sim.units import NS_PER_S
from tests.unit.small_fleet import ENGINE, lengths, scenario
from tests.unit.under_fire import AT_ONCE, Watched, fire, stages, watch

ONE = [{"pool": "a", "gpu": "h100-sxm-80gb"}]
START = stages(process=6)
"""A replica is ready 6 s after it is asked for."""


def traffic(seconds: float, per_s: float = 2.0, output: int = 4) -> dict:
    arrivals = {"kind": "constant", "request_rate": per_s}
    return {"num_prompts": round(seconds * per_s), "arrivals": arrivals, "lengths": lengths(50, output)}


def scaled(kind: str, **how) -> dict:
    """A block with one autoscaler, which decides every 10 s and scales down at once unless it says otherwise."""
    base = {"kind": kind, "pool": "a", "max_replicas": 8, "interval_s": 10.0, "scale_down_window_s": 0.0}
    return {"autoscalers": [base | how]}


def tracking(target: float, metric: str = "requests_per_s", **how) -> dict:
    return scaled("target_tracking", metric=metric, target=target, **how)


def replicas(seen: Watched) -> dict[float, int]:
    """Replicas that stand from each time at which one comes or goes on."""
    lines = seen.one.timeline
    there, at_time = set(), {}
    for at, place, state in zip(lines.time_ns.tolist(), lines.replica.tolist(), lines.state.tolist(), strict=True):
        if state in (State.DRAINING, State.GONE):
            there.discard(place)
        else:
            there.add(place)
        at_time[round(at / NS_PER_S, 2)] = len(there)
    changes, before = {}, 0
    for at, count in at_time.items():
        if count != before:
            changes[at] = before = count
    return changes


def test_the_first_decision_comes_one_interval_after_the_start():
    seen = fire(traffic(40), fleet=ONE, startup=START, **scaled("schedule", steps=[{"at_s": 0, "replicas": 3}]))
    assert replicas(seen) == {0: 1, 10: 3}
    assert seen.entered(State.REQUESTED, Cause.SCALING) == [10, 10]
    assert seen.entered(State.READY) == [0, 16, 16]


def test_what_comes_too_late_is_of_no_use_before_it_is_ready():
    """Cold start 6 s, then up to a check's 10 s until the gateway knows: nothing is served there before."""
    seen = fire(traffic(40), fleet=ONE, startup=START, **scaled("schedule", steps=[{"at_s": 0, "replicas": 2}]))
    sent = seen.one.sent_ns[seen.one.replica == 1] / NS_PER_S
    assert 16 <= sent.min() <= 26.5
    assert len(sent) == pytest.approx((40 - sent.min()) * 2 / 2, abs=2), "then half of the requests"


def test_arrivals_are_counted_over_the_interval():
    """6 requests a second, 2 a replica; counted exactly, for one is sent every 1/6 s."""
    seen = fire(traffic(35, 6.0), fleet=ONE, startup=AT_ONCE, **tracking(2.0))
    assert replicas(seen) == {0: 1, 10: 3}


def test_a_queue_is_seen_as_it_is_at_the_decision():
    """30 at once on two seats, answers of 400 steps (some 3 s): at 1 s 28 wait, and one replica is for ten."""
    work = traffic(30e-6, 1e6, 400)
    engine = ENGINE | {"max_num_seqs": 2}
    seen = fire(
        work, fleet=ONE, engine=engine, startup=START, **scaled("queue", waiting_per_replica=10.0, interval_s=1.0)
    )
    assert replicas(seen)[1.0] == 3


def test_the_delay_of_the_metrics_is_waited_out():
    """At 10, 20 and 30 s nothing is as old as 25 s; at 40 s the numbers of 10 s are."""
    seen = fire(traffic(60, 6.0), fleet=ONE, startup=AT_ONCE, **tracking(2.0, metric_delay_s=25.0))
    assert replicas(seen) == {0: 1, 40: 3}


def test_scaling_in_waits_until_the_highest_wish_is_out_of_the_window(tmp_path):
    """6 a second up to 30 s, one at 120 s: at 30 s three are wished for the last time, and the window is 40 s."""
    times = [0.1 + i / 6 for i in range(179)] + [120.0]
    rows = [f"{at},50,4" for at in times]
    (tmp_path / "calls.csv").write_text("\n".join(["arrival_s,input_tokens,output_tokens", *rows]) + "\n")
    work = {"kind": "trace", "path": "calls.csv", "format": "csv"}
    blocks = {"fleet": ONE, "startup": AT_ONCE} | tracking(2.0, scale_down_window_s=40.0)
    seen = watch(Scenario.model_validate(scenario({}).model_dump() | {"workload": work} | blocks), tmp_path)
    assert replicas(seen) == {0: 1, 10: 3, 70: 1}


def test_bounds_hold():
    seen = fire(traffic(35, 6.0), fleet=ONE, startup=AT_ONCE, **tracking(0.5, max_replicas=4))
    assert max(replicas(seen).values()) == 4
    low = fire(traffic(35), fleet=[ONE[0] | {"replicas": 3}], startup=AT_ONCE, **tracking(1000.0, min_replicas=2))
    assert replicas(low) == {0: 3, 10: 2}


def test_two_pools_have_a_controller_each():
    pools = [ONE[0], ONE[0] | {"pool": "b"}]
    steps = {"steps": [{"at_s": 0, "replicas": 2}]}
    both = (
        scaled("schedule", **steps)["autoscalers"]
        + scaled("schedule", pool="b", interval_s=15.0, **steps)["autoscalers"]
    )
    seen = fire(traffic(40), fleet=pools, startup=AT_ONCE, autoscalers=both)
    asked = seen.one.timeline.state == State.REQUESTED
    places = seen.one.timeline.replica[asked]
    assert (seen.one.timeline.time_ns[asked] / NS_PER_S).tolist() == [10, 15]
    assert [seen.run.replicas[place].pool for place in places] == ["a", "b"]


def test_a_replica_that_dies_is_not_the_autoscalers_business():
    """Kubernetes brings it back; the number that is wanted stays, and so does the number that stands."""
    crash = {"kind": "drill", "of": "replica", "at_s": 12.0}
    seen = fire(
        traffic(60, 6.0),
        fleet=[ONE[0] | {"replicas": 3}],
        failures=[crash],
        clients={"retry": {"backoff_s": 0.1}},
        startup=START,
        **scaled("schedule", steps=[{"at_s": 0, "replicas": 3}]),
    )
    assert replicas(seen) == {0: 3}
    assert seen.entered(State.READY) == [0, 0, 0, 18]
