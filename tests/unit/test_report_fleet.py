"""A fleet under fire, small enough to be counted by hand: see synthetic_run.under_fire."""

from dataclasses import replace

import numpy as np
import pytest

from sim import metrics
from sim.report import BenchResult, InvariantError, Verdict, check_invariants, check_paid, summarise, to_bench_json
from sim.report.fleet import fleet
from sim.report.incidents import NEVER, failures, incidents
from sim.result import Cause, Ending, Outcome, State
from tests.unit.synthetic_run import REPLICA, S, leases, random_replication, run, timeline, under_fire


@pytest.fixture
def fire():
    return under_fire()


def test_requests_tries_and_tokens_by_hand(fire):
    check_invariants(fire)
    summary = summarise(run([fire], slo={"ttft_ms": 5000.0, "availability": 90.0}))
    expected = {
        "completed": 2,
        "failed": 4,  # vLLM bench's: every request that ended without an answer
        "rejected_requests": 1,
        "lost_requests": 1,
        "shed_requests": 1,
        "timed_out_requests": 1,
        "in_flight": 1,
        "not_sent": 1,
        "availability": 2 / 5,  # two answered, three not; neither the rejected nor the open one counts
        "error_budget_used": 0.6 / 0.1,
        "lost_tries": 2,
        "retries": 1,
        "retried_requests": 1,
        "re_prefilled_tokens": 68,  # 100, of which 32 were cached
        "wasted_tokens": 103 + 60 + 110,
        "wasted_share": 273 / (110 + 103 + 60 + 110 + 78 + 101),
        "failures_node": 1,
        "failures_crash": 0,
        "mean_ready_replicas": 1.3,
        "gpu_hours": (4 * 3 + 4 * 10) / 3600,
        "usd_total": 2.5 * 52 / 3600,
        "mean_ttft_ms": 4000.0,  # 2 s, and 6 s since the first try
        "peak_in_flight": 3,
        "request_goodput": 0.1,
    }
    assert {key: summary[key].mean for key in expected} == pytest.approx(expected)
    shares = summary.classes[0].values
    assert shares["good_share"].mean == pytest.approx(1 / 6)  # the rejected one counts here
    assert [shares[f"missed_{name}"].mean for name in ("lost", "shed", "timed_out")] == pytest.approx([1 / 6] * 3)
    assert summary.availability_verdict is summary.verdict is Verdict.MISSED


def test_utilisation_is_over_the_time_in_which_replicas_served(fire):
    counters = fire.counters.copy()
    counters["busy_ns"] = 2 * S, 5 * S
    counters["flops"] = 1e15
    counters["bytes"] = 1e13
    counters["block_ns"] = 100.0 * S
    counters["waiting_ns"] = 4.0 * S
    summary = summarise(run([replace(fire, counters=counters)]))
    expected = {
        "busy": 7 / 13,
        "mfu": 2 / 13,
        "hbm_utilisation": 2 / 13,
        "kv_cache_usage": 200 / 13_000,
        "mean_waiting": 0.8,  # over the run: requests wait whether or not somebody serves
        "waiting_share": 8 / 18,  # of 4 + 3 + 2 + 5 + 3 + 1 s in the engines, retries and abandoned work included
    }
    assert {key: summary[key].mean for key in expected} == pytest.approx(expected)


def test_a_retry_may_be_answered_at_another_length(fire):
    produced = fire.tries.produced.copy()
    produced[6] = 21
    one = replace(fire, tries=replace(fire.tries, produced=produced), itl_count=np.array([40, 4]))
    check_invariants(one)
    assert metrics.answer_tokens(one)[:2].tolist() == [11, 21]
    assert metrics.tpot(one, metrics.finished(one)).tolist() == [200.0, 100.0]
    assert summarise(run([one]))["total_output_tokens"].mean == 32


def test_a_fleet_without_events_says_nothing_of_them(fire):
    standing = timeline([(0, 0, 0, State.READY, Cause.PLAN)])
    calm = summarise(run([replace(random_replication(0), timeline=standing)]))
    assert "availability" not in calm.values
    assert (calm.goodput, calm.recovery, calm.availability_verdict) == (None, None, None)
    expected = summarise(run([random_replication(0)], slo={"availability": 99.9}))
    assert expected["availability"].mean == 1.0
    assert expected["error_budget_used"].mean == 0.0
    assert expected.availability_verdict is expected.verdict is Verdict.MET


