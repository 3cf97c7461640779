"""Where to look next: a Gaussian process for each objective and for the SLO's margin, and the hypervolume to be gained.

SMS-EGO (Ponweiser, Wagner, Biermann and Vincze 2008): of all candidates, the one whose optimistic objectives (mean less
one standard deviation) add most hypervolume to the frontier so far, times the probability that it keeps the SLO.
Kernel: Matern 5/2 with a length scale a dimension (Rasmussen and Williams 2006, 4.17); scales by maximum posterior.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr

from sim.metrics import Mask
from sim.stats import Floats
from sim.study.frontier import hypervolume, pareto

OPTIMISM = 1.0
"""Standard deviations."""
_REFERENCE = 1.1
"""Where the hypervolume ends, on a scale from the best (0) to the worst design (1) that keeps the SLO."""
_INSIDE, _OUTSIDE = 0.1, 0.2
"""What keeps the SLO by more, or is so much worse than the best so far, says no more about where the border is."""
_NUGGET = (1e-6, 1e-1)
_SCALES = (0.05, 20.0)
_PRIOR = (np.log(0.7), 0.8)
"""Mean and standard deviation of the logarithm of a length scale, inputs being 0 to 1: smooth unless seen otherwise."""


@dataclass(frozen=True, slots=True)
class Process:
    """A Gaussian process of standardised values, given what was seen."""

    inputs: Floats
    scales: Floats
    factor: Floats
    """Lower Cholesky factor of the kernel matrix."""
    weights: Floats
    mean: float
    deviation: float

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at each point, float64[n] each, in the unit of the values."""
        cross = _kernel(points, self.inputs, self.scales)
        left = solve_triangular(self.factor, cross.T, lower=True)
        spread = np.sqrt(np.maximum(1 - (left**2).sum(axis=0), 1e-12))
        return self.mean + self.deviation * (cross @ self.weights), self.deviation * spread


def fit(inputs: Floats, values: Floats) -> Process:
    """Fit a process to values, float64[n], at inputs of 0 to 1, float64[n, dimensions]."""
    mean, deviation = float(values.mean()), float(values.std()) or 1.0
    standard = (values - mean) / deviation
    squares = (inputs.T[:, :, None] - inputs.T[:, None, :]) ** 2
    bounds = [tuple(np.log(_SCALES))] * inputs.shape[1] + [tuple(np.log(_NUGGET))]
    start = np.append(np.full(inputs.shape[1], _PRIOR[0]), np.log(1e-3))
    found = minimize(_loss, start, (squares, standard), jac=True, bounds=bounds, method="L-BFGS-B")
    scales, nugget = np.exp(found.x[:-1]), float(np.exp(found.x[-1]))
    factor = np.asarray(np.linalg.cholesky(_kernel(inputs, inputs, scales) + nugget * np.eye(len(inputs))), np.float64)
    return Process(inputs, scales, factor, cho_solve((factor, True), standard), mean, deviation)


def choose(inputs: Floats, objectives: Floats, margins: Floats, candidates: Floats) -> int:
    """Return the index of the candidate to try next.

    Args:
        inputs: designs that were tried, float64[n, dimensions], 0 to 1.
        objectives: what they came to, to be minimised, float64[n, objectives]; nan where there is nothing.
        margins: by how much each misses the SLO's share, float64[n]: at most 0 where it keeps it, inf where it cannot
            be built.
        candidates: designs to choose from, float64[m, dimensions].
    """
    kept = (margins <= 0) & np.isfinite(objectives).all(axis=1)
    mean, spread = _margins(inputs, margins, candidates)
    if not kept.any():
        return int((mean - OPTIMISM * spread).argmin())
    chance = np.asarray(ndtr(-mean / spread))
    scaled = _scaled(objectives, kept)
    hopes = np.stack([_hope(inputs, column, candidates) for column in scaled.T], axis=1)
    front = scaled[kept]
    front = front[pareto(front)]
    best = _most_gained(hopes, chance, front, np.full(front.shape[1], _REFERENCE))
    return int((chance * _apart(candidates, inputs)).argmax()) if best is None else best


