"""Random small fleets, run end to end: conservation, Little's law, and the limits in which fleets degenerate."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.metrics import peak_in_flight
from sim.result import Outcome, Replication
from tests.unit.small_fleet import ENGINE, SMALL, lengths, replicate

OTHER = "llama-3.1-8b"
ROUTERS = st.sampled_from(
    [{"kind": "round_robin"}, {"kind": "random"}]
    + [
        {"kind": kind, "staleness_ms": staleness}
        for kind in ("least_outstanding", "power_of_two", "vllm_dp", "kv_aware", "prefix_affinity")
        for staleness in (0, 20, 1000)
    ]
)
ARRIVALS = st.sampled_from(
    [
        {"kind": "poisson", "request_rate": 20.0},
        {"kind": "poisson", "request_rate": 300.0},
        {"kind": "gamma", "request_rate": 60.0, "burstiness": 0.2},
        {"kind": "constant", "request_rate": 100.0},
        {"kind": "closed_loop", "concurrency": 1},
        {"kind": "closed_loop", "concurrency": 9},
        {"kind": "closed_loop", "concurrency": 500},
    ]
)
ENGINES = st.fixed_dictionaries(
    {
        "max_num_seqs": st.sampled_from([1, 3, 16]),
        "max_num_batched_tokens": st.sampled_from([16, 100, 512]),
        "num_gpu_blocks_override": st.sampled_from([34, 50, 200]),
        "enable_prefix_caching": st.booleans(),
        "async_scheduling": st.booleans(),
        "scheduling_policy": st.sampled_from(["fcfs", "priority"]),
        "long_prefill_token_threshold": st.sampled_from([0, 40]),
    }
).map(lambda chosen: ENGINE | chosen)


@st.composite
def fleets(draw) -> dict:
    """Workload and blocks of a scenario: one or two models, several pools, classes, sessions, refusals, stops."""
    arrivals = draw(ARRIVALS)
    classes = [{"name": "main", "share": 3, "priority": 1}]
    pools = [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": draw(st.integers(1, 3))}]
    if draw(st.booleans()):
        pools.append({"pool": "b", "gpu": "a100-sxm-80gb", "model": OTHER})
        classes.append({"name": "other", "share": 2, "model": OTHER})
    if draw(st.booleans()):
        pools.append({"pool": "c", "gpu": "h100-sxm-80gb"})
    if draw(st.booleans()):
        classes.append({"name": "long", "share": 1, "lengths": lengths(450, 100, 0.5), "priority": 0})
    workload: dict = {"num_prompts": draw(st.sampled_from([1, 30, 80])), "arrivals": arrivals, "classes": classes}
    workload["lengths"] = lengths(*draw(st.sampled_from([(100, 30), (30, 100), (60, 1)])), 0.8)
    if draw(st.booleans()):
        workload["shared_prefix"] = {"tokens": draw(st.sampled_from([16, 100])), "prompts": 2}
    if arrivals["kind"] != "closed_loop" and draw(st.booleans()):
        workload["sessions"] = {"turns": 3, "think_s": draw(st.sampled_from([0, 0.2]))}
    run: dict = {"replications": 1, "seed": draw(st.integers(0, 1000))}
    if draw(st.integers(0, 3)) == 0:
        run["max_time_s"] = draw(st.sampled_from([0.01, 0.3, 1.0]))
    return {"workload": workload, "engine": draw(ENGINES), "fleet": pools, "router": draw(ROUTERS), "run": run}


def serve(case: dict) -> Replication:
    """Simulate (which asserts the invariants of sim.report too)."""
    blocks = {key: value for key, value in case.items() if key != "workload"}
    return replicate(case["workload"], **blocks)


@settings(max_examples=200, deadline=None)
@given(fleets())
def test_conservation(case):
    one = serve(case)
    drawn, counters = one.requests, one.counters
    outcome = Counter(one.outcome.tolist())
    assert sum(outcome.values()) == len(drawn)
    done, refused = one.outcome == Outcome.FINISHED, one.outcome == Outcome.REJECTED
    unsent, in_flight = one.outcome == Outcome.NOT_SENT, one.outcome == Outcome.IN_FLIGHT
    assert (refused == ((drawn.prompt_tokens + drawn.max_tokens > 512) & ~unsent)).all()
    if "max_time_s" not in case["run"]:
        assert not unsent.any()
        assert not in_flight.any()
    # each model's requests go to its own replicas
    model_of = [pool.get("model", SMALL) for pool in case["fleet"] for _ in range(pool.get("replicas", 1))]
    asked = np.array([OTHER if name == "other" else SMALL for name in drawn.classes])[drawn.klass]
    inside = done | in_flight
    assert (np.array(model_of)[one.replica[inside]] == asked[inside]).all()
    # a later turn comes after its answer, at its pause; one whose answer never came is not sent
    later = np.flatnonzero((drawn.after >= 0) & ~unsent)
    before = drawn.after[later]
    ended = np.where(refused[before], one.sent_ns[before], one.last_token_ns[before])
    assert (one.sent_ns[later] == ended + drawn.arrival_ns[later]).all()
    if drawn.concurrency is not None and not refused.any():
        assert peak_in_flight(one) == min(drawn.concurrency, len(drawn) - int(unsent.sum()))
    for replica, row in enumerate(counters):
        here = inside & (one.replica == replica)
        assert row["busy_ns"] <= one.end_ns
        assert row["peak_running"] <= min(case["engine"]["max_num_seqs"], int(here.sum()))
        assert row["block_ns"] <= (case["engine"]["num_gpu_blocks_override"] - 1) * one.end_ns
        left = np.where(done, one.last_token_ns, one.end_ns)
        assert row["system_ns"] == (left - one.sent_ns)[here].sum()
        if in_flight.any():
            continue
        assert row["preemptions"] == one.preemptions[here].sum()
        assert row["sampled"] == drawn.output_tokens[here].sum()
        if row["preemptions"] == 0:
            tokens = drawn.prompt_tokens.astype(np.int64) + drawn.output_tokens - 1 - one.cached_tokens
            assert row["prefill_tokens"] + row["decode_tokens"] == tokens[here].sum()
            assert row["waiting_ns"] == (one.first_scheduled_ns - one.sent_ns)[here].sum()
            if case["engine"]["scheduling_policy"] == "fcfs":
                # requests sent in the same nanosecond (turns of two sessions) may be served in either order
                arrival = np.lexsort((one.first_scheduled_ns[here], one.sent_ns[here]))
                assert (np.diff(one.first_scheduled_ns[here][arrival]) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(fleets(), ROUTERS)
def test_one_replica_leaves_routers_no_choice(case, other):
    case["fleet"] = [{"pool": "a", "gpu": "h100-sxm-80gb"}]
    case["workload"]["classes"] = [klass for klass in case["workload"]["classes"] if klass["name"] != "other"]
    one, two = serve(case), serve(case | {"router": other})
    for name in ("outcome", "sent_ns", "first_scheduled_ns", "last_scheduled_ns", "last_token_ns", "cached_tokens"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
    assert one.counters.tobytes() == two.counters.tobytes()


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_one_seat_serves_one_after_another_in_order(case):
    case["engine"] |= {"max_num_seqs": 1, "scheduling_policy": "fcfs", "async_scheduling": False}
    one = serve(case)
    for replica in range(len(one.counters)):
        here = np.flatnonzero((one.replica == replica) & (one.outcome == Outcome.FINISHED))
        turn = here[np.argsort(one.sent_ns[here], kind="stable")]
        if "max_time_s" not in case["run"]:
            served = (one.last_token_ns - one.first_scheduled_ns)[turn]
            assert one.counters[replica]["busy_ns"] == served.sum()  # and never idle within a service
        free = np.maximum.accumulate(np.concatenate([[0], one.last_token_ns[turn]]))[:-1]
        assert (one.first_scheduled_ns[turn] == np.maximum(free, one.sent_ns[turn])).all()


@settings(max_examples=40, deadline=None)
@given(fleets())
def test_the_same_scenario_and_seed_give_the_same_bytes(case):
    one, two = serve(case), serve(case)
    for name in ("outcome", "replica", "sent_ns", "first_token_ns", "last_token_ns", "itl_ns", "itl_count"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
    assert one.counters.tobytes() == two.counters.tobytes()
    assert one.end_ns == two.end_ns


@pytest.mark.parametrize("router", ["round_robin", "least_outstanding"])
def test_equal_replicas_share_an_even_load_evenly(router):
    """Constant arrivals of equal requests: each of four replicas does what one does at a quarter of the rate."""
    fleet = [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": 4}]
    even = {"num_prompts": 200, "lengths": lengths(100, 30)}
    faster = {"arrivals": {"kind": "constant", "request_rate": 40.0}}
    four = replicate(even | faster, fleet=fleet, router={"kind": router})
    alone = replicate(
        even | {"num_prompts": 50, "arrivals": {"kind": "constant", "request_rate": 10.0}},
        fleet=[fleet[0] | {"replicas": 1}],
    )
    latency = alone.last_token_ns - alone.sent_ns
    for replica in range(4):
        here = four.replica == replica
        assert ((four.last_token_ns - four.sent_ns)[here] == latency).all()
