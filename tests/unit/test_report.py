import json
import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats as scipy_stats

from sim.report import BenchResult, InvariantError, Verdict, check_invariants, summarise, to_bench_json
from sim.result import Outcome
from tests.shared_data import DATA, needs_data
from tests.unit.synthetic_run import COUNTS, MS, REPLICA, S, random_replication, replication, requests, run
from tests.unit.test_metrics import as_replication


@pytest.fixture(scope="module")
def three():
    return [random_replication(seed) for seed in range(3)]


def deterministic_queue():
    """M/D/1 by hand: service 100 ms (one token), arrivals at 0, 50, 100, 400 ms; departures 100, 200, 300, 500."""
    sent = np.array([0, 50, 100, 400]) * MS
    left = np.array([100, 200, 300, 500]) * MS
    counters = {"busy_ns": 400 * MS, "waiting_ns": 150 * MS, "waiting_seats_ns": 150 * MS, "steps": 4}
    return replication(requests([10] * 4, [1] * 4, sent), sent, left - 100 * MS, left, left, counters=counters)


def test_a_queue_by_hand():
    summary = summarise(run([deterministic_queue()], slo={"ttft_ms": 150.0, "tpot_ms": 1.0, "percentile": 75.0}))
    expected = {
        "completed": 4,
        "duration": 0.5,
        "request_throughput": 8.0,
        "output_throughput": 8.0,
        "total_token_throughput": 88.0,
        "mean_ttft_ms": 137.5,  # 100, 150, 200, 100
        "median_ttft_ms": 125.0,
        "p99_ttft_ms": 198.5,
        "mean_queue_ms": 37.5,
        "mean_prefill_ms": 100.0,
        "mean_decode_ms": 0.0,
        "mean_tpot_ms": None,  # one-token outputs have none
        "p99_itl_ms": None,
        "busy": 0.8,
        "mean_waiting": 0.3,
        "waiting_share": 150 / 550,
        "waiting_for_seats": 1.0,
        "waiting_for_blocks": 0.0,
        "request_goodput": 6.0,  # three of four within 150 ms; a TPOT of 0 is good
        "peak_in_flight": 2,
        "max_concurrent_requests": 4,
        "usd_per_1k_good_requests": 10.0 / 3600 / 6 * 1000,
        "usd_per_1m_output_tokens": 10.0 / 3600 / 8 * 1e6,
    }
    assert {key: summary[key].mean for key in expected} == pytest.approx(expected)
    assert summary.verdict is Verdict.MET  # exactly 75 % are good
    assert summary.usd_per_hour == 10.0
    assert summary.bottleneck.startswith("Seats run out first: 100 % of the waiting time")


def test_numbers_are_means_of_replications_with_t_intervals(three):
    summary = summarise(run(three, slo={"ttft_ms": 500.0}))
    p99 = [np.percentile((one.first_token_ns - one.sent_ns) / 1e6, 99) for one in three]
    low, high = scipy_stats.ttest_1samp(p99, 0.0).confidence_interval(0.95)
    found = summary["p99_ttft_ms"]
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((np.mean(p99), low, high, 3))
    pooled = np.percentile(np.concatenate([(one.first_token_ns - one.sent_ns) / 1e6 for one in three]), 99)
    assert found.mean != pytest.approx(pooled)
    gaps = [np.repeat(one.itl_ns, one.itl_count) / 1e6 for one in three]
    assert summary["p99.9_itl_ms"].mean == pytest.approx(np.mean([np.percentile(one, 99.9) for one in gaps]))
    assert summary["std_itl_ms"].mean == pytest.approx(np.mean([one.std() for one in gaps]))
    assert summary["total_output_tokens"].mean == np.mean([one.requests.output_tokens.sum() for one in three])


