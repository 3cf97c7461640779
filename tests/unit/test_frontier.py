"""The frontier and its hypervolume against brute force and optuna's."""

import numpy as np
import pytest

from sim.study.frontier import costs, hypervolume, near_optimal, pareto


def clouds():
    rng = np.random.default_rng(0)
    found = []
    for objectives in (1, 2, 3, 4):
        for size in (1, 2, 7, 30):
            found.append(rng.random((size, objectives)))
            found.append(rng.integers(0, 4, (size, objectives)).astype(float))  # ties and equal points
    return found


@pytest.mark.parametrize("points", clouds(), ids=lambda one: f"{one.shape}")
def test_the_frontier_by_its_definition(points):
    for one, first in zip(points.tolist(), pareto(points), strict=True):
        pairs = [list(zip(one, other, strict=True)) for other in points.tolist()]
        assert first == (not any(all(b <= a for a, b in pair) and any(b < a for a, b in pair) for pair in pairs))


@pytest.mark.parametrize("points", clouds(), ids=lambda one: f"{one.shape}")
def test_the_hypervolume_of_a_grid_by_counting(points):
    """Cells of a grid of 4: exact where the points lie on it."""
    points = np.floor(points * 4) % 4
    grid = np.meshgrid(*[np.arange(4)] * points.shape[1], indexing="ij")
    cells = np.stack(grid, axis=-1).reshape(-1, 1, points.shape[1])
    counted = (cells >= points[None]).all(axis=2).any(axis=1).sum()
    assert hypervolume(points, np.full(points.shape[1], 4.0)) == pytest.approx(counted)


@pytest.mark.parametrize("points", clouds(), ids=lambda one: f"{one.shape}")
def test_the_hypervolume_is_optunas(points):
    theirs = pytest.importorskip("optuna._hypervolume").compute_hypervolume
    reference = np.full(points.shape[1], 0.9)
    assert hypervolume(points, reference) == pytest.approx(theirs(points[(points <= 0.9).all(axis=1)], reference))


def test_points_beyond_the_reference_add_nothing():
    assert hypervolume(np.array([[2.0, 0.0]]), np.ones(2)) == 0
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0
    assert hypervolume(np.array([[0.5, 0.5], [0.0, 1.0]]), np.ones(2)) == 0.25


def test_costs_turn_what_is_maximised():
    assert costs(np.array([[1.0, 2.0]]), [True, False]).tolist() == [[-1.0, 2.0]]


def test_near_optimal_is_within_a_share_of_the_best_feasible_cost():
    prices = np.array([1.0, 2.0, 2.19, 2.21, np.nan])
    near = near_optimal(prices, np.array([False, True, True, True, False]), 0.1)
    assert near.tolist() == [False, True, True, False, False]
    assert not near_optimal(prices, np.zeros(5, np.bool_), 0.1).any()
