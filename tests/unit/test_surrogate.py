"""The surrogate: its gradient, what a Gaussian process must do, and the gain of hypervolume, against brute force."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from sim.study.frontier import hypervolume
from sim.study.surrogate import _loss, choose, fit, gain

RNG = np.random.default_rng(0)


def test_the_gradient_by_differences():
    inputs, values = RNG.random((12, 3)), RNG.standard_normal(12)
    squares = (inputs.T[:, :, None] - inputs.T[:, None, :]) ** 2
    for _ in range(5):
        logs = RNG.normal(-0.5, 0.5, 4)
        there, slopes = (lambda x: _loss(x, squares, values)[0]), (lambda x: _loss(x, squares, values)[1])
        assert check_grad(there, slopes, logs) < 1e-4 * np.abs(slopes(logs)).max()


def test_it_goes_through_what_is_known_and_back_to_the_mean_far_away():
    inputs = RNG.random((20, 2))
    values = np.sin(3 * inputs[:, 0]) + 2 * inputs[:, 1]
    process = fit(inputs, values)
    mean, spread = process.predict(inputs)
    assert mean == pytest.approx(values, abs=0.02)
    assert (spread < 0.1 * values.std()).all()
    mean, spread = process.predict(np.full((1, 2), 1000.0))
    assert mean[0] == pytest.approx(values.mean())
    assert spread[0] == pytest.approx(values.std())


def test_it_tells_a_dimension_that_matters_from_one_that_does_not():
    inputs = RNG.random((30, 2))
    process = fit(inputs, np.sin(6 * inputs[:, 0]))
    assert process.scales[1] > 2 * process.scales[0]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_a_gain_is_the_difference_of_hypervolumes(objectives):
    reference = np.ones(objectives)
    for _ in range(50):
        front, point = RNG.random((6, objectives)), RNG.random(objectives) * 1.2
        wanted = hypervolume(np.vstack([front, point]), reference) - hypervolume(front, reference)
        assert gain(point, front, reference) == pytest.approx(wanted, abs=1e-12)


def test_it_looks_where_the_slo_is_kept_and_the_frontier_grows():
    """Cost rises with the one input, performance too; below 0.5 the SLO is missed. The ends are known but 0.6."""
    inputs = np.array([[0.0], [0.25], [0.5], [0.75], [1.0]])
    objectives = np.hstack([inputs, -inputs])
    margins = 0.5 - inputs[:, 0]
    candidates = np.array([[0.1], [0.3], [0.62], [0.99]])
    assert candidates[choose(inputs, objectives, margins, candidates)] == 0.62
    assert choose(inputs, objectives, np.full(5, 1.0) - inputs[:, 0] * 0.5, candidates) == 3, "nearest to the SLO"
