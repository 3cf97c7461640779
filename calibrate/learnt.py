"""What a calibration learnt: each efficiency with its prior, its estimate and how far the estimate is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.parameters import Parameter, parameters
from sim.calibration import Calibration
from sim.steptime.efficiency import PRIOR

LEAST_SHARE = 0.25
"""Less is not told from nothing: forty draws know their own spread to a tenth, one standard error."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """One efficiency."""

    name: str
    prior: float
    fitted: float
    low: float | None
    """Of the 95 % interval; None without draws."""
    high: float | None
    share: float | None
    """How much of the prior's uncertainty is gone: 0 nothing was learnt, 1 all; None without draws."""


def known_machine(gpus: Sequence[str]) -> bool:
    """Whether the priors were taken from machines like these: GPUs, not CPUs."""
    return not any(gpu.startswith("cpu-") for gpu in gpus)


def learnt(calibration: Calibration) -> list[Learnt]:
    """The efficiencies of a calibration, those with most learnt first."""
    priors = {one.name: one for one in parameters(known_machine=known_machine(calibration.measured.gpus))}
    found = [_one(calibration, name, value, priors.get(name)) for name, value in calibration.parameters.items()]
    return sorted(found, key=lambda one: -(one.share or 0.0))


def _one(calibration: Calibration, name: str, value: float, prior: Parameter | None) -> Learnt:
    median = prior.prior if prior else float(getattr(PRIOR, name, math.nan))
    draws = calibration.draws
    if draws is None or name not in draws.names:
        return Learnt(name, median, value, None, None, None)
    column = np.array([row[draws.names.index(name)] for row in draws.rows])
    low, high = (float(one) for one in np.percentile(column, (2.5, 97.5)))
    share = 1 - float(np.log(column).std()) / prior.spread if prior else None
    if share is not None and share < LEAST_SHARE:
        share = 0.0
    return Learnt(name, median, value, low, high, share)
