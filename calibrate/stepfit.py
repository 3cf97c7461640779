"""The fit to engine steps: from far-away priors if need be, since a prediction takes a millisecond."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.fit import BOUND, STEP, Data, Fit, posterior_covariance, solve
from calibrate.holdout import FACTORS, Held
from calibrate.parameters import Floats, Parameter, efficiency
from calibrate.residuals import fit_residuals
from calibrate.steps import Steps, data_of, label
from sim.calibration import Metric, Residuals

ROUNDS = 12
FOLDS = 4
"""Every fourth shape is held out together, so each is predicted from its neighbours."""
SMALL = 0.05
"""Step of the factors' finite differences, of the logarithm."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Physics, and what it leaves over."""

    fit: Fit
    residuals: Residuals


def fit_steps(profiles: Sequence[Steps], parameters: Sequence[Parameter]) -> Fitted:
    """Fit efficiencies first, factors by size second."""
    data = data_of(profiles)
    z = np.zeros(len(parameters))
    jacobian = np.zeros((len(data.measured), len(parameters)))
    for _ in range(ROUNDS):
        jacobian = _jacobian(data, parameters, z)
        before, z = z, solve(data, parameters, jacobian, z)
        if np.abs(z - before).max() < STEP / 10:
            break
    fit = Fit(tuple(parameters), z, posterior_covariance(jacobian, data.spread), jacobian)
    return Fitted(fit, fit_residuals(profiles, fit.efficiency()))


def hold_out(profiles: Sequence[Steps], parameters: Sequence[Parameter]) -> list[Held]:
    """Predict every whole step from fits to the other folds' steps; a shape is never on both sides."""
    order = sorted({shape for one in profiles for shape in one.shapes})
    fold = {shape: number % FOLDS for number, shape in enumerate(order)}
    parts = []
    for number in range(min(FOLDS, len(order))):
        seen = [one.part([fold[shape] != number for shape in one.shapes]) for one in profiles]
        unseen = [one.part([fold[shape] == number for shape in one.shapes]) for one in profiles if one.host]
        parts.append(_predict(fit_steps(seen, parameters), [one for one in unseen if one.shapes]))
    return parts


def _predict(fitted: Fitted, steps: Sequence[Steps]) -> Held:
    fit = fitted.fit
    data = data_of(steps, fitted.residuals)
    here = data.predict(fit.efficiency())
    jacobian = _jacobian(data, fit.parameters, fit.z)
    moved = [data.predict(fit.efficiency(**{name: float(np.exp(SMALL))})) for name in FACTORS]
    metric: Metric = "step"
    names = tuple(f"{one.replica.model.architecture}: {label(shape)}" for one in steps for shape in one.shapes)
    return Held(
        points=names,
        metrics=(metric,) * len(names),
        saturated=(False,) * len(names),
        measured=np.exp(data.measured),
        predicted=np.exp(here),
        variance=np.einsum("ij,jk,ik->i", jacobian, fit.covariance, jacobian),
        sensitivity=np.column_stack([(one - here) / SMALL for one in moved]),
    )


def _jacobian(data: Data, parameters: Sequence[Parameter], z: Floats) -> Floats:
    here = data.predict(efficiency(parameters, z, {}))
    columns = []
    for index in range(len(parameters)):
        moved = z.copy()
        moved[index] += STEP if z[index] < BOUND - STEP else -STEP
        columns.append((data.predict(efficiency(parameters, moved, {})) - here) / (moved[index] - z[index]))
    return np.column_stack(columns)
