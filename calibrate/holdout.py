"""Predictions of points that a fit has not seen: whole groups are left out, never single rows of one configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from calibrate.fit import STEP, Data, Fit, Progress, posterior_covariance, solve
from calibrate.parameters import Floats, Parameter, efficiency
from calibrate.points import Bench, data_of
from sim.calibration import Metric, Parity

NORMAL_95 = 1.96
FACTORS = ("mixed", "decode")
"""What the physics misses in one configuration, drawn anew for each: factors on steps with prefill and without."""


@dataclass(frozen=True, slots=True)
class Held:
    """Held-out rows: one point's one metric each."""

    points: tuple[str, ...]
    metrics: tuple[Metric, ...]
    saturated: tuple[bool, ...]
    measured: Floats
    predicted: Floats
    variance: Floats
    """Of the predicted logarithm: what the fit left open."""
    sensitivity: Floats
    """float64[rows, 2]: of the predicted logarithm to the logarithms of FACTORS."""

    @property
    def errors(self) -> Floats:
        """log(predicted / measured)."""
        return np.log(self.predicted / self.measured)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Standard deviations of the logarithms of FACTORS."""

    mixed: float
    decode: float

    def variance(self, held: Held) -> Floats:
        """Of the predicted logarithms, float64[rows]: the fit's and the factors'."""
        added: Floats = (held.sensitivity**2) @ np.array([self.mixed**2, self.decode**2])
        return held.variance + added


def leave_out(benches: Sequence[Bench], fit: Fit, key: str, progress: Progress) -> Held:
    """Predict each group of `key` from the points outside it, starting from the prior.

    The Jacobian is the whole fit's: where it was taken matters little, what it is solved for does.
    """
    values = list(dict.fromkeys(bench.point.groups[key] for bench in benches))
    parts = []
    for number, value in enumerate(values):
        inside = np.array([bench.point.groups[key] == value for bench in benches])
        parts.append(_one_group(benches, fit, inside))
        progress(number + 1, len(values))
    return _join(parts)


def transfer(fit: Fit, benches: Sequence[Bench], jacobian: Floats) -> Held:
    """Predict points from a fit to others; `jacobian` of these points, for the interval."""
    return _predict(benches, fit.parameters, fit.z, fit.covariance, jacobian)


def priors(benches: Sequence[Bench], parameters: Sequence[Parameter], jacobian: Floats) -> Held:
    """Predict all points from nothing but the priors."""
    return _predict(benches, parameters, np.zeros(len(parameters)), np.eye(len(parameters)), jacobian)


def discrepancy(parts: Sequence[Held]) -> Discrepancy:
    """What explains the held-out errors beyond the fit's own variance: moments, non-negative, saturated rows apart."""
    if not parts:
        return Discrepancy(0.0, 0.0)
    held = _join(parts)
    kept = ~np.array(held.saturated)
    left = np.maximum(held.errors**2 - held.variance, 0.0)[kept]
    found, _ = nnls(held.sensitivity[kept] ** 2, left)
    return Discrepancy(*(float(one) for one in np.sqrt(found)))


def parity(held: Held, held_out: str, unknown: Discrepancy) -> list[Parity]:
    """The rows with their 95 % intervals."""
    half = NORMAL_95 * np.sqrt(unknown.variance(held))
    return [
        Parity(
            point=held.points[i],
            metric=held.metrics[i],
            held_out=held_out,
            measured=_round(held.measured[i]),
            predicted=_round(held.predicted[i]),
            low=_round(held.predicted[i] * np.exp(-half[i])),
            high=_round(held.predicted[i] * np.exp(half[i])),
            saturated=held.saturated[i],
        )
        for i in range(len(held.points))
    ]


def _one_group(benches: Sequence[Bench], fit: Fit, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Held:
    rest = [bench for bench, left_out in zip(benches, inside, strict=True) if not left_out]
    rows = np.concatenate([np.full(len(bench.point.fitted), out) for bench, out in zip(benches, inside, strict=True)])
    jacobian = fit.jacobian[~rows]
    data = data_of(rest)
    z = solve(data, fit.parameters, jacobian, np.zeros(len(fit.parameters)))
    covariance = posterior_covariance(jacobian, data.spread)
    left_out = [bench for bench, out in zip(benches, inside, strict=True) if out]
    return _predict(left_out, fit.parameters, z, covariance, fit.jacobian[rows])


def _predict(
    benches: Sequence[Bench],
    parameters: Sequence[Parameter],
    z: Floats,
    covariance: Floats,
    jacobian: Floats,
) -> Held:
    names = [(bench.point.name, metric) for bench in benches for metric in bench.point.fitted]
    saturated = [
        bench.predict(efficiency(parameters, z, {})).saturated for bench in benches for _ in bench.point.fitted
    ]
    return predicted(data_of(benches), names, saturated, Fit(tuple(parameters), z, covariance, jacobian))


def predicted(data: Data, names: Sequence[tuple[str, Metric]], saturated: Sequence[bool], fit: Fit) -> Held:
    """Predict rows; `fit.jacobian` is that of these rows. `names`: point and metric of each."""
    here = data.predict(fit.efficiency())
    return Held(
        points=tuple(point for point, _ in names),
        metrics=tuple(metric for _, metric in names),
        saturated=tuple(saturated),
        measured=np.exp(data.measured),
        predicted=np.exp(here),
        variance=np.einsum("ij,jk,ik->i", fit.jacobian, fit.covariance, fit.jacobian),
        sensitivity=_sensitivity(data, fit, here),
    )


def _sensitivity(data: Data, fit: Fit, here: Floats) -> Floats:
    step = STEP / 5
    moved = [data.predict(fit.efficiency(**{name: float(np.exp(step))})) for name in FACTORS]
    return np.column_stack([(one - here) / step for one in moved])


def _join(parts: Sequence[Held]) -> Held:
    return Held(
        points=tuple(name for part in parts for name in part.points),
        metrics=tuple(name for part in parts for name in part.metrics),
        saturated=tuple(flag for part in parts for flag in part.saturated),
        measured=np.concatenate([part.measured for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        variance=np.concatenate([part.variance for part in parts]),
        sensitivity=np.concatenate([part.sensitivity for part in parts]),
    )


def _round(value: float) -> float:
    return float(f"{value:.5g}")