def test_utilisation_four_ways_comes_from_the_counters(three):
    one = three[0]
    summary = summarise(run([one]))
    seconds = one.end_ns / S
    assert summary["busy"].mean == pytest.approx(20 / seconds)
    assert summary["mfu"].mean == pytest.approx(2e15 / (1e15 * seconds))
    assert summary["hbm_utilisation"].mean == pytest.approx(1e14 / (1e13 * seconds))
    assert summary["kv_cache_usage"].mean == pytest.approx(400 * 40 / (1000 * seconds))  # the null block is no block
    assert summary["communication"].mean == 0.25
    assert summary["prefix_cache_hit_rate"].mean == 0.1
    assert summary["busy"].low is None


def test_pools_are_told_apart():
    one = random_replication(0)
    other = replace(REPLICA, pool="burst", gpus=8, peak_flops=4e15)
    counters = np.concatenate([one.counters, one.counters])
    counters["busy_ns"][1] = 5 * S
    found = summarise(run([replace(one, counters=counters)], replicas=(REPLICA, other)))
    base, burst = found.pools
    assert (base.pool, base.gpus, burst.pool, burst.gpus) == ("base", 4, "burst", 8)
    assert base.values["busy"].mean == 4 * burst.values["busy"].mean
    assert found["busy"].mean == pytest.approx((base.values["busy"].mean + burst.values["busy"].mean) / 2)
    assert found["mfu"].mean == pytest.approx(2 * base.values["mfu"].mean / 5)
    assert found.usd_per_hour == 30.0


@pytest.mark.parametrize(
    ("ttft_ms", "verdict"), [(2000.0, Verdict.MET), (300.0, Verdict.MISSED), (765.0, Verdict.UNDECIDED), (None, None)]
)
def test_the_verdict_is_the_intervals(three, ttft_ms, verdict):
    summary = summarise(run(three, slo={"ttft_ms": ttft_ms}))
    assert summary.verdict is verdict
    share = summary.classes[0].values["good_share"]
    assert (verdict is Verdict.UNDECIDED) == (verdict is not None and share.low < 0.99 <= share.high)
    assert (summary["request_goodput"].mean is None) == (verdict is None)


def test_each_class_is_held_to_its_own_slo():
    one = random_replication(0, n=300)
    klass = np.arange(300) % 2
    drawn = replace(one.requests, klass=klass.astype(np.int16), classes=("chat", "batch"))
    own = [{"name": "chat", "slo": None}, {"name": "batch", "slo": {"e2el_ms": 1e6, "percentile": 90.0}}]
    summary = summarise(run([replace(one, requests=drawn)], slo={"ttft_ms": 300.0}, classes=own))
    chat, batch = summary.classes
    ttft = (one.first_token_ns - one.sent_ns)[klass == 0] / 1e6
    assert (chat.slo_ms, batch.slo_ms) == ({"ttft": 300.0}, {"e2el": 1e6})
    assert chat.values["good_share"].mean == np.mean(ttft <= 300)
    assert chat.values["p95_ttft_ms"].mean == pytest.approx(np.percentile(ttft, 95))
    assert (chat.verdict, batch.verdict, summary.verdict) == (Verdict.MISSED, Verdict.MET, Verdict.MISSED)
    good = (np.sum(ttft <= 300) + 150) / (one.end_ns / S)
    assert summary["request_goodput"].mean == pytest.approx(good)
    assert "TTFT" in summary.bottleneck
    assert "of class chat" in summary.bottleneck


def test_failures_are_counted_and_lower_the_good_share():
    outcome = [Outcome.FINISHED] * 2 + [Outcome.REJECTED, Outcome.IN_FLIGHT, Outcome.NOT_SENT]
    one = replication(
        requests([8] * 5, [2] * 5, [0] * 5),
        sent=[0, 0, 0, 90 * MS, -1],
        scheduled=[0, 0, -1, -1, -1],
        first=[5 * MS, 5 * MS, -1, -1, -1],
        last=[9 * MS, 9 * MS, -1, -1, -1],
        outcome=outcome,
        end=100 * MS,
    )
    summary = summarise(run([one], slo={"ttft_ms": 50.0, "percentile": 60.0}))
    counts = {key: summary[key].mean for key in ("completed", "failed", "in_flight", "not_sent", "total_input_tokens")}
    assert counts == {"completed": 2, "failed": 1, "in_flight": 1, "not_sent": 1, "total_input_tokens": 16}
    assert summary.classes[0].values["good_share"].mean == pytest.approx(2 / 3)
    assert "rejected" in summary.bottleneck
    joined = "\n".join(summary.warnings)
    for part in ("1 requests were unfinished", "1 requests were never sent", "1 requests were rejected", "Only 2"):
        assert part in joined


