"""128 nodes, and routers that know old lengths."""

import pytest

from sim.audit.answer import Question, answer
from sim.audit.verdict import Verdict


def test_replicas_that_do_not_wait_scale_and_nodes_that_wait_do_not() -> None:
    found = answer(Question("C25", influences=False))
    assert found.ruling.verdict == Verdict.UNSUPPORTED
    assert found.evidence["random"].ours.mean == pytest.approx(100, abs=3)  # independent: exactly 100 % in the long run
    assert found.evidence["barrier"].holds is False
    alone = answer(Question("C25", {"nodes": 16.0, "batch": 128.0}, influences=False))
    assert (alone.evidence["barrier"].ours.mean or 0) > (found.evidence["barrier"].ours.mean or 0)


def test_neither_baseline_gives_the_gain() -> None:
    found = answer(Question("C26", influences=False))
    assert found.ruling.verdict == Verdict.CONTRADICTED
    assert found.evidence["relative"].ours.mean == pytest.approx(72.44, abs=0.01)


def test_queues_swing_by_what_routers_know_not_by_traffic() -> None:
    found = answer(Question("C42", {"rate": 5000.0}, influences=False))
    assert found.evidence["stale"].holds is True
    assert found.evidence["traffic"].ours.mean == pytest.approx(1, abs=0.15)
    fresh = answer(Question("C42", {"rate": 5000.0, "staleness": 1.0, "routers": 1.0}, influences=False))
    assert fresh.evidence["stale"].ours.mean == pytest.approx(1, abs=0.3)
    assert fresh.ruling.verdict != Verdict.SUPPORTED
