"""The recorder: outcomes, counters and gauges against what the requests' own times say."""

import numpy as np
import pytest

from sim.clients import Clients
from sim.recorder import MOST_SAMPLES, GaugeRecorder
from sim.result import Outcome
from sim.world import World
from tests.oracle.station import SECOND, cost, engines, limits, requests
from tests.unit.small_fleet import ENGINE, lengths, replicate, run, scenario

MS = SECOND // 1000


def gauge(sent, output, *, seats, step_ns, until=None):
    """Record the gauges of one replica while it serves; returns them and the requests' rows."""
    drawn = requests(sent, output=output)
    world = World(engines(limits(seats, block_size=4, num_gpu_blocks=101), cost(np.full(seats + 1, step_ns)), drawn))

    def send(request, watched):
        world.engines.enqueue(0, request, int(world.now), watched=watched)
        return True

    clients = Clients(world, drawn, send)
    world.at_work = lambda: clients.to_send > 0 or world.engines.unfinished > 0
    recorder = GaugeRecorder(world, lambda: [0])
    world.run(until=until)
    rows = world.engines.state.requests
    return recorder.gauges(int(rows["last_token_ns"].max())), rows


def test_gauges_are_what_the_requests_times_say():
    """Arrivals and steps never fall on a sample: 50 ms apart, steps of 7 ms."""
    rng = np.random.default_rng(0)
    sent = np.sort(rng.integers(0, 4 * SECOND, 120)) // 50 * 50 + 7
    gauges, rows = gauge(sent, rng.integers(1, 60, 120), seats=4, step_ns=7 * MS + 1)
    at = gauges.time_ns
    assert at.tolist() == [50 * MS * i for i in range(len(at))]
    assert at[-1] <= rows["last_token_ns"].max() < at[-1] + 50 * MS

    def so_far(name):
        return (rows[name][None, :] < at[:, None]).sum(axis=1)

    assert gauges.waiting.tolist() == (so_far("arrival_ns") - so_far("first_scheduled_ns")).tolist()
    assert gauges.running.tolist() == (so_far("first_scheduled_ns") - so_far("last_token_ns")).tolist()
    assert gauges.waiting.max() > 10
    # a request at its k-th step holds the blocks of its first k tokens, four each
    steps = (at[:, None] - rows["first_scheduled_ns"]) // (7 * MS + 1) + 1
    inside = (rows["first_scheduled_ns"] < at[:, None]) & (rows["last_token_ns"] > at[:, None])
    used = np.where(inside, -(-steps // 4), 0).sum(axis=1)
    assert gauges.kv_cache_usage == pytest.approx(used / 100)


def test_a_long_run_has_few_samples_evenly_spaced_from_the_start():
    gauges, rows = gauge([0, 300 * SECOND], [1, 1], seats=1, step_ns=SECOND)
    assert MOST_SAMPLES / 2 <= len(gauges.time_ns) <= MOST_SAMPLES
    assert gauges.time_ns.tolist() == [400 * MS * i for i in range(len(gauges.time_ns))]  # 50 ms doubled three times
    assert rows["last_token_ns"][1] - gauges.time_ns[-1] < 400 * MS


def test_outcomes_and_times_of_a_run_that_is_stopped():
    """60 requests at 20/s and a stop at 2 s; every tenth is too long for the model."""
    long = {"name": "long", "share": 1, "lengths": lengths(600, 10)}
    short = {"name": "short", "share": 9, "lengths": lengths(100, 40)}
    whole = replicate({"classes": [long, short]})
    one = replicate({"classes": [long, short]}, run={"replications": 1, "max_time_s": 2.0})
    assert one.end_ns == 2 * SECOND
    drawn = one.requests
    late = drawn.arrival_ns > 2 * SECOND
    assert (one.outcome == Outcome.NOT_SENT).tolist() == late.tolist()
    assert 0 < late.sum() < 60
    assert (one.outcome == Outcome.REJECTED).tolist() == ((drawn.klass == 0) & ~late).tolist()
    assert (one.outcome == Outcome.REJECTED).any()
    # the clock stops, and changes nothing before
    done = (whole.outcome == Outcome.FINISHED) & (whole.last_token_ns < 2 * SECOND)
    assert (one.outcome == Outcome.FINISHED).tolist() == done.tolist()
    assert one.last_token_ns[done].tolist() == whole.last_token_ns[done].tolist()
    in_flight = one.outcome == Outcome.IN_FLIGHT
    assert in_flight.any()
    assert (whole.last_token_ns[in_flight] >= 2 * SECOND).all()
    assert (one.replica[in_flight] >= 0).all()
    assert one.sent_ns[~late].tolist() == drawn.arrival_ns[~late].tolist()
    assert (one.sent_ns[late] == -1).all()
    assert set(one.replica[(one.outcome == Outcome.REJECTED) | late]) == {-1}


def test_a_run_ends_with_its_last_token_or_its_last_refusal():
    one = replicate({})
    assert one.end_ns == one.last_token_ns.max()
    assert set(one.outcome) == {Outcome.FINISHED}
    refused = replicate({"lengths": lengths(600, 10)})
    assert set(refused.outcome) == {Outcome.REJECTED}
    assert refused.end_ns == refused.sent_ns.max() == refused.requests.arrival_ns.max()
    assert int(refused.counters["steps"].sum()) == 0


def test_the_limit_is_prompt_plus_max_tokens():
    """vLLM's API server: 512 in all is let in, 513 is not."""
    assert set(replicate({"lengths": lengths(500, 12)}).outcome) == {Outcome.FINISHED}
    assert set(replicate({"lengths": lengths(500, 13)}).outcome) == {Outcome.REJECTED}


def test_counters_are_sums_over_the_requests():
    engine = ENGINE | {"num_gpu_blocks_override": 2000, "enable_prefix_caching": False}
    one = replicate({"arrivals": {"kind": "poisson", "request_rate": 200.0}}, engine=engine)
    counters, drawn = one.counters, one.requests
    assert int(counters["preemptions"].sum()) == 0
    assert int((counters["prefill_tokens"] + counters["decode_tokens"]).sum()) == int(
        (drawn.prompt_tokens + drawn.output_tokens - 1).sum()
    )
    assert int(counters["sampled"].sum()) == int(drawn.output_tokens.sum())
    assert int(one.itl_count.sum(dtype=np.int64)) == int((drawn.output_tokens - 1).sum())
    for replica, row in enumerate(counters):
        here = one.replica == replica
        assert row["waiting_ns"] == (one.first_scheduled_ns - one.sent_ns)[here].sum()
        assert row["system_ns"] == (one.last_token_ns - one.sent_ns)[here].sum()
        assert 0 < row["busy_ns"] <= one.end_ns
        assert row["waiting_seats_ns"] + row["waiting_blocks_ns"] + row["waiting_budget_ns"] <= row["waiting_ns"]
        assert row["peak_running"] <= 16


def test_work_is_counted_in_flops_and_bytes():
    """DeepSeek-LLM-7B by hand: 30 layers of 4 x 4096^2 + 3 x 4096 x 11008 weights, a head of 4096 x 102400."""
    one = replicate({"lengths": lengths(100, 20)})
    layers, tokens, sampled = 30 * (4 * 4096**2 + 3 * 4096 * 11008), 60 * (100 + 19), 60 * 20
    pairs = 60 * (100 * 101 // 2 + sum(100 + later for later in range(1, 20)))
    flops = 2 * layers * tokens + 2 * 4096 * 102400 * sampled + 4 * 4096 * 30 * pairs
    assert one.counters["flops"].sum() == pytest.approx(flops, rel=1e-3)
    steps = int(one.counters["steps"].sum())
    weights, context = 2 * (layers + 4096 * 102400), 2 * 2 * 4096 * 30 * 60 * sum(100 + later for later in range(1, 20))
    assert one.counters["bytes"].sum() == pytest.approx(steps * weights + context, rel=5e-3)


def test_replications_differ_and_runs_repeat():
    case = scenario({}, run={"replications": 2})
    first, second = run(case), run(case)
    for a, b in zip(first.replications, second.replications, strict=True):
        assert a.last_token_ns.tobytes() == b.last_token_ns.tobytes()
        assert a.counters.tobytes() == b.counters.tobytes()
    a, b = first.replications
    assert a.last_token_ns.tobytes() != b.last_token_ns.tobytes()