def test_nothing_finished_is_unknown_not_zero():
    one = replication(
        requests([8], [2], [0]), [0], [-1], [-1], [-1], outcome=[Outcome.REJECTED], end=0, counters={"steps": 0}
    )
    summary = summarise(run([one], slo={"ttft_ms": 1.0}))
    assert summary["mean_ttft_ms"].mean is None
    assert summary["request_throughput"].mean is None
    assert summary.bottleneck.startswith("No request finished")
    BenchResult.model_validate(to_bench_json(run([one]), summary, detailed=True))


def test_steady_state_drops_the_warm_up():
    n = 2000
    sent = np.arange(n, dtype=np.int64) * 50 * MS
    rng = np.random.default_rng(0)
    latency = (rng.normal(500, 20, n) * MS).astype(np.int64)
    latency[:400] += np.linspace(5e9, 0, 400).astype(np.int64)
    order = rng.permutation(n)  # columns need not be in the order of sending
    one = replication(requests([4] * n, [1] * n, sent), sent[order], sent[order], *(2 * [(sent + latency)[order]]))
    steady, whole = summarise(run([one, one], state="steady")), summarise(run([one, one]))
    dropped = int(steady["warm_up_requests"].mean)
    assert 340 < dropped < 460
    assert steady["mean_e2el_ms"].mean == pytest.approx(latency[dropped:].mean() / 1e6)
    assert steady["completed"].mean == n - dropped
    assert steady["duration"].mean == pytest.approx((one.end_ns - dropped * 50 * MS) / S)
    assert whole["mean_e2el_ms"].mean == pytest.approx(latency.mean() / 1e6)
    assert "MSER-5 dropped" in "".join(steady.warnings)
    assert "identical" in "".join(whole.warnings)


def test_a_growing_backlog_is_pointed_out():
    n = 1000
    sent = np.arange(n, dtype=np.int64) * 10 * MS
    overload = (np.arange(n) + 1) * 20 * MS
    stable = sent + 15 * MS
    grown, level = (
        summarise(run([replication(requests([4] * n, [1] * n, sent), sent, sent, last, last)]))
        for last in (overload, stable)
    )
    assert "backlog still grew" in "".join(grown.warnings)
    assert "backlog" not in "".join(level.warnings)
    assert grown["in_flight_at_last_arrival"].mean == 501  # of 1,000 sent by 9.99 s, 499 have left


@pytest.mark.parametrize(
    ("waiting", "beginning"),
    [
        ({"waiting_blocks_ns": 71.0}, "KV blocks run out first: 71 % of the waiting time is KV-blocked"),
        ({"waiting_seats_ns": 80.0, "waiting_blocks_ns": 10.0}, "Seats run out first: 80 %"),
        ({"waiting_budget_ns": 60.0, "waiting_seats_ns": 40.0}, "Prefill is the limit: 60 %"),
        ({"waiting_seats_ns": 10.0}, "Requests wait for the step under way to end (90 %"),
        ({"waiting_ns": 1e-9}, "Nothing holds requests up"),
    ],
)
def test_the_bottleneck_is_what_most_waiting_is_for(waiting, beginning):
    counters = COUNTS | {"waiting_ns": 100.0, "waiting_seats_ns": 0, "waiting_blocks_ns": 0, "waiting_budget_ns": 0}
    counters |= waiting
    scaled = {key: value * S if key.startswith("waiting") else value for key, value in counters.items()}
    summary = summarise(run([random_replication(0, counters=scaled)]))
    assert summary.bottleneck.startswith(beginning)
    assert "bound by memory bandwidth" in summary.bottleneck