def gain(point: Floats, front: Floats, reference: Floats) -> float:
    """Return the hypervolume that a point adds to a frontier."""
    if (point >= reference).any() or (front <= point).all(axis=1).any():
        return 0.0
    return float(np.prod(reference - point)) - hypervolume(np.maximum(front, point), reference)


def _most_gained(hopes: Floats, chance: Floats, front: Floats, reference: Floats) -> int | None:
    """The point of the largest expected gain; None if none gains anything. A point gains no more than its own box."""
    most = chance * np.prod(np.maximum(reference - hopes, 0.0), axis=1)
    best, found = 0.0, None
    for index in np.argsort(-most, kind="stable").tolist():
        if most[index] <= best:
            break
        gained = chance[index] * gain(hopes[index], front, reference)
        if gained > best:
            best, found = gained, index
    return found


def _hope(inputs: Floats, column: Floats, candidates: Floats) -> Floats:
    known = np.isfinite(column)
    mean, spread = fit(inputs[known], column[known]).predict(candidates)
    return np.asarray(mean - OPTIMISM * spread)


def _margins(inputs: Floats, margins: Floats, candidates: Floats) -> tuple[Floats, Floats]:
    """By how much each candidate misses the SLO: mean and standard deviation."""
    least = max(float(margins.min(where=np.isfinite(margins), initial=1.0)), 0.0)
    return fit(inputs, np.clip(margins, -_INSIDE, least + _OUTSIDE)).predict(candidates)


def _scaled(objectives: Floats, kept: Mask) -> Floats:
    """Scale what is kept to 0 to 1; what lies far beyond says no more than that it does, or it would rule the fit."""
    low, high = objectives[kept].min(axis=0), objectives[kept].max(axis=0)
    return np.asarray(np.clip((objectives - low) / np.where(high > low, high - low, 1.0), -1.0, 2.0))


def _apart(candidates: Floats, inputs: Floats) -> Floats:
    """Squared distance to the nearest design that was tried."""
    return np.asarray(((candidates[:, None] - inputs[None]) ** 2).sum(axis=2).min(axis=1))


def _kernel(one: Floats, other: Floats, scales: Floats) -> Floats:
    return _matern((((one[:, None] - other[None]) / scales) ** 2).sum(axis=2))


def _matern(squares: Floats) -> Floats:
    """Matern 5/2 of squared distances."""
    distance = np.sqrt(5 * squares)
    return np.asarray((1 + distance + 5 / 3 * squares) * np.exp(-distance))


def _loss(logs: Floats, squares: Floats, values: Floats) -> tuple[float, Floats]:
    """Negative log posterior of the scales and the nugget, and its gradient (Rasmussen and Williams 2006, 5.9).

    Args:
        logs: logarithms of the scales, then of the nugget.
        squares: squared differences of the inputs, float64[dimensions, n, n].
        values: standardised, float64[n].
    """
    parts = squares * np.exp(-2 * logs[:-1])[:, None, None]
    total = parts.sum(axis=0)
    nugget = float(np.exp(logs[-1]))
    factor = cho_factor(_matern(total) + nugget * np.eye(len(values)), lower=True)
    weights = cho_solve(factor, values)
    tension = cho_solve(factor, np.eye(len(values))) - np.outer(weights, weights)
    distance = np.sqrt(5 * total)
    slopes = np.append(
        0.5 * (parts * (tension * 5 / 3 * (1 + distance) * np.exp(-distance))).sum(axis=(1, 2)),
        0.5 * nugget * np.trace(tension),
    )
    off = (logs[:-1] - _PRIOR[0]) / _PRIOR[1]
    slopes[:-1] += off / _PRIOR[1]
    return float(0.5 * values @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * (off**2).sum()), slopes
