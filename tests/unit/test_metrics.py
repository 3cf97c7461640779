"""Against vLLM's own result of a real run, and against its loops written out (vllm/benchmarks/serve.py, 0.32.0)."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import metrics
from sim.result import Outcome
from tests.shared_data import DATA, needs_data
from tests.unit.synthetic_run import MS, S, random_replication, replication, requests


@pytest.fixture(scope="module")
def sample():
    return json.loads((DATA / "vllm" / "bench_serve_sample.json").read_text())


def as_replication(sample):
    """The requests that vLLM bench measured, as if they had been simulated."""
    start = np.array(sample["start_times"])
    sent = np.round((start - start.min()) * S).astype(np.int64)
    first = sent + np.round(np.array(sample["ttfts"]) * S).astype(np.int64)
    last = sent + np.round(np.array(sample["latencies"]) * S).astype(np.int64)
    drawn = requests(sample["input_lens"], sample["output_lens"], sent)
    one = replication(drawn, sent, sent, first, last, end=round(sample["duration"] * S))
    gaps = np.round(np.concatenate(sample["itls"]) * S).astype(np.int64)
    return replace(one, itl_ns=gaps, itl_count=np.ones(len(gaps), np.int64))


@needs_data
@pytest.mark.parametrize("metric", ["ttft", "tpot", "e2el"])
def test_latencies_are_those_vllm_bench_reported(sample, metric):
    one = as_replication(sample)
    values = metrics.LATENCIES[metric](one, metrics.finished(one))
    assert values.mean() == pytest.approx(sample[f"mean_{metric}_ms"], abs=1e-5)
    assert values.std() == pytest.approx(sample[f"std_{metric}_ms"], abs=1e-5)
    for p in (50, 90, 95, 99):
        assert np.percentile(values, p) == pytest.approx(sample[f"p{p}_{metric}_ms"], abs=1e-5)


@needs_data
def test_concurrency_is_what_vllm_bench_reported(sample):
    one = as_replication(sample)
    assert metrics.max_concurrent_requests(one, metrics.finished(one)) == sample["max_concurrent_requests"] == 11
    assert metrics.peak_in_flight(one) == 10  # by instants, not by seconds


@needs_data
def test_peak_token_rate_is_near_what_vllm_bench_reported(sample):
    one = as_replication(sample)
    found = metrics.max_output_tokens_per_s(one, metrics.finished(one))
    assert found == pytest.approx(sample["max_output_tokens_per_s"], rel=0.25)  # of a very uneven run on a busy CPU


def vllm_seconds(one, rows):
    """serve.py:691-724 with token times as evenly spread as our own runs have them."""
    start = one.sent_ns[rows].min()
    size = int((one.last_token_ns[rows] - start).max() // S) + 2
    tokens, concurrent = np.zeros(size), np.zeros(size)
    for i in rows:
        n = one.requests.output_tokens[i]
        for time in np.linspace(one.first_token_ns[i] - start, one.last_token_ns[i] - start, n):
            tokens[int(time // S)] += 1
        for second in range((one.sent_ns[i] - start) // S, (one.last_token_ns[i] - start) // S + 1):
            concurrent[second] += 1
    return tokens.max(), concurrent.max()


@pytest.mark.parametrize("seed", range(5))
def test_seconds_are_binned_as_vllm_bins_them(seed):
    one = random_replication(seed, n=1500)
    rows = metrics.finished(one)
    tokens, concurrent = vllm_seconds(one, rows)
    assert metrics.max_concurrent_requests(one, rows) == concurrent
    assert metrics.max_output_tokens_per_s(one, rows) == pytest.approx(tokens, rel=0.05)


def test_tokens_per_second_by_hand():
    # 1 token at 0.5 s, then 10 evenly until 2.5 s: 1 + 2.5, 5, 2.5 in the seconds. The other has its 2 at once.
    one = replication(requests([1, 1], [11, 2], [0, 0]), [0, 0], [0, 0], [S // 2, S], [5 * S // 2, S])
    assert metrics.max_output_tokens_per_s(one, metrics.finished(one)) == pytest.approx(7.0)
    assert metrics.max_output_tokens_per_s(one, np.array([0])) == pytest.approx(5.0)
    assert metrics.max_output_tokens_per_s(one, np.zeros(0, np.intp)) == 0.0


intervals = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 8)), min_size=1, max_size=20)


@settings(deadline=None)
@given(intervals)
def test_peak_in_flight_counts_half_open_intervals(pairs):
    pairs.sort()
    sent = np.array([start for start, _ in pairs])
    last = sent + [length for _, length in pairs]
    one = replication(requests([1] * len(pairs), [1] * len(pairs), sent), sent, sent, last, last)
    naive = max(sum(a <= instant < b for a, b in zip(sent, last, strict=True)) for instant in range(20))
    assert metrics.peak_in_flight(one) == naive


def test_server_side_times_end_at_the_first_scheduling_as_in_vllm():
    one = replication(requests([8], [3], [0]), [0], [5 * MS], [20 * MS], [50 * MS])
    one = replace(one, last_scheduled_ns=np.array([30 * MS]), answer_token_ns=np.array([50 * MS]))
    rows = metrics.finished(one)
    found = {name: latency(one, rows).tolist() for name, latency in metrics.LATENCIES.items()}
    assert found == {
        "ttft": [20.0],
        "tpot": [15.0],
        "e2el": [50.0],
        "ttfat": [50.0],
        "queue": [5.0],
        "prefill": [15.0],
        "decode": [30.0],
    }


def vllm_good(one, limits):
    """serve.py:626-663: a one-token output has TPOT 0; every limit must be kept, equality included."""
    good = 0
    for i in metrics.finished(one):
        ttft, e2el = ((t[i] - one.sent_ns[i]) / MS for t in (one.first_token_ns, one.last_token_ns))
        n = one.requests.output_tokens[i]
        values = {"ttft": ttft, "e2el": e2el, "tpot": (e2el - ttft) / (n - 1) if n > 1 else 0.0}
        good += all(limit >= values[name] for name, limit in limits.items())
    return good


@pytest.mark.parametrize(
    "limits", [{"ttft": 400.0}, {"tpot": 30.0}, {"ttft": 500.0, "tpot": 40.0, "e2el": 1000.0}, {"ttft": 1.0}]
)
def test_goodput_is_vllms(limits):
    one = random_replication(3, n=400)
    everyone = np.ones(400, bool)
    found = metrics.judge(one, limits, everyone)
    assert (found.good, found.judged) == (vllm_good(one, limits), 400)
    assert found.good == 400 - found.missed[next(iter(limits))] or len(limits) > 1


def test_a_limit_that_is_just_kept_is_kept():
    one = replication(requests([8, 8], [1, 3], [0, 0]), [0, 0], [0, 0], [20 * MS, 20 * MS], [20 * MS, 50 * MS])
    everyone = np.ones(2, bool)
    assert metrics.judge(one, {"ttft": 20.0, "tpot": 15.0, "e2el": 50.0}, everyone).good == 2
    assert metrics.judge(one, {"tpot": 14.999}, everyone).good == 1  # the one-token output has none
    assert metrics.judge(one, {"ttft": 20.0}, np.array([True, False])).judged == 1


def test_unfinished_requests_are_judged_only_once_they_are_too_late():
    outcome = [Outcome.FINISHED, Outcome.REJECTED, Outcome.IN_FLIGHT, Outcome.IN_FLIGHT, Outcome.NOT_SENT]
    one = replication(
        requests([8] * 5, [2] * 5, [0] * 5),
        sent=[0, 0, 10 * MS, 80 * MS, -1],
        scheduled=[0, -1, -1, 90 * MS, -1],
        first=[5 * MS, -1, -1, 95 * MS, -1],
        last=[9 * MS, -1, -1, 99 * MS, -1],  # the engine keeps the last token so far
        outcome=outcome,
        end=100 * MS,
    )
    everyone = np.ones(5, bool)
    early = metrics.judge(one, {"ttft": 50.0}, everyone)
    assert (early.good, early.judged, early.missed) == (1, 3, {"ttft": 1})  # 90 ms without a token is too late
    late = metrics.judge(one, {"e2el": 15.0}, everyone)
    assert (late.good, late.judged, late.missed) == (1, 4, {"e2el": 2})
    patient = metrics.judge(one, {"e2el": 1000.0}, everyone)
    assert (patient.good, patient.judged) == (1, 2)
