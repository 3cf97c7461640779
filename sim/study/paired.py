"""Designs compared replication by replication: they served the same requests, so chance cancels."""

import math
from typing import Any

from sim.result import Measures
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation


def measures(evaluation: Evaluation) -> tuple[Measures, ...]:
    """Return the numbers of each replication: of the whole traffic, and the share of good requests by class."""
    names = _class_keys(evaluation)
    return tuple(
        whole | {name: one["good_share"] for name, one in zip(names, classes, strict=True)}
        for whole, classes in zip(evaluation.replications, evaluation.classes, strict=True)
    )


def intervals(evaluation: Evaluation) -> dict[str, dict[str, float | None]]:
    """Return mean, low, high (and the calibration's range, where there is one) of the same numbers."""
    summary: dict[str, Any] = evaluation.summary
    names = _class_keys(evaluation)
    shares = {name: one["values"]["good_share"] for name, one in zip(names, summary["classes"], strict=True)}
    return {**summary["values"], **shares}


def difference(one: Evaluation, base: Evaluation, key: str) -> Interval:
    """Return the 95 % interval of a number's mean difference, `one` less `base`, over the replications that both have.

    No interval, not even a mean, where they have none in common in which the number is known.
    """
    pairs = [(mine.get(key), theirs.get(key)) for mine, theirs in zip(measures(one), measures(base), strict=False)]
    return t_interval(None if a is None or b is None else _less(a, b) for a, b in pairs)


def is_real(found: Interval) -> bool | None:
    """Whether a difference's interval leaves out zero; None where it has no interval."""
    if found.low is None or found.high is None:
        return None
    return found.low > 0 or found.high < 0


def _less(a: float, b: float) -> float:
    """Return a - b, and nothing where they differ by rounding alone: a price an hour, worked out from two totals."""
    return 0.0 if math.isclose(a, b, rel_tol=1e-12) else a - b


def _class_keys(evaluation: Evaluation) -> list[str]:
    names = [one["name"] for one in evaluation.summary["classes"]]
    return ["good_share"] if len(names) == 1 else [f"good_share.{name}" for name in names]
