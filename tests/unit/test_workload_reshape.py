"""Bursts and long prompts: what they change, by hand arithmetic, and that they change nothing else."""

import numpy as np
import pytest
from pydantic import ValidationError

from sim.units import NS_PER_S
from tests.unit.workload_cases import replayed, synthetic

BURSTS = {"every_s": 100.0, "for_s": 10.0, "times": 4.0}


def same_but(field, one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("arrival_ns", "prompt_tokens", "output_tokens", "klass", "own_stream", "after", "segment_end")
        if name != field
    )


def test_bursts_by_hand():
    """One a second: 40 come within the 10 s in the middle, 30 in the 45 s before and 30 in the 45 s after."""
    steady = {"kind": "constant", "request_rate": 1.0}
    got = synthetic(200, arrivals=steady, bursts=BURSTS).arrival_ns / NS_PER_S
    assert got[[29, 69, 99]] == pytest.approx([45.0, 55.0, 100.0])
    assert got[[14, 49, 129]] == pytest.approx([22.5, 50.0, 145.0])
    assert synthetic(200, arrivals=steady, bursts=BURSTS | {"times": 1.0}).arrival_ns / NS_PER_S == pytest.approx(
        np.arange(1, 201)
    )


def test_bursts_may_hold_everything():
    steady = {"kind": "constant", "request_rate": 1.0}
    got = synthetic(99, arrivals=steady, bursts=BURSTS | {"times": 10.0}).arrival_ns / NS_PER_S
    assert (got > 45).all()
    assert (got < 55).all()


def test_bursts_move_requests_in_time_and_nothing_else():
    calm, bursty = synthetic(5000), synthetic(5000, bursts=BURSTS)
    assert same_but("arrival_ns", calm, bursty)
    assert (np.diff(bursty.arrival_ns) >= 0).all()
    assert np.abs(calm.arrival_ns - bursty.arrival_ns).max() <= 100 * NS_PER_S
    phase = bursty.arrival_ns / NS_PER_S % 100
    assert ((phase >= 45) & (phase < 55)).mean() == pytest.approx(0.4, abs=0.02)


def test_pauses_of_conversations_stay():
    chats = {"sessions": {"turns": 4, "think_s": 5.0}}
    calm, bursty = synthetic(500, **chats), synthetic(500, **chats, bursts=BURSTS)
    later = calm.after >= 0
    assert later.any()
    assert np.array_equal(calm.arrival_ns[later], bursty.arrival_ns[later])


def test_long_context_lengthen_a_share_and_nothing_else():
    usual, long = synthetic(5000), synthetic(5000, long_context={"share": 0.2, "tokens": 900})
    assert same_but("prompt_tokens", usual, long)
    assert set(long.prompt_tokens.tolist()) == {100, 900}
    assert (long.prompt_tokens == 900).mean() == pytest.approx(0.2, abs=0.02)
    assert same_but("none", usual, synthetic(5000, long_context={"share": 1.0, "tokens": 100}))


def test_a_long_first_prompt_stays_in_its_conversation():
    chats = {"sessions": {"turns": 4, "think_s": 5.0}}
    usual, long = synthetic(500, **chats), synthetic(500, **chats, long_context={"share": 0.5, "tokens": 900})
    added = long.prompt_tokens - usual.prompt_tokens
    assert set(added.tolist()) == {0, 800}
    turns = np.flatnonzero(usual.after >= 0)
    assert np.array_equal(added[turns], added[usual.after[turns]])


def test_a_recording_is_reshaped_as_well(tmp_path):
    (tmp_path / "t.csv").write_text(
        "arrival_s,input_tokens,output_tokens\n" + "".join(f"{i},10,5\n" for i in range(100))
    )
    trace = {"path": "t.csv", "format": "csv", "base_dir": tmp_path}
    usual = replayed(**trace)
    reshaped = replayed(**trace, bursts=BURSTS, long_context={"share": 1.0, "tokens": 50})
    assert reshaped.arrival_ns[30] == 45 * NS_PER_S
    assert set(reshaped.prompt_tokens.tolist()) == {50}
    assert np.array_equal(usual.output_tokens, reshaped.output_tokens)


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ({"bursts": BURSTS | {"times": 11.0}}, "more than all that comes in every_s"),
        ({"bursts": BURSTS, "arrivals": {"kind": "closed_loop", "concurrency": 2}}, "closed_loop"),
    ],
)
def test_what_cannot_be_is_refused(workload, words):
    with pytest.raises(ValidationError, match=words):
        synthetic(10, **workload)
