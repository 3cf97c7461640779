"""The fit: a prior updated by measurements, robustly, with bounds; and what uncertainty it leaves.

Maximum a posteriori on standardised log-efficiencies z: squared z's are the prior, residuals are log(predicted /
measured) over their spread, so errors are relative; soft_l1 tames outliers. The posterior is normal around the optimum
(Laplace's approximation, MacKay 2003, chapter 27).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from calibrate.parameters import Floats, Parameter, efficiency, values
from sim.steptime.efficiency import Efficiency

Predict = Callable[[Efficiency], Floats]
"""Logarithms of all predicted numbers, float64[rows]."""
Progress = Callable[[int, int], None]

BOUND = 3.0
"""Efficiencies stay within so many prior standard deviations."""
STEP = 0.25
"""Of the finite differences, in prior standard deviations: wider than the jumps of a discrete simulation."""
OUTLIER = 2.0
"""Residuals beyond so many spreads count linearly."""
ROUNDS = 2
"""Gauss-Newton rounds with a fresh Jacobian where each prediction is a simulation; the problem is close to linear."""
SETTLED = STEP / 10
"""A round that moves every parameter by less is the last."""


@dataclass(frozen=True, slots=True)
class Data:
    """What is fitted to: rows of logarithms."""

    predict: Predict
    measured: Floats
    """float64[rows]: logarithms."""
    spread: Floats
    """float64[rows]: of measurement and model error together; weighs the rows."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The optimum and what surrounds it."""

    parameters: tuple[Parameter, ...]
    z: Floats
    """float64[parameters]"""
    covariance: Floats
    """float64[parameters, parameters], of z; the identity is the prior's."""
    jacobian: Floats
    """float64[rows, parameters]: of the predicted logarithms with respect to z."""

    def values(self) -> dict[str, float]:
        """The fitted efficiencies by name."""
        return values(self.parameters, self.z)

    def efficiency(self, **others: float) -> Efficiency:
        """The same as an Efficiency; `others`: factors beside them."""
        return efficiency(self.parameters, self.z, others)


def fit(data: Data, parameters: Sequence[Parameter], progress: Progress, rounds: int = ROUNDS) -> Fit:
    """Update the prior by the data.

    Args:
        data: What was measured.
        parameters: What may change; a parameter without influence keeps its prior.
        progress: Called with Jacobian columns done and all.
        rounds: Most Gauss-Newton rounds.
    """
    z = np.zeros(len(parameters))
    slopes = np.zeros((len(data.measured), len(parameters)))
    total = rounds * len(parameters)
    for number in range(rounds):
        slopes = jacobian(data, parameters, z, _shifted(progress, number * len(parameters), total))
        before, z = z, solve(data, parameters, slopes, z)
        if np.abs(z - before).max() < SETTLED:
            break
    return Fit(tuple(parameters), z, posterior_covariance(slopes, data.spread), slopes)


def posterior_covariance(jacobian: Floats, spread: Floats) -> Floats:
    """Of z, float64[parameters, parameters], where rows of the Jacobian have the given spread."""
    weighted = jacobian / spread[:, None]
    return np.linalg.inv(weighted.T @ weighted + np.eye(jacobian.shape[1])).astype(np.float64)


def solve(data: Data, parameters: Sequence[Parameter], jacobian: Floats, start: Floats) -> Floats:
    """Minimise from `start` with a Jacobian that is kept; float64[parameters]."""
    whole: Floats = np.vstack([jacobian / data.spread[:, None], np.eye(len(parameters))])

    def residuals(z: Floats) -> Floats:
        predicted = data.predict(efficiency(parameters, z, {}))
        return np.concatenate([(predicted - data.measured) / data.spread, z])

    def kept(_z: Floats) -> Floats:
        return whole

    found = least_squares(
        residuals,
        start,
        jac=kept,
        bounds=(-BOUND, BOUND),
        loss="soft_l1",
        f_scale=OUTLIER,
        x_scale=1.0,
        xtol=1e-3,
        ftol=1e-3,
        max_nfev=6,
    )
    return np.asarray(found.x, dtype=np.float64)


def jacobian(data: Data, parameters: Sequence[Parameter], z: Floats, progress: Progress) -> Floats:
    """Slopes of the predicted logarithms at `z`, float64[rows, parameters]."""
    here = data.predict(efficiency(parameters, z, {}))
    columns = []
    for index in range(len(parameters)):
        moved = z.copy()
        moved[index] += STEP if z[index] < BOUND - STEP else -STEP
        columns.append((data.predict(efficiency(parameters, moved, {})) - here) / (moved[index] - z[index]))
        progress(index + 1, len(parameters))
    return np.column_stack(columns)


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    """Progress of a part, as progress of the whole."""
    return lambda done, _part: progress(before + done, total)
