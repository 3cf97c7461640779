"""Drawn requests: sessions, prefixes, classes, reasoning; same bytes again, and streams that do not disturb another."""

import hashlib
import math

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from tests.unit.workload_cases import CHAT, synthetic

N = 20_000
SPREAD = {
    "kind": "separate",
    "input": {"kind": "uniform", "tokens": 200, "range_ratio": 0.5},
    "output": {"kind": "uniform", "tokens": 40, "range_ratio": 0.5},
}
COLUMNS = [
    "arrival_ns",
    "prompt_tokens",
    "output_tokens",
    "max_tokens",
    "klass",
    "reasoning_tokens",
    "own_stream",
    "after",
    "segment_offset",
    "segment_stream",
    "segment_end",
]
DTYPES = ["i8", "i4", "i4", "i4", "i2", "i4", "i8", "i4", "i8", "i8", "i4"]
EVERYTHING = {
    "lengths": SPREAD,
    "shared_prefix": {"tokens": 64, "prompts": 3},
    "sessions": {"turns": 3, "think_s": 2.0},
    "classes": [
        {"name": "chat", "share": 3.0},
        {"name": "code", "share": 1.0, "shared_prefix": {"tokens": 500, "prompts": 2}, "reasoning_share": 0.5},
        {"name": "once", "share": 1.0, "sessions": {"turns": 1, "think_s": 0.0}, "lengths": CHAT},
    ],
}


def digest(requests):
    return [hashlib.sha256(getattr(requests, name).tobytes()).hexdigest() for name in COLUMNS]


def test_columns_have_the_types_of_the_contract_and_little_weight():
    requests = synthetic(N, **EVERYTHING)
    assert [getattr(requests, name).dtype for name in COLUMNS] == [np.dtype(kind) for kind in DTYPES]
    assert len(requests.segment_offset) == N + 1
    assert requests.classes == ("chat", "code", "once")
    assert requests.concurrency is None
    plain = synthetic(N)
    assert sum({id(getattr(plain, name)): getattr(plain, name).nbytes for name in COLUMNS}.values()) < 60 * N


def test_same_seed_and_replication_give_the_same_bytes_and_others_do_not():
    first = digest(synthetic(N, **EVERYTHING))
    assert digest(synthetic(N, **EVERYTHING)) == first
    assert digest(synthetic(N, replication=1, **EVERYTHING))[0] != first[0]
    assert digest(synthetic(N, seed=1, **EVERYTHING))[0] != first[0]


def test_one_purpose_does_not_shift_another():
    base = synthetic(N, lengths=SPREAD)
    other_lengths = synthetic(N, lengths=CHAT, shared_prefix={"tokens": 10, "prompts": 5}, reasoning_share=0.5)
    assert np.array_equal(base.arrival_ns, other_lengths.arrival_ns)
    other_arrivals = synthetic(N, lengths=SPREAD, arrivals={"kind": "gamma", "request_rate": 3.0})
    assert np.array_equal(base.prompt_tokens, other_arrivals.prompt_tokens)
    other_output = synthetic(N, lengths={**SPREAD, "output": {"kind": "fixed", "tokens": 1}})
    assert np.array_equal(base.prompt_tokens, other_output.prompt_tokens)
    split = synthetic(N, lengths=SPREAD, classes=[{"name": "a", "share": 1.0}, {"name": "b", "share": 1.0}])
    assert np.array_equal(base.arrival_ns, split.arrival_ns)
    with_prefix = synthetic(N, lengths=SPREAD, shared_prefix={"tokens": 10})
    assert np.array_equal(base.prompt_tokens + 10, with_prefix.prompt_tokens)


def test_fewer_prompts_are_the_first_of_more():
    few, many = synthetic(100, lengths=SPREAD), synthetic(1000, lengths=SPREAD)
    assert np.array_equal(few.arrival_ns, many.arrival_ns[:100])
    assert np.array_equal(few.prompt_tokens, many.prompt_tokens[:100])


def test_plain_requests_share_nothing():
    requests = synthetic(N)
    assert len(np.unique(requests.own_stream)) == N
    assert len(requests.segment_stream) == 0
    assert not requests.segment_offset.any()
    assert set(requests.after) == {-1}
    assert not requests.reasoning_tokens.any()
    assert np.array_equal(requests.max_tokens, requests.output_tokens)


def test_closed_loop_states_its_concurrency():
    requests = synthetic(10, arrivals={"kind": "closed_loop", "concurrency": 4})
    assert requests.concurrency == 4
    assert not requests.arrival_ns.any()


