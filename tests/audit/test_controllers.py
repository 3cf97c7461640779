"""The allocator's claims."""

import pytest

from sim.audit.answer import Question, answer
from sim.audit.lab import Lab
from sim.audit.verdict import Verdict


def test_parallelism_takes_a_restart() -> None:
    found = answer(Question("C28", influences=False))
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert (found.evidence["restart"].ours.low or 0) > 60  # vLLM's published starts: minutes
    assert answer(Question("C28", {"limit": 600.0}, influences=False)).ruling.verdict == Verdict.SUPPORTED


def test_a_reward_without_weights_has_more_than_one_best() -> None:
    found = answer(Question("C29", influences=False))
    assert found.ruling.verdict == Verdict.QUALITATIVE
    assert (found.evidence["designs"].ours.mean or 0) >= 2
    assert (found.evidence["slow"].ours.mean or 0) < (found.evidence["fast"].ours.mean or 0)


def test_without_swings_of_the_traffic_there_is_less_to_gain_and_busy_says_nothing() -> None:
    found = answer(Question("C30", {"target": 8.5}, influences=False))
    assert found.ruling.could_be == Verdict.UNSUPPORTED
    assert found.evidence["busy"].ours.mean == pytest.approx(1, abs=0.01)
    wasteful = answer(Question("C30", {"target": 5.0}, influences=False), Lab(coarse=True))
    assert wasteful.evidence["paid"].holds is False


def test_300_ms_hold_between_tokens_alone() -> None:
    found = answer(Question("C31", influences=False))
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert [found.evidence[name].holds for name in ("e2el", "ttft", "itl")] == [False, False, True]
    short = answer(Question("C31", {"load": 20.0, "output": 4.0}, influences=False))
    assert (short.evidence["e2el"].ours.mean or 0) < 1000
