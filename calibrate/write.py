"""From a fit to a calibration: best estimate, posterior draws, error card."""

from collections.abc import Sequence

import numpy as np

from calibrate.fit import BOUND, Fit
from calibrate.holdout import FACTORS, Discrepancy
from calibrate.parameters import values
from sim.calibration import Draws
from sim.streams import stream

DRAWS = 40


def draws(fit: Fit, unknown: Discrepancy) -> Draws:
    """Draw from the posterior, and for each draw the factors that a new configuration may have.

    The stream is named, so that the same fit gives the same draws.
    """
    rng = stream(0, 0, "calibration")
    rows = []
    for _ in range(DRAWS):
        z = np.clip(rng.multivariate_normal(fit.z, fit.covariance), -BOUND, BOUND)
        factors = np.exp(rng.normal(0.0, [unknown.mixed, unknown.decode]))
        rows.append(tuple(significant(one) for one in (*values(fit.parameters, z).values(), *factors)))
    return Draws(names=(*(one.name for one in fit.parameters), *FACTORS), rows=tuple(rows))


def best(fit: Fit) -> dict[str, float]:
    """The best estimate by name, rounded for the file."""
    return {name: significant(value) for name, value in fit.values().items()}


def significant(value: float) -> float:
    """Four significant digits: more than any of these numbers is known to."""
    return float(f"{value:.4g}")


def names(points: Sequence[str]) -> tuple[str, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(points))
