"""A calibration from a user's own measurements: step profiles, served runs, or both of one engine on one GPU."""

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np

from calibrate import write
from calibrate.card import scores
from calibrate.fit import Fit, Progress, fit
from calibrate.holdout import NORMAL_95, Held, discrepancy, leave_out, parity
from calibrate.learnt import known_machine
from calibrate.parameters import Parameter, parameters
from calibrate.points import data_of
from calibrate.profiles import Profile
from calibrate.request import Request, description, hull, one_gpu, sources
from calibrate.results import CONFIGURATION, Result, Served
from calibrate.stepfit import Fitted, fit_steps, hold_out
from calibrate.steps import Steps
from sim.calibration import Calibration, Metric, Parity
from sim.steptime.calibrated import efficiency_of

SERVING = {"frontend_s": 1.0, "host_step_s": 0.7, "host_request_s": 1.5}
"""What a server adds to the bare engine that a profile measured, and how far (standard deviations of the logarithm):
the front end before the queue; hand-over of each step's tokens to the API server's process and contention with it."""
DRIFT = 0.1
"""How far everything else may be from what it was in the profile: clocks, temperature, neighbours, contention."""
SHAPES, UNSEEN = "shapes", "unseen runs"
"""What was held out: every fourth step of the profiles; runs that no fit was shown."""
LEAST_SPREAD = 0.02
"""An efficiency is not known better than this, whatever an earlier calibration says."""


def from_measurements(request: Request, progress: Progress) -> Calibration:
    """Fit, hold out, score.

    Steps pin what the device takes. Served runs beside them are fitted by simulating, and pin what a server adds;
    alone they update all efficiencies.

    Raises:
        InputError: the measurements are of several GPUs or engine versions.
    """
    gpus = one_gpu(request)
    prior = _prior(request.prior, gpus)
    held: list[tuple[str, Held]] = []
    fitted: Fitted | None = None
    if request.profiles:
        steps = [part for one in request.profiles for part in _steps(one)]
        fitted = fit_steps(steps, prior)
        held += [(SHAPES, fold) for fold in hold_out(steps, prior)]
    whole = None if fitted is None else fitted.fit
    if request.results:
        benches = _benches(request.results, fitted)
        served = fit(data_of(benches), prior if fitted is None else _serving(fitted.fit), progress)
        if len({one.point.groups[CONFIGURATION] for one in request.results}) > 1:
            held.append((CONFIGURATION, leave_out(benches, served, CONFIGURATION, progress)))
        whole = served if whole is None else _joined(whole, served)
    assert whole is not None
    unknown = discrepancy([one for _, one in held])
    rows = [row for key, one in held for row in parity(one, key, unknown)]
    calibration = Calibration(
        schema_version=1,
        name=request.name,
        description=description(request),
        date=date.today().isoformat(),
        engine=request.engine,
        sources=tuple(sources(request)),
        measured=hull(request),
        parameters=write.best(whole),
        residuals=None if fitted is None else fitted.residuals,
        draws=write.draws(whole, unknown),
        card=tuple(scores(rows)),
        parity=tuple(rows),
    )
    return _with_unseen(calibration, request.unseen, progress) if request.unseen else calibration


def predict(calibration: Calibration, results: Sequence[Result], held_out: str, progress: Progress) -> list[Parity]:
    """Predict results by a calibration, all metrics, with 95 % intervals from its draws."""
    rows = []
    draws = 0 if calibration.draws is None else len(calibration.draws.rows)
    for number, result in enumerate(results):
        bench = Served(result)
        efficiencies = [efficiency_of(calibration, draw) for draw in (None, *range(draws))]
        best, *others = [bench.predict(one, calibration.residuals) for one in efficiencies]
        for metric, measured in result.point.measured.items():
            half = float(NORMAL_95 * np.std(np.log([one.means[metric] for one in others]))) if others else None
            rows.append(_parity(result, metric, measured, best.means[metric], half, held_out, best.saturated))
        progress(number + 1, len(results))
    return rows


def _parity(
    result: Result,
    metric: Metric,
    measured: float,
    predicted: float,
    half: float | None,
    held_out: str,
    saturated: bool,
) -> Parity:
    low, high = (None, None) if half is None else (predicted * np.exp(-half), predicted * np.exp(half))
    return Parity(
        point=result.point.name,
        metric=metric,
        held_out=held_out,
        measured=_rounded(measured),
        predicted=_rounded(predicted),
        low=None if low is None else _rounded(float(low)),
        high=None if high is None else _rounded(float(high)),
        saturated=saturated,
    )


def _with_unseen(calibration: Calibration, unseen: Sequence[Result], progress: Progress) -> Calibration:
    rows = predict(calibration, unseen, UNSEEN, progress)
    update = {"card": (*calibration.card, *scores(rows)), "parity": (*calibration.parity, *rows)}
    return calibration.model_copy(update=update)


def _steps(profile: Profile) -> list[Steps]:
    """Whole steps; and the model alone where the host waits for it, since only then is its time the device's."""
    whole = profile.steps(host=True)
    return [whole] if profile.replica.defaults.async_scheduling else [whole, profile.steps(host=False)]


def _benches(results: Iterable[Result], fitted: Fitted | None) -> list[Served]:
    return [Served(one, None if fitted is None else fitted.residuals) for one in results]


def _serving(steps: Fit) -> list[Parameter]:
    """What the steps found is the prior of what serves."""
    return [Parameter(name, value, SERVING.get(name, DRIFT)) for name, value in steps.values().items()]


def _joined(steps: Fit, served: Fit) -> Fit:
    """Both updates in the first prior's units; what serving alone knows forgets the steps' variance."""
    scale = np.array(
        [after.spread / before.spread for before, after in zip(steps.parameters, served.parameters, strict=True)]
    )
    kept = np.array([0.0 if one.name in SERVING else 1.0 for one in steps.parameters])
    covariance = np.outer(kept, kept) * steps.covariance + np.outer(scale, scale) * served.covariance
    return Fit(steps.parameters, steps.z + scale * served.z, covariance, served.jacobian)


def _prior(earlier: Calibration | None, gpus: Sequence[str]) -> tuple[Parameter, ...]:
    """The usual priors, or what an earlier calibration made of them."""
    usual = parameters(known_machine=known_machine(gpus))
    if earlier is None:
        return usual
    return tuple(_updated(one, earlier) for one in usual)


def _updated(usual: Parameter, earlier: Calibration) -> Parameter:
    if usual.name not in earlier.parameters:
        return usual
    spread, draws = usual.spread, earlier.draws
    if draws is not None and usual.name in draws.names:
        column = [row[draws.names.index(usual.name)] for row in draws.rows]
        spread = max(float(np.log(column).std()), LEAST_SPREAD)
    return Parameter(usual.name, earlier.parameters[usual.name], spread)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
