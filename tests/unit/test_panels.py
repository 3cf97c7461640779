"""One replication through time: its panels against a loop over requests, its fleet and worst requests by hand."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from sim import metrics
from sim.report.objective import Objective
from sim.result import Cause, Gauges, Outcome, State
from tests.unit.synthetic_run import MS, REPLICA, S, random_replication, replication, requests, timeline, under_fire
from ui.lives import MOST_PLACES, Event, Span, lives
from ui.panels import Bins, cut, panels
from ui.waterfall import PARTS, worst

AIM = (Objective("all", {"ttft": 300.0, "tpot": 50.0}, 99.0),)


def requests_without_answer():
    one = replication(requests([5], [2], [0]), [0], [-1], [-1], [-1], outcome=[Outcome.SHED], end=S)
    return replace(one, ended_ns=np.array([S // 2]))


def table(one, aims=AIM):
    """Panels by title, each a dict of lines."""
    return {panel.title: dict(panel.lines) for panel in panels(one, cut(one), aims)}


def naive(one, bins, value, ended):
    """Percentiles of a metric in each bin: request by request."""
    held = defaultdict(list)
    for i in range(len(one.requests)):
        if one.outcome[i] == Outcome.FINISHED and (number := value(i)) is not None:
            held[int(ended[i] // bins.width_ns)].append(number)
    return {
        f"P{p}": [np.percentile(held[b], p) if held[b] else None for b in range(bins.size)] for p in (50, 90, 95, 99)
    }


def close(found, expected):
    assert list(found) == list(expected)
    for name, column in expected.items():
        assert [value is None for value in found[name]] == [value is None for value in column]
        known = [(a, b) for a, b in zip(found[name], column, strict=True) if b is not None]
        assert known
        np.testing.assert_allclose(*zip(*known, strict=True), rtol=1e-5)


def test_bins_are_round_and_hold_enough_requests():
    one = random_replication(1, n=2000)  # 400 s
    assert cut(one) == Bins(5 * S, -(-one.end_ns // (5 * S)))  # at most 100 bins, for 20 requests in each
    few = replace(one, outcome=np.full(2000, Outcome.FAILED, np.int8))
    assert cut(few).size <= 12
    assert cut(replace(one, end_ns=400 * 86_400 * S)).size <= 120
    assert cut(one).of(np.array([0, 5 * S - 1, 5 * S, one.end_ns])).tolist() == [0, 0, 1, cut(one).size - 1]


def test_latencies_are_those_of_a_loop_over_requests():
    one = random_replication(2, n=1000)
    bins, found = cut(one), table(one)
    first, last, sent, tokens = one.first_token_ns, one.last_token_ns, one.sent_ns, one.requests.output_tokens
    close(found["E2E Request Latency"], naive(one, bins, lambda i: (last[i] - sent[i]) / MS, last))
    close(found["Time To First Token Latency"], naive(one, bins, lambda i: (first[i] - sent[i]) / MS, first))
    close(found["Queue Time"], naive(one, bins, lambda i: (one.first_scheduled_ns[i] - sent[i]) / MS, last))
    close(found["Request Generation Length"], naive(one, bins, lambda i: tokens[i], last))
    tpot = naive(one, bins, lambda i: (last[i] - first[i]) / (tokens[i] - 1) / MS if tokens[i] > 1 else None, last)
    close(found["Time Per Output Token Latency"], tpot)


def test_every_token_and_every_ending_is_counted_once():
    one = random_replication(3, n=1000)
    width, found = cut(one).width_s, table(one)
    tokens = {name: sum(column) * width for name, column in found["Token Throughput"].items()}
    assert tokens["prompt"] == pytest.approx(one.requests.prompt_tokens.sum(), rel=1e-4)
    assert tokens["generation"] == pytest.approx(one.requests.output_tokens.sum(), rel=1e-4)
    assert sum(found["Finish Reason"]["length"]) * width == pytest.approx(1000)
    fire = under_fire()
    ends = {name: sum(column) * cut(fire).width_s for name, column in table(fire)["Finish Reason"].items()}
    assert ends == pytest.approx({"length": 2, "timed out": 1, "lost": 1, "shed": 1, "rejected": 1})


def test_tokens_flow_evenly_from_the_first_to_the_last():
    one = replication(requests([7], [41], [0]), [0], [0], [2 * S], [10 * S], end=12 * S)  # 40 tokens in 8 s
    assert cut(one).width_s == 1
    assert table(one)["Token Throughput"] == {
        "prompt": (0, 0, 7, *[0] * 9),
        "generation": (0, 0, 6, *[5] * 7, 0, 0),  # the first token comes at 2 s
    }


def test_gauges_are_averaged_and_their_peaks_kept():
    one = replication(requests([1], [2], [0]), [0], [0], [S], [2 * S], end=12 * S)
    gauges = Gauges(
        np.array([0, S // 2, S, 3 * S]),
        np.array([2, 4, 1, 0], np.int32),
        np.array([0, 6, 1, 0], np.int32),
        np.array([0.1, 0.3, 0.5, 0.0]),
        np.array([1, 1, 1, 1], np.int32),
    )
    found = table(replace(one, gauges=gauges))
    assert found["Scheduler State"]["running"][:4] == (3, 1, None, 0)
    assert found["Scheduler State"]["waiting"][:4] == (3, 1, None, 0)
    assert found["Scheduler State"]["waiting, most"][:4] == (6, 1, None, 0)
    assert found["Cache Utilization"]["mean"][:2] == (20, 50)
    assert found["Cache Utilization"]["most"][:2] == (30, 50)


def test_limits_are_drawn_where_all_classes_share_them_and_long_latencies_are_in_seconds():
    slow = replication(requests([5], [2], [0]), [0], [0], [20 * S], [30 * S])
    found = {panel.title: panel for panel in panels(slow, cut(slow), AIM)}
    ttft, tpot = found["Time To First Token Latency"], found["Time Per Output Token Latency"]
    assert (ttft.unit, ttft.limit) == ("s", 0.3)
    assert (tpot.unit, tpot.limit) == ("s", 0.05)
    other = Objective("b", {"ttft": 900.0, "tpot": 50.0}, 99.0)
    mixed = {panel.title: panel.limit for panel in panels(slow, cut(slow), (*AIM, other))}
    assert (mixed["Time To First Token Latency"], mixed["Time Per Output Token Latency"]) == (None, 0.05)


def test_titles_and_order_are_those_of_the_dashboard():
    # the "title" fields of vLLM's grafana.json, without "Max Generation Token in Sequence Group"
    assert list(table(random_replication(1))) == [
        "E2E Request Latency",
        "Token Throughput",
        "Time Per Output Token Latency",
        "Scheduler State",
        "Time To First Token Latency",
        "Cache Utilization",
        "Request Prompt Length",
        "Request Generation Length",
        "Finish Reason",
        "Queue Time",
        "Requests Prefill and Decode Time",
    ]


def test_a_replication_without_an_answer_has_empty_panels():
    one = requests_without_answer()
    found = table(one)
    assert set(found["E2E Request Latency"]["P99"]) == {None}
    assert found["Finish Reason"] == {"shed": (1.0,)}
    assert worst(one, AIM) == ()


def test_the_fleet_lives_as_its_timeline_says():
    found = lives(under_fire(), (REPLICA, REPLICA))
    assert found.places == ("base 0", "base 1")
    assert set(found.spans) == {
        Span(0, "ready", 0.0, 3.0, ""),
        Span(0, "dead", 3.0, 10.0, "node lost"),
        Span(1, "ready", 0.0, 10.0, ""),
    }
    assert found.events == (Event(3.0, "base 0", 0, "dead", "node lost", failed=True),)
    assert (found.at(2.9), found.at(3.0)) == ("2 ready", "1 ready, 1 dead")


def test_a_spot_notice_is_no_common_draining_and_gone_is_not_drawn():
    rows = [
        (0, 0, 0, State.READY, Cause.PLAN),
        (S, 0, 0, State.DRAINING, Cause.SPOT),
        (3 * S, 0, 0, State.GONE, Cause.SPOT),
        (0, 1, 1, State.LOADING, Cause.PLAN),
        (2 * S, 1, 1, State.DRAINING, Cause.SCALING),
    ]
    found = lives(replace(under_fire(), timeline=timeline(rows)), (REPLICA, REPLICA))
    assert [(span.stage, span.start_s, span.end_s) for span in found.spans] == [
        ("ready", 0, 1),
        ("spot notice", 1, 3),
        ("load", 0, 2),
        ("draining", 2, 10),
    ]


def test_of_a_large_fleet_those_to_which_most_happened_are_drawn():
    rows = [(0, place, 0, State.READY, Cause.PLAN) for place in range(100)]
    rows += [(S, 70, 0, State.HUNG, Cause.HANG)]
    found = lives(replace(under_fire(), timeline=timeline(rows)), (REPLICA,) * 120)
    assert found.in_all == 100  # twenty places never held any
    assert (len(found.places), found.hidden) == (MOST_PLACES, 60)
    assert found.at(2) == "39 ready, 1 hung of the 40 drawn"
    assert "base 70" in found.places
    assert "base 99" not in found.places


def test_the_worst_are_furthest_beyond_their_slo():
    one = random_replication(4, n=300)
    rows = np.arange(300)
    ttft = metrics.ttft(one, rows) / 300
    tpot = (one.last_token_ns - one.first_token_ns) / MS / np.maximum(one.requests.output_tokens - 1, 1) / 50
    over = np.maximum(ttft, tpot)  # one-token answers have a TPOT of 0
    found = worst(one, AIM)
    assert [each.request for each in found] == np.argsort(-over)[:50].tolist()
    assert [each.over for each in found] == pytest.approx(np.sort(-over)[:50] * -1)
    latency = metrics.e2el(one, rows)
    assert [sum(each.parts_ms) for each in found] == pytest.approx(latency[[each.request for each in found]])
    slowest = worst(one, (Objective("all", {}, 99.0),))
    assert [each.request for each in slowest] == np.argsort(-latency)[:50].tolist()
    assert slowest[0].over is None


def test_earlier_tries_are_told_apart_from_queueing():
    first = next(each for each in worst(under_fire(), AIM) if each.request == 1)
    assert dict(zip(PARTS, first.parts_ms, strict=True)) == {
        "retried": 5000,
        "front end": 0,
        "queue": 0,
        "prefill": 1000,
        "decode": 2000,
    }
    assert first.tries == 2


def test_a_preempted_request_says_when_it_came_back():
    one = replication(requests([5], [3], [0]), [0], [S], [2 * S], [9 * S])
    one = replace(one, preemptions=np.array([2], np.int32), last_scheduled_ns=np.array([6 * S]))
    assert (worst(one, AIM)[0].preemptions, worst(one, AIM)[0].readmitted_ms) == (2, 6000)
