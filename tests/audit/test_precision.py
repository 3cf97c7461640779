"""Quantisation."""

import pytest

from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_int4_saves_three_quarters_of_weights_or_gpus_but_not_of_what_is_occupied() -> None:
    found = ask("C36")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    names = ("occupied", "weights", "cards", "gigabytes")
    numbers = {name: mean(found, name) for name in names}
    assert numbers == pytest.approx({"occupied": 64, "weights": 72.4, "cards": 75, "gigabytes": 37.3}, rel=0.01)
    assert mean(ask("C36", sequences=128.0), "occupied") == pytest.approx(48, abs=0.5)
    assert ask("C36", sequences=1.0).ruling.verdict == Verdict.SUPPORTED
    # W8A8 halves the weights; two H100s then do for four.
    assert ask("C36", bits=8.0).ruling.verdict == Verdict.CONTRADICTED


def test_the_loss_depends_on_the_suite() -> None:
    assert ask("C37").ruling.verdict == Verdict.CONDITIONAL
    assert ask("C37", limit=3.0).ruling.verdict == Verdict.SUPPORTED
    assert ask("C37", billions=8.0).ruling.verdict == Verdict.CONTRADICTED
    assert ask("C37", limit=0.5).ruling.verdict == Verdict.CONTRADICTED