@pytest.mark.parametrize(
    ("counters", "bound"),
    [({"flops": 9e15}, "compute"), ({"comm_fs": 9e15}, "communication"), ({"device_fs": 9e15}, "the host")],
)
def test_the_bound_of_busy_steps(counters, bound):
    summary = summarise(run([random_replication(0, counters=COUNTS | {"bytes": 1e13} | counters)]))
    assert f"Steps are bound by {bound}:" in summary.bottleneck


def test_what_a_reader_must_know_is_said(three):
    few = "\n".join(summarise(run(three[:2])).warnings)
    assert "Only 2 replications" in few
    assert "roofline only" in few
    alone = replace(run(three[:1]), replicas=(replace(REPLICA, step_time_label="measured table"),))
    alone = replace(alone, provenance={"warnings": "price is old\nrate is extrapolated"})
    found = summarise(alone).warnings
    assert found[0].startswith("One replication")
    assert found[1:] == ("price is old", "rate is extrapolated")
    enough = summarise(replace(run(three), replicas=alone.replicas))
    assert enough.warnings == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"outcome": Outcome.REJECTED}, "rejected request reaches no replica"),
        ({"outcome": 9}, "one outcome"),
        ({"sent_ns": -1}, "sent or not_sent"),
        ({"queued_ns": 0}, "queued before it is sent"),
        ({"queued_ns": 10**15}, "queued after the end"),
        ({"queued_ns": -1}, "queues exactly what reaches it"),
        ({"first_scheduled_ns": 0}, "scheduled before it is queued"),
        ({"first_token_ns": 0}, "takes time"),
        ({"last_token_ns": 0}, "last token"),
        ({"last_token_ns": 10**15}, "after the end"),
        ({"answer_token_ns": 1}, "answer"),
        ({"ended_ns": 1}, "before its last token"),
        ({"ended_ns": 10**15}, "after the end"),
    ],
)
def test_invariants_notice_a_broken_record(three, change, problem):
    check_invariants(three[0])
    (name, value), *_ = change.items()
    column = getattr(three[0], name).copy()
    column[100] = value
    with pytest.raises(InvariantError, match=problem):
        check_invariants(replace(three[0], **{name: column}))


def test_invariants_notice_lost_and_surplus_tokens(three):
    for change in (1, -1):
        count = three[0].itl_count.copy()
        count[5] += change
        with pytest.raises(InvariantError, match="inter-token latencies"):
            check_invariants(replace(three[0], itl_count=count))
    left = three[0].last_token_ns.copy()
    left[100] = three[0].end_ns  # in flight until the end
    started = replace(three[0], outcome=np.where(np.arange(200) == 100, Outcome.IN_FLIGHT, Outcome.FINISHED))
    counters = three[0].counters.copy()
    counters["system_ns"] = (left - three[0].sent_ns).sum()
    ended = np.where(np.arange(200) == 100, -1, three[0].ended_ns)
    check_invariants(
        replace(started, counters=counters, ended_ns=ended)
    )  # its tokens so far may or may not have been logged


def test_invariants_hold_the_engines_integral_against_the_requests_own_times(three):
    counters = three[0].counters.copy()
    counters["system_ns"] *= 1 + 1e-6
    with pytest.raises(InvariantError, match="Little's law"):
        check_invariants(replace(three[0], counters=counters))


def test_the_engines_time_begins_at_their_queue(three):
    """Ten ms in the front end: a client's latency and peak keep them, queue time and the engines' integral do not."""
    one = three[0]
    sent = one.sent_ns - 10 * MS
    before = replace(one, sent_ns=sent, requests=replace(one.requests, arrival_ns=sent))
    check_invariants(before)
    ours, plain = summarise(run([before])), summarise(run([one]))
    assert ours["mean_ttft_ms"].mean == pytest.approx(plain["mean_ttft_ms"].mean + 10)
    assert ours["mean_e2el_ms"].mean == pytest.approx(plain["mean_e2el_ms"].mean + 10)
    for key in ("mean_queue_ms", "mean_prefill_ms", "p99_decode_ms", "waiting_share"):
        assert ours[key] == plain[key], key