def test_classes_come_by_share():
    requests = synthetic(N, classes=[{"name": "a", "share": 1.0}, {"name": "b", "share": 3.0, "reasoning_share": 0.25}])
    assert stats.binomtest(int((requests.klass == 1).sum()), N, 0.75).pvalue > 0.001
    assert set(requests.reasoning_tokens[requests.klass == 0]) == {0}
    assert set(requests.reasoning_tokens[requests.klass == 1]) == {12}  # round(12.5) to even


def test_system_prompts_are_uniform_shared_and_part_of_the_prompt():
    requests = synthetic(N, shared_prefix={"tokens": 64, "prompts": 5})
    assert set(requests.prompt_tokens) == {164}
    assert set(requests.segment_end) == {64}
    assert np.array_equal(requests.segment_offset, np.arange(N + 1))
    streams, counts = np.unique(requests.segment_stream, return_counts=True)
    assert len(streams) == 5
    assert stats.chisquare(counts).pvalue > 0.001


def test_no_stream_has_two_purposes():
    requests = synthetic(N, **EVERYTHING)
    klass = np.repeat(requests.klass, np.diff(requests.segment_offset))
    chat, code, once = (set(requests.segment_stream[klass == k]) for k in range(3))
    assert len(chat) == 3
    assert once == chat  # what a class leaves out is the workload's, its texts too
    assert len(code) == 2
    assert not chat & code
    assert not (chat | code) & set(requests.own_stream)


def test_sessions_grow_turn_by_turn():
    """Against a loop over the requests: each turn holds the whole conversation before it."""
    requests = synthetic(N, **EVERYTHING)
    lengths = np.diff(requests.segment_offset)
    new = []
    for i in range(N):
        before = requests.after[i]
        if before < 0:
            prefix = 500 if requests.klass[i] == 1 else 64
            new.append(requests.prompt_tokens[i] - prefix)
            continue
        assert before == i - 1
        assert requests.own_stream[i] == requests.own_stream[before]
        assert requests.klass[i] == requests.klass[before]
        one, two = requests.segment_offset[before], requests.segment_offset[i]
        assert requests.segment_stream[one] == requests.segment_stream[two]
        new.append(requests.prompt_tokens[i] - requests.prompt_tokens[before] - requests.output_tokens[before])
    new = np.array(new)
    assert set(lengths) == {1}
    assert (new[requests.klass < 2].min(), new[requests.klass < 2].max()) == (100, 300)
    assert set(new[requests.klass == 2]) == {100}


def test_sessions_start_at_the_arrivals_and_pause_as_told():
    requests = synthetic(N, lengths=CHAT, sessions={"turns": 4, "think_s": 2.0})
    starts = requests.after < 0
    sessions = int(starts.sum())
    assert np.array_equal(requests.arrival_ns[starts], synthetic(sessions).arrival_ns)
    assert stats.kstest(requests.arrival_ns[~starts] / 2e9, "expon").pvalue > 0.001
    turns = np.unique(requests.own_stream, return_counts=True)[1]
    assert turns.sum() == N
    law = stats.geom(1 / 4)
    assert turns[:-1].mean() == pytest.approx(4, abs=4 * law.std() / math.sqrt(sessions))
    bins = np.bincount(np.minimum(turns[:-1], 12))[1:]
    expected = np.array([*law.pmf(range(1, 12)), law.sf(11)]) * (sessions - 1)
    assert stats.chisquare(bins, expected).pvalue > 0.001


def test_the_last_session_is_cut_at_num_prompts():
    for n in (1, 2, 7, 50):
        requests = synthetic(n, sessions={"turns": 1000, "think_s": 0.0})
        assert len(requests) == n
        assert len(np.unique(requests.own_stream)) == (requests.after < 0).sum()


@pytest.mark.parametrize(
    ("workload", "fault"),
    [
        (
            {"arrivals": {"kind": "closed_loop", "concurrency": 2}, "sessions": {"turns": 2, "think_s": 1.0}},
            "closed_loop",
        ),
        ({"sessions": {"turns": 2, "think_s": 1e12}}, "think_s"),
        ({"sessions": {"turns": 1_000_000, "think_s": 0.0}}, "tokens"),
        (
            {"lengths": {**CHAT, "input": {"kind": "fixed", "tokens": 10_000_000}}, "shared_prefix": {"tokens": 1}},
            "tokens",
        ),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(workload, fault):
    with pytest.raises(InputError, match=rf"^workload[^\n]*{fault}[^\n]*$"):
        synthetic(200_000, **workload)