def test_the_warm_up_is_left_out_of_tries(fire):
    found = fleet(run([fire]), fire, fire.sent_ns > 0)
    assert (found["lost_tries"], found["retries"], found["wasted_tokens"]) == (1, 0, 170)
    assert found["availability"] == 0.0


def test_vllms_result_counts_every_request_without_an_answer(fire):
    record = run([fire])
    ours = to_bench_json(record, summarise(record), detailed=True)
    BenchResult.model_validate(ours)
    assert (ours["completed"], ours["failed"]) == (2, 4)
    assert ours["output_lens"] == [11, 11] + [0] * 6
    assert [bool(error) for error in ours["errors"]] == [False, False] + [True] * 6
    assert len(set(ours["errors"])) == 7  # each outcome has its own words


def test_failures_are_counted_once_and_by_what_was_lost():
    rows = [
        (10, 0, 0, State.DEAD, Cause.NODE),  # two replicas on one node
        (10, 1, 0, State.DEAD, Cause.NODE),
        (20, 2, 1, State.HUNG, Cause.HANG),
        (90, 2, 1, State.DEAD, Cause.HANG),  # killed at last
        (95, 2, 1, State.STARTING, Cause.PLAN),
        (99, 2, 1, State.HUNG, Cause.HANG),  # and once more
        (100, 3, 2, State.DRAINING, Cause.SPOT),
        (100, 4, 3, State.DRAINING, Cause.SPOT),
        (200, 5, 4, State.DRAINING, Cause.SCALING),  # no failure
        (210, 0, 0, State.GONE, Cause.NODE),  # evicted at last
        (220, 3, 2, State.GONE, Cause.SPOT),
        (220, 4, 3, State.GONE, Cause.SPOT),
        (500, 6, 5, State.DEAD, Cause.ZONE),
        (500, 7, 6, State.DEAD, Cause.ZONE),
        (501, 5, 4, State.REQUESTED, Cause.CRASH),  # no fall
    ]
    found = timeline([(time * S, *rest) for time, *rest in rows])
    counted = {cause.name: count for cause, count in failures(found).items()}
    assert counted == {"CRASH": 0, "HANG": 2, "GPU": 0, "NODE": 1, "ZONE": 1, "SPOT": 2}
    first, last, whole = incidents(found)
    assert (first // S).tolist() == [10, 99, 500]  # 10 and 20 s, 99 and 100 s are together
    assert (last // S).tolist() == [20, 100, 500]
    assert whole.tolist() == last.tolist()  # nothing that fell was ready


def test_a_fleet_is_whole_when_as_many_are_ready_again_as_fell():
    up = [(0, place, place, State.READY, Cause.PLAN) for place in range(4)]
    falls = [
        (10, 0, 0, State.DEAD, Cause.NODE),
        (15, 0, 0, State.GONE, Cause.NODE),  # evicted: no further fall
        (20, 1, 1, State.HUNG, Cause.HANG),
        (25, 1, 1, State.DEAD, Cause.CRASH),  # killed: it did not serve any more
        (30, 4, 4, State.REQUESTED, Cause.SCALING),
        (50, 1, 1, State.READY, Cause.PLAN),
        (300, 4, 4, State.READY, Cause.PLAN),  # stands in for 0
        (400, 2, 2, State.DEAD, Cause.CRASH),
        (420, 3, 3, State.DRAINING, Cause.SPOT),
        (500, 2, 2, State.READY, Cause.PLAN),
    ]
    first, last, whole = incidents(timeline([(time * S, *rest) for time, *rest in [*up, *falls]]))
    assert [(first // S).tolist(), (last // S).tolist()] == [[10, 400], [25, 420]]
    assert whole.tolist() == [300 * S, NEVER]


BROKEN = [
    ({"request": (0, 8)}, "one of a request"),
    ({"request": (2, 5)}, "has a try"),
    ({"request": (3, 7)}, "any other has none"),
    ({"ending": (0, 10)}, "one ending"),
    ({"sent_ns": (0, 1)}, "first try"),
    ({"ending": (1, Ending.ANSWERED)}, "one answered try"),
    ({"ending": (6, Ending.LOST)}, "one answered try"),
    ({"ending": (5, Ending.OPEN)}, "open only"),
    ({"queued_ns": (6, 4 * S)}, "queued before it is sent"),
    ({"queued_ns": (7, 11 * S)}, "queued after the end"),
    ({"left_ns": (6, 4 * S)}, "before it is queued"),
    ({"left_ns": (4, 4 * S)}, "before it is queued"),
    ({"left_ns": (0, 11 * S)}, "after the end"),
    ({"left_ns": (0, -1)}, "has left"),
    ({"replica": (0, -1)}, "reaches it"),
    ({"produced": (0, 12)}, "inter-token"),
    ({"left_ns": (1, 4 * S)}, "Little's law"),
]


@pytest.mark.parametrize(("change", "problem"), BROKEN)
def test_invariants_notice_a_broken_try(fire, change, problem):
    ((name, (row, value)),) = change.items()
    column = getattr(fire.tries, name).copy()
    column[row] = value
    with pytest.raises(InvariantError, match=problem):
        check_invariants(replace(fire, tries=replace(fire.tries, **{name: column})))


def test_invariants_notice_tries_out_of_order(fire):
    order = [0, 6, 2, 3, 4, 5, 1, 7]
    swapped = {name: getattr(fire.tries, name)[order] for name in fire.tries.__slots__}
    with pytest.raises(InvariantError, match="order of sending"):
        check_invariants(replace(fire, tries=replace(fire.tries, **swapped)))


@pytest.mark.parametrize(
    ("row", "problem"),
    [((0, 0, 0, 4, 5 * S, 3 * S), "starts before it ends"), ((0, 0, 0, 4, 0, 11 * S), "after the end")],
)
def test_invariants_notice_a_broken_lease(fire, row, problem):
    with pytest.raises(InvariantError, match=problem):
        check_invariants(replace(fire, leases=leases([row])))


def test_who_serves_is_paid_for(fire):
    check_paid(fire, (REPLICA, REPLICA))
    short = leases([(0, 0, 0, 4, 0, 3 * S), (1, 0, 0, 4, 1, 10 * S)])
    with pytest.raises(InvariantError, match="only 51999999996 were leased"):
        check_paid(replace(fire, leases=short), (REPLICA, REPLICA))


def test_places_that_are_filled_later_are_no_replicas_of_the_scenario(fire):
    record = run([fire])
    record.scenario["fleet"][0]["replicas"] = 1
    summary = summarise(record)
    assert (summary.pools[0].replicas, summary.pools[0].gpus, summary.usd_per_hour) == (1, 4, 10.0)
    record.scenario["fleet"][0]["replicas"] = 0
    assert summarise(record).usd_per_hour == 0.0


def test_invariants_notice_time_served_beyond_the_run_and_ends_that_are_none(fire):
    counters = fire.counters.copy()
    counters["ready_ns"][1] += 1
    with pytest.raises(InvariantError, match="no longer than the run"):
        check_invariants(replace(fire, counters=counters))
    for row, value, problem in ((2, -1, "gives up"), (4, 11 * S, "after the end"), (5, 9 * S, "has not ended")):
        ended = fire.ended_ns.copy()
        ended[row] = value
        with pytest.raises(InvariantError, match=problem):
            check_invariants(replace(fire, ended_ns=ended))


def test_the_reader_is_told_who_had_no_answer_and_when_it_was_luck(fire):
    rare = {"failures": [{"kind": "exponential", "of": "node", "mtbf_hours": 1000.0}]}
    said = "\n".join(summarise(run([fire], **rare)).warnings)
    for part in ("1 requests were lost: ", "1 requests were shed: ", "1 requests were given up: ", "were rejected"):
        assert part in said
    assert "Only one incident occurred in the one replication" in said
    twice = "\n".join(summarise(run([fire, fire], **rare)).warnings)
    assert "incident" not in twice
    calm = [random_replication(seed) for seed in range(3)]
    assert "No incident occurred in all 3 replications" in "\n".join(summarise(run(calm, **rare)).warnings)
    drill = {"failures": [{"kind": "drill", "of": "node", "at_s": 3.0}]}
    assert "incident" not in "\n".join(summarise(run([fire], **drill)).warnings)  # a drill is no luck


def test_what_most_requests_that_are_not_good_met_is_said(fire):
    outcome = np.where(fire.outcome == Outcome.REJECTED, Outcome.SHED, fire.outcome)
    summary = summarise(run([replace(fire, outcome=outcome)], slo={"ttft_ms": 10_000.0}))
    assert "Most requests that are not good were shed: 33 % of all." in summary.bottleneck
