"""The front end: between the client's send and the engine's queue pass `frontend_s` seconds."""

import numpy as np
import pytest

from sim import metrics
from sim.deployment import deploy
from sim.result import Outcome
from sim.run import serve
from tests.oracle.station import requests
from tests.unit.calibrated import loaded, run, written
from tests.unit.small_fleet import lengths

MS = 1_000_000
IDLE = {"num_prompts": 20, "arrivals": {"kind": "constant", "request_rate": 0.5}}
"""A request every two seconds: each is alone."""
FRONTEND = {"frontend_s": 0.01}


def one(folder, workload, parameters=None, **blocks):
    return run(folder, workload, written(folder, parameters), **blocks).replications[0]


def test_ttft_of_lone_requests_is_ten_milliseconds_longer_and_nothing_else(tmp_path):
    without, behind = one(tmp_path, IDLE), one(tmp_path, IDLE, FRONTEND)
    assert behind.sent_ns.tolist() == without.sent_ns.tolist() == without.queued_ns.tolist()
    for column in ("queued_ns", "first_scheduled_ns", "first_token_ns", "last_token_ns"):
        assert (getattr(behind, column) - getattr(without, column)).tolist() == [10 * MS] * 20, column
    rows = metrics.finished(behind)
    assert len(rows) == 20
    for name in ("queue", "prefill", "decode", "tpot"):
        assert metrics.LATENCIES[name](behind, rows).tolist() == metrics.LATENCIES[name](without, rows).tolist()
    assert behind.counters["waiting_ns"].tolist() == without.counters["waiting_ns"].tolist()
    assert behind.counters["system_ns"].tolist() == without.counters["system_ns"].tolist()


def test_a_calibration_that_states_nothing_is_the_roofline_to_the_last_bit(tmp_path):
    calibrated = one(tmp_path, {})
    roofline = run(tmp_path, {}, {"kind": "roofline"}).replications[0]
    assert calibrated.last_token_ns.tobytes() == roofline.last_token_ns.tobytes()
    assert calibrated.counters.tobytes() == roofline.counters.tobytes()
    assert roofline.queued_ns.tobytes() == roofline.sent_ns.tobytes()


def test_a_closed_loop_of_one_is_slower_by_the_front_end(tmp_path):
    """Little's law for one client: a request's cycle is its service plus 10 ms, and the cycles fill the run."""
    alone = {"num_prompts": 50, "arrivals": {"kind": "closed_loop", "concurrency": 1}, "lengths": lengths(100, 20)}
    uncached = {"max_model_len": 512, "enable_prefix_caching": False}
    without, behind = (one(tmp_path, alone, each, engine=uncached) for each in (None, FRONTEND))
    assert behind.end_ns == without.end_ns + 50 * 10 * MS
    assert behind.sent_ns[1:].tolist() == behind.last_token_ns[:-1].tolist()


@pytest.mark.parametrize("concurrency", [4, 30])
def test_littles_law_holds_for_clients_and_for_engines(tmp_path, concurrency):
    """Outside, N = X * E2EL; inside, fewer by X * 10 ms (30 is more than there are seats)."""
    loop = {"num_prompts": 600, "arrivals": {"kind": "closed_loop", "concurrency": concurrency}}
    behind = one(tmp_path, loop, FRONTEND)
    rows = metrics.finished(behind)
    rate = len(rows) / (behind.end_ns / 1e9)
    assert rate * metrics.e2el(behind, rows).mean() / 1e3 == pytest.approx(concurrency, rel=0.05)
    outside = rate * metrics.e2el(behind, rows).mean() / 1e3
    inside = float(behind.counters["system_ns"].sum()) / behind.end_ns
    assert outside - inside == pytest.approx(rate * 0.01, rel=1e-9)


def test_the_clock_stops_while_a_request_is_in_the_front_end(tmp_path):
    arrivals = {"num_prompts": 3, "arrivals": {"kind": "constant", "request_rate": 0.5}}
    whole = one(tmp_path, arrivals, FRONTEND)
    last = int(whole.sent_ns[2])
    stop = {"replications": 1, "max_time_s": (last + 4 * MS) / 1e9}
    stopped = one(tmp_path, arrivals, FRONTEND, run=stop)
    assert stopped.outcome.tolist() == [Outcome.FINISHED, Outcome.FINISHED, Outcome.IN_FLIGHT]
    assert stopped.end_ns == last + 4 * MS
    assert stopped.sent_ns.tolist() == whole.sent_ns.tolist()
    assert stopped.queued_ns.tolist() == [*whole.queued_ns[:2].tolist(), -1]
    assert stopped.replica.tolist() == [0, 0, -1]
    assert metrics.peak_in_flight(stopped) == 1


def test_gauges_go_on_while_the_only_request_is_in_the_front_end(tmp_path):
    lone = {"num_prompts": 1, "arrivals": {"kind": "closed_loop", "concurrency": 1}}
    slow = one(tmp_path, lone, {"frontend_s": 2.0})
    assert slow.gauges.time_ns[-1] >= 2_000 * MS
    assert slow.gauges.running.max() == 1


def test_the_next_turn_waits_for_the_answer_and_its_pause(tmp_path):
    talk = {"num_prompts": 30, "sessions": {"turns": 3, "think_s": 0.2}, "lengths": lengths(50, 10)}
    behind = one(tmp_path, talk, FRONTEND)
    drawn = behind.requests
    later = np.flatnonzero(drawn.after >= 0)
    assert len(later) > 10
    answered = behind.last_token_ns[drawn.after[later]]
    assert (behind.sent_ns[later] == answered + drawn.arrival_ns[later]).all()
    assert (behind.queued_ns == behind.sent_ns + 10 * MS).all()


def test_a_refused_request_never_reaches_a_queue(tmp_path):
    """It frees its client at once: sixty refusals take no time."""
    loop = {"arrivals": {"kind": "closed_loop", "concurrency": 2}, "lengths": lengths(600, 10)}
    refused = one(tmp_path, loop, FRONTEND)
    assert set(refused.outcome) == {Outcome.REJECTED}
    assert set(refused.queued_ns) == {-1}
    assert refused.end_ns == 0


def test_a_burst_reaches_every_pool_after_the_delay_and_in_its_order(tmp_path):
    burst = {"num_prompts": 40, "arrivals": {"kind": "closed_loop", "concurrency": 40}}
    pools = [{"pool": name, "gpu": "h100-sxm-80gb"} for name in ("a", "b")]
    behind = one(tmp_path, burst, FRONTEND, fleet=pools)
    assert (behind.queued_ns - behind.sent_ns == 10 * MS).all()
    for replica in (0, 1):
        here = behind.first_scheduled_ns[behind.replica == replica]
        assert (np.diff(here) >= 0).all()


def test_a_router_counts_what_is_on_its_way(tmp_path):
    """Request 1 keeps replica 1 busy. 2 goes to the idle replica 0; then both have one, and 3 goes to the next."""
    pool = [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": 2}]
    case = loaded(
        tmp_path, {}, written(tmp_path, FRONTEND), fleet=pool, router={"kind": "least_outstanding", "staleness_ms": 0}
    ).scenario
    drawn = requests([0, 0, 1_000 * MS, 1_000 * MS], prompt=100, output=[2, 400, 2, 2])
    served = serve(case, deploy(case, tmp_path), drawn, 0, tmp_path)
    assert served.first_token_ns[1] < 1_000 * MS < served.last_token_ns[1]
    assert served.replica.tolist() == [0, 1, 0, 1]
