"""What remains of the step times once the physics is fitted: factors by size, shrunk toward 1 where data are few.

A factor multiplies the part of a step that depends on its size alone (StepCost.mixed_fs, decode_fs), so measured /
predicted - 1 = share of that part x (factor - 1): linear in the factors at the knots, which are solved for by weighted
least squares with two penalties, on their distance from 1 and on the differences of neighbours.
"""

from collections.abc import Sequence

import numpy as np

from calibrate.parameters import Floats
from calibrate.steps import FS_PER_MS, Steps
from sim.calibration import Residuals
from sim.steptime.cost import StepCost, Table, device_fs, step_ns
from sim.steptime.efficiency import Efficiency
from sim.units import FS_PER_NS

KNOTS = 7
"""Sizes at which factors are stated, geometrically spaced over what was measured."""
SIZE_SPREAD = 0.2
"""Prior standard deviation of a factor around 1."""
STEP_SPREAD = 0.1
"""The same of the difference between neighbouring factors."""
BOUNDS = (0.25, 4.0)
OUTLIER = 2.0
"""Errors beyond so many spreads count less (Huber's weights)."""
ROUNDS = 5


def fit_residuals(profiles: Sequence[Steps], efficiency: Efficiency) -> Residuals:
    """Fit the factors to what `efficiency` leaves over."""
    costs = [one.replica.cost(efficiency) for one in profiles]
    tokens, mixed = _factors(profiles, costs, decode=False)
    seqs, decode = _factors(profiles, costs, decode=True)
    return Residuals(tokens=tokens, mixed=mixed, seqs=seqs, decode=decode)


def _factors(
    profiles: Sequence[Steps], costs: Sequence[StepCost], *, decode: bool
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Knots and factors of decode-only steps, or of those with prefill."""
    rows = [row for one, cost in zip(profiles, costs, strict=True) for row in _rows(one, cost, decode=decode)]
    if not rows:
        return (1,), (1.0,)
    sizes, shares, errors, spreads = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    knots = _knots(sizes)
    hats = np.array([np.interp(sizes, knots, row) for row in np.eye(len(knots))]).T
    factors = np.clip(1 + _solve(hats * shares[:, None], errors, spreads), *BOUNDS)
    tables = [cost.decode_fs if decode else cost.mixed_fs for cost in costs]
    kept = _rising(tables, knots, factors)
    return tuple(int(one) for one in knots), tuple(float(one) for one in kept)


def _rows(steps: Steps, cost: StepCost, *, decode: bool) -> list[tuple[float, float, float, float]]:
    """Size, share of the part that the factor multiplies, relative error and its spread, by step."""
    rows: list[tuple[float, float, float, float]] = []
    for shape, measured_ms, spread in zip(steps.shapes, steps.measured_ms, steps.spread, strict=True):
        if (shape.prefill_tokens == 0) != decode:
            continue
        size = shape.decode_seqs if decode else shape.prefill_tokens + shape.decode_seqs
        part = int((cost.decode_fs if decode else cost.mixed_fs)[size])
        whole = step_ns(cost, shape) * FS_PER_NS if steps.host else max(device_fs(cost, shape), 1)
        bound = not (steps.host and cost.overlap) or device_fs(cost, shape) >= whole  # else the host hides the device
        rows.append(
            (size, min(part / whole, 1.0) if bound else 0.0, float(measured_ms) * FS_PER_MS / whole - 1, float(spread))
        )
    return rows


def _knots(sizes: Floats) -> Floats:
    """Measured sizes nearest to a geometric grid."""
    distinct = np.unique(sizes)
    wanted = np.geomspace(distinct[0], distinct[-1], KNOTS)
    return np.unique(distinct[np.abs(np.log(distinct)[:, None] - np.log(wanted)).argmin(axis=0)])


def _solve(design: Floats, errors: Floats, spreads: Floats) -> Floats:
    """Factors less 1."""
    count = design.shape[1]
    apart = np.diff(np.eye(count), axis=0)
    penalty = np.eye(count) / SIZE_SPREAD**2 + apart.T @ apart / STEP_SPREAD**2
    found: Floats = np.zeros(count)
    for _ in range(ROUNDS):
        off = np.abs(errors - design @ found) / spreads
        weights = np.minimum(1, OUTLIER / np.maximum(off, 1e-9)) / spreads**2
        normal = design.T @ (weights[:, None] * design) + penalty
        found = np.asarray(np.linalg.solve(normal, design.T @ (weights * errors)), dtype=np.float64)
    return found


def _rising(tables: Sequence[Table], knots: Floats, factors: Floats) -> Floats:
    """The factors, changed until no step takes less time than a smaller one, unless the physics says so.

    Between knots time is about T(x) f(x), both linear: it rises up to the right one if f[k] <= c f[k + 1] with
    c = 2 - T[k] / T[k + 1]. The mean of lowering the left ones and of raising the right ones fulfils that too. What a
    bent T leaves is drawn toward 1.
    """
    at = np.array([table[np.minimum(knots.astype(np.int64), len(table) - 1)] for table in tables], dtype=np.float64)
    most = np.min(2 - at[:, :-1] / np.maximum(at[:, 1:], 1), axis=0)
    lowered, raised = factors.copy(), factors.copy()
    for k in range(len(knots) - 1):
        raised[k + 1] = max(raised[k + 1], raised[k] / most[k])
        left = len(knots) - 2 - k
        lowered[left] = min(lowered[left], lowered[left + 1] * most[left])
    risen = np.clip((lowered + raised) / 2, *BOUNDS)
    for kept in np.linspace(1, 0, 21):
        drawn: Floats = np.round(1 + kept * (risen - 1), 4)  # as the file states them
        if all(_no_new_fall(table, np.interp(np.arange(len(table)), knots, drawn)) for table in tables):
            return drawn
    return np.ones_like(factors)


def _no_new_fall(table: Table, factor: Floats) -> bool:
    rises = np.diff(table[1:] * factor[1:])
    return bool(np.all((rises >= -1) | (np.diff(table[1:]) < 0)))
