"""What fits on how many GPUs."""

import pytest

from sim.audit.claims.memory import largest_model
from sim.audit.verdict import Verdict
from sim.units import GIB
from tests.audit.asked import ask, mean


def test_ten_billion_are_the_limit_of_a_small_card_only() -> None:
    assert ask("C2").ruling.verdict == Verdict.CONTRADICTED
    assert ask("C2", memory=30.0).ruling.verdict == Verdict.SUPPORTED
    assert ask("C2", bytes=4.0, memory=50.0, sequences=16.0).ruling.verdict == Verdict.SUPPORTED


def test_the_largest_model_fills_the_gpu() -> None:
    billions = largest_model(79.1, 16, 2)
    taken = 2e9 * billions + 16 * 2048 * 47_500 * billions**0.5
    assert taken == pytest.approx((0.9 * 79.1 - 3) * GIB)
    assert 25 < billions < 36  # claims.md: some 30 B with grouped queries


def test_67b_takes_134_85_gb() -> None:
    found = ask("C3")
    assert found.ruling.verdict == Verdict.SUPPORTED
    assert mean(found, "weights") == pytest.approx(134.85, abs=0.01)
    assert mean(found, "gib") == pytest.approx(125.6, abs=0.05)
    assert ask("C3", bits=8.0).ruling.verdict == Verdict.CONTRADICTED
    assert ask("C3", layers=80.0).ruling.verdict == Verdict.CONTRADICTED


def test_two_h100s_hold_it_and_four_serve_a_batch() -> None:
    found = ask("C4")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    numbers = {name: mean(found, name) for name in ("hold", "serve", "room_two", "room_four")}
    # claims.md: 22 and 302 average requests beside 3 GiB of overhead a GPU
    assert numbers == pytest.approx({"hold": 2, "serve": 4, "room_two": 22, "room_four": 302}, rel=0.02)
    assert found.evidence["preempted"].ours.low > 0


def test_the_verdict_on_four_cards_moves_with_memory_and_batch() -> None:
    assert ask("C4", utilisation=0.8).ruling.verdict == Verdict.SUPPORTED  # two do not start
    assert ask("C4", sequences=8.0).ruling.verdict == Verdict.CONTRADICTED  # two serve so few
