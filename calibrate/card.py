"""The error card: held-out errors in a few numbers a metric."""

from collections.abc import Sequence

import numpy as np

from sim.calibration import Parity, Score


def scores(parity: Sequence[Parity]) -> list[Score]:
    """Summarise held-out predictions by what was held out and metric; saturated points apart."""
    kinds = list(dict.fromkeys((one.held_out, one.metric, one.saturated) for one in parity))
    return [_score([one for one in parity if (one.held_out, one.metric, one.saturated) == kind]) for kind in kinds]


def _score(rows: Sequence[Parity]) -> Score:
    errors = np.array([one.predicted / one.measured - 1 for one in rows])
    sizes = np.abs(errors)
    worst = int(sizes.argmax())
    inside = [one.low <= one.measured <= one.high for one in rows if one.low is not None and one.high is not None]
    p50, p90, p99 = (round(float(one), 4) for one in np.percentile(sizes, (50, 90, 99)))
    return Score(
        held_out=rows[0].held_out + (" (saturated)" if rows[0].saturated else ""),
        metric=rows[0].metric,
        points=len(rows),
        mape=round(float(sizes.mean()), 4),
        bias=round(float(errors.mean()), 4),
        p50=p50,
        p90=p90,
        p99=p99,
        worst=f"{rows[worst].point}: {errors[worst]:+.1%}",
        coverage=round(float(np.mean(inside)), 3) if inside else None,
    )