def no_nan(value):
    if isinstance(value, dict):
        return all(no_nan(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(no_nan(one) for one in value)
    return not isinstance(value, float) or math.isfinite(value)


@needs_data
def test_one_schema_for_real_and_simulated_results_and_the_same_keys_in_the_same_order(three):
    sample = json.loads((DATA / "vllm" / "bench_serve_sample.json").read_text())
    BenchResult.model_validate(sample)
    record = run(three, slo={"ttft_ms": 500.0})
    ours = to_bench_json(record, summarise(record), detailed=True)
    BenchResult.model_validate(json.loads(json.dumps(ours, allow_nan=False)))
    assert no_nan(ours)
    omitted = ours["capacity"]["omitted"]
    assert [key for key in ours if key in sample] == [key for key in sample if key not in omitted]
    assert set(ours) - set(sample) == {"capacity"} | {f"p99.9_{m}_ms" for m in ("ttft", "tpot", "itl", "e2el")}
    lists = {key for key in ours if isinstance(ours[key], list)}
    assert set(ours) - set(to_bench_json(record, summarise(record))) == lists


@needs_data
def test_a_real_run_summarised_by_us_gives_vllms_own_numbers():
    sample = json.loads((DATA / "vllm" / "bench_serve_sample.json").read_text())
    one = as_replication(sample)
    record = run([one], arrivals={"kind": "gamma", "request_rate": 2.0, "burstiness": 1.0})
    ours = to_bench_json(record, summarise(record), detailed=True)
    approximate = {"max_output_tokens_per_s", "start_times"}
    differ = {
        key
        for key, value in sample.items()
        if key in ours and not isinstance(value, str | None) and ours[key] != pytest.approx(value, abs=1e-5)
    }
    assert differ <= approximate
    assert ours["request_rate"] == 2.0


def test_lists_are_those_of_the_first_replication(three):
    record = run(three)
    ours = to_bench_json(record, summarise(record), detailed=True)
    one = three[0]
    assert ours["ttfts"] == ((one.first_token_ns - one.sent_ns) / 1e9).tolist()
    assert ours["output_lens"] == one.requests.output_tokens.tolist()
    assert ours["errors"] == [""] * 200
    assert (ours["date"], ours["backend"], ours["burstiness"]) == ("20260101-000000", "sim", 1.0)


def test_arrivals_without_a_rate_give_the_offered_one(three):
    ramp = run(three, arrivals={"kind": "ramp"})
    offered = np.mean([200 / (one.sent_ns.max() / 1e9) for one in three])
    bench = to_bench_json(ramp, summarise(ramp))
    assert (bench["request_rate"], bench["burstiness"]) == (pytest.approx(offered), None)
    at_once = deterministic_queue()
    zero = np.zeros(4, np.int64)
    at_once = replace(at_once, sent_ns=zero)
    assert to_bench_json(run([at_once], arrivals={"kind": "x"}), summarise(run([at_once])))["request_rate"] == "inf"
    closed = run([replace(one, requests=replace(one.requests, concurrency=8)) for one in three])
    closed.scenario["workload"]["arrivals"] = {"kind": "closed_loop", "concurrency": 8}
    bench = to_bench_json(closed, summarise(closed))
    assert (bench["request_rate"], bench["max_concurrency"]) == ("inf", 8)


@pytest.mark.parametrize(
    "change", [{"p99_ttft_ms": float("nan")}, {"duration": float("inf")}, {"ttfts": [1.0]}, {"date": "today"}]
)
def test_the_schema_refuses(three, change):
    record = run(three)
    ours = to_bench_json(record, summarise(record))
    with pytest.raises(ValidationError):
        BenchResult.model_validate(ours | change)
