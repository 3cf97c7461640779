"""Scores against arithmetic by hand; the three-way answer against cases whose truth is known."""

import numpy as np
import pytest

from sim.study.flexibility import Flexibility
from sim.study.triangle import Verdict, gaps, place, triangle
from tests.unit.study_cases import evaluation

MET = np.ones(3, np.bool_)


def steady(rows, replications=5):
    return np.repeat(np.array(rows, float)[None], replications, axis=0)


def noisy(rows, noise, replications, rng):
    """Each replication moves all designs together, and each a little by itself."""
    shape = (replications, len(rows), 3)
    return np.array(rows) * (
        1 + noise * rng.standard_normal((replications, 1, 1)) + noise / 5 * rng.standard_normal(shape)
    )


def test_scores_by_hand():
    found = place(
        ["a", "b", "c"], steady([[100, 2.0, 0.5], [50, 1.0, 1.0], [200, 0.5, 1.0]]), np.array([1, 1, 0], bool)
    )
    assert found.places[0].scores == (1.0, 0.5, 0.5)
    assert found.places[1].scores == (0.5, 1.0, 1.0)
    assert found.places[2].scores == (2.0, 2.0, 1.0), "against the best that is feasible"
    assert [one.frontier for one in found.places] == [True, True, False]
    assert found.places[0].raw[1].mean == 2.0


def test_gaps_by_hand():
    assert gaps(np.array([[100, 2.0, 0.5], [95, 1.0, 0.4], [50, 1.05, 0.5]])) == pytest.approx([1.0, 0.2, 0.5])
    assert gaps(np.array([[10, 1.0, 0.0], [10, 2.0, 0.0]])) == pytest.approx([0, 1]), "nobody is flexible"


@pytest.mark.parametrize(
    ("rows", "verdict", "design", "gap"),
    [
        ([[100, 1.0, 0.9], [90, 1.2, 1.0], [50, 2.0, 0.1]], Verdict.YES, "a", 0.1),
        ([[100, 2.0, 0.5], [50, 1.0, 1.0], [80, 1.4, 0.8]], Verdict.NO, "c", 0.4),
    ],
)
def test_without_chance_the_answer_is_sure(rows, verdict, design, gap):
    found = place(["a", "b", "c"], steady(rows), MET).answer(0.1 + 1e-9)
    assert (found.verdict, found.design) == (verdict, design)
    assert (found.gap.mean, found.gap.low, found.gap.high) == pytest.approx((gap, gap, gap))
    assert found.probability == (1.0 if verdict is Verdict.YES else 0.0)


def test_one_replication_is_judged_by_its_value():
    found = place(["a"], steady([[1, 1, 1]], 1), MET[:1]).answer()
    assert (found.verdict, found.gap.low, found.probability) == (Verdict.YES, None, None)


def test_common_chance_cancels():
    """Replications differ by 30 %, all designs alike: the ratios between them stay, and the answer is sure."""
    rng = np.random.default_rng(1)
    values = np.array([[100, 1.0, 1.0], [97, 1.05, 1.0]]) * (1 + 0.3 * rng.random((5, 1, 1)))
    found = place(["a", "b"], values, MET[:2]).answer()
    assert found.verdict is Verdict.YES
    assert found.gap.half_width == pytest.approx(0, abs=1e-12)


def test_the_interval_covers_the_true_gap():
    """300 studies of ten replications; the nearest design lies 20 % off."""
    rng = np.random.default_rng(2)
    rows = [[100, 1.5, 0.7], [60, 1.0, 1.0], [80, 1.15, 0.9]]
    covered, sure_of_the_opposite = 0, 0
    for _ in range(300):
        found = place(["a", "b", "c"], noisy(rows, 0.05, 10, rng), MET).answer()
        covered += found.gap.low <= 0.2 <= found.gap.high
        sure_of_the_opposite += found.verdict is Verdict.YES
    assert covered / 300 >= 0.92
    assert sure_of_the_opposite == 0


def test_at_the_border_it_is_undecided():
    rng = np.random.default_rng(3)
    rows = [[100, 1.5, 0.7], [60, 1.0, 1.0], [90, 1.05, 0.95]]
    answers = [place(["a", "b", "c"], noisy(rows, 0.05, 10, rng), MET).answer() for _ in range(50)]
    assert sum(one.verdict is Verdict.UNDECIDED for one in answers) >= 45
    assert 0.2 < np.mean([one.probability for one in answers]) < 0.8


def test_nothing_feasible_is_no():
    found = place(["a"], steady([[1, 1, 1]]), np.zeros(1, np.bool_))
    assert found.answer().verdict is Verdict.NO
    assert found.answer().design is None
    assert found.places[0].scores == (None, None, None)


def test_from_evaluations():
    designs = [
        evaluation([10, 10], 10, mean_tpot_ms=[10.0, 20.0], usd_per_1k_good_requests=[1.0, 3.0]),
        evaluation([10, 10], 10, mean_tpot_ms=[20.0, 20.0], usd_per_1k_good_requests=[None, 3.0]),
    ]
    found = triangle(["a", "b"], designs, [Flexibility((), (0.5, 1.0)), None])
    assert [one.mean for one in found.places[0].raw] == [75.0, 2.0, 0.75]
    assert [one.mean for one in found.places[1].raw] == [50.0, None, None]
    assert found.feasible.tolist() == [True, False]
