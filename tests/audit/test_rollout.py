"""Grey release, canary, switch, monitoring."""

import numpy as np
import pytest

from sim.audit.answer import Question, answer
from sim.audit.claims.rollout import EXPONENTIAL_DENSITY, lognormal_density, samples_for_p99
from sim.audit.verdict import Verdict


@pytest.mark.parametrize(
    ("density", "expected"),  # claims.md, C32
    [(EXPONENTIAL_DENSITY, 7174), (lognormal_density(1.0), 21_400), (lognormal_density(1.5), 48_200)],
)
def test_samples_for_a_p99_are_those_of_the_closed_form(density: float, expected: float) -> None:
    assert samples_for_p99(0.05, density) == pytest.approx(expected, rel=0.002)


def test_so_many_samples_are_enough_and_no_more() -> None:
    n = round(samples_for_p99(0.05, EXPONENTIAL_DENSITY))
    drawn = np.random.default_rng(1).exponential(size=(2000, n))
    inside = np.abs(np.percentile(drawn, 99, axis=1) / np.log(100) - 1) < 0.05
    assert 0.935 < inside.mean() < 0.965


def test_half_of_the_articles_requests_are_long() -> None:
    found = answer(Question("C33", influences=False))
    assert found.ruling.verdict == Verdict.QUALITATIVE
    assert found.evidence["long"].ours.mean == pytest.approx(100 * 1024 / 1921)
    assert found.evidence["azure"].ours.mean == pytest.approx(49, abs=3)


def test_the_gate_stops_identical_systems_and_a_wide_one_does_not() -> None:
    assert answer(Question("C34", influences=False)).ruling.verdict == Verdict.INCONSISTENT
    wide = answer(Question("C34", {"gate": 30.0, "share": 50.0}, influences=False))
    assert wide.ruling.verdict == Verdict.SUPPORTED


def test_fragmentation_is_half_a_block_a_sequence() -> None:
    found = answer(Question("C39", {"block": 1.0}, influences=False))
    assert found.evidence["fragmentation"].ours.mean == 0
    assert answer(Question("C39", influences=False)).evidence["fragmentation"].ours.mean == pytest.approx(
        0.69, abs=0.01
    )
