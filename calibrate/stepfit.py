"""The fit to engine steps: from far-away priors if need be, since a prediction takes a millisecond."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from calibrate.fit import Fit, fit, jacobian
from calibrate.holdout import Held, predicted
from calibrate.parameters import Parameter
from calibrate.residuals import fit_residuals
from calibrate.steps import Steps, data_of, label
from sim.calibration import Metric, Residuals

ROUNDS = 12
FOLDS = 4
"""Every fourth shape is held out together, so each is predicted from its neighbours."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Physics, and what it leaves over."""

    fit: Fit
    residuals: Residuals


def fit_steps(profiles: Sequence[Steps], parameters: Sequence[Parameter]) -> Fitted:
    """Fit efficiencies first, factors by size second."""
    found = fit(data_of(profiles), parameters, _quiet, ROUNDS)
    return Fitted(found, fit_residuals(profiles, found.efficiency()))


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
    data = data_of(steps, fitted.residuals)
    here = replace(fitted.fit, jacobian=jacobian(data, fitted.fit.parameters, fitted.fit.z, _quiet))
    metric: Metric = "step"
    names = [(f"{one.replica.model.architecture}: {label(shape)}", metric) for one in steps for shape in one.shapes]
    return predicted(data, names, [False] * len(names), here)


def _quiet(_done: int, _total: int) -> None:
    """A fit to steps takes seconds."""
