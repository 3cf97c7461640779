"""Prompts of different lengths: conservation of work, the verdicts, and what would turn them."""

import pytest

from sim.audit.answer import Question, answer
from sim.audit.claims.lengths import conserved
from sim.audit.verdict import Verdict


def verdict(claim: str, **inputs: float) -> Verdict:
    ruling = answer(Question(claim, inputs, influences=False)).ruling
    assert not ruling.is_open
    return ruling.verdict


def test_only_padding_minds_different_lengths() -> None:
    found = answer(Question("C10", influences=False))
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert found.evidence["padding"].ours.mean == pytest.approx(45.3, abs=1.5)
    assert verdict("C10", spread=0.0) == Verdict.CONTRADICTED


@pytest.mark.parametrize(("long", "left"), [(0.01, 0.98), (0.05, 0.92), (0.1, 0.86), (0.3, 0.67), (0.5, 0.55)])
def test_conservation_of_work(long: float, left: float) -> None:
    """claims.md, C10/C11: requests/s relative to short prompts alone."""
    assert conserved(long) == pytest.approx(100 * (1 - left), abs=0.6)


def test_35_per_cent_are_conservation_of_work() -> None:
    found = answer(Question("C11", influences=False))
    assert found.ruling.verdict == Verdict.CONDITIONAL
    numbers = {one.name: one.ours.mean or 0.0 for one in found.evidence.readings}
    assert numbers["prefill"] == pytest.approx(conserved(0.3), abs=1.5)
    assert abs(numbers["tokens"]) < 1
    assert numbers["prefill"] - numbers["before"] == pytest.approx(conserved(0.3) - conserved(0.25), abs=2)  # no plunge
    assert numbers["padded"] == pytest.approx(35, abs=4)  # claims.md: 0.65 of the requests/s at 5 %
    assert verdict("C11", answer=1.0) == Verdict.SUPPORTED
    assert verdict("C11", long=0.6) == Verdict.CONTRADICTED
