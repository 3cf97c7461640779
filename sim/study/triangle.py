"""Performance, cost and flexibility of the designs of one study, and whether one design is near the best in all three.

    performance   interactivity: output tokens a second and user, 1000 / mean TPOT in ms (as InferenceMAX)
    cost          USD per 1,000 requests within the SLO
    flexibility   share of goodput kept under the stress set (sim/study/flexibility.py)

Scores are 0 to 1 against the best feasible design of the study: value over best, for cost best over value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtr, stdtrit

from sim.metrics import Mask
from sim.result import Measures
from sim.stats import CONFIDENCE, Floats, Interval, t_interval
from sim.study.evaluation import Evaluation
from sim.study.flexibility import Flexibility
from sim.study.frontier import costs, pareto

COST = "usd_per_1k_good_requests"

RESAMPLES = 10_000
CORNERS = ("performance", "cost", "flexibility")
HIGHER_IS_BETTER = (True, False, True)


def interactivity(whole: Measures) -> float | None:
    """Output tokens a second and user, from the numbers of one replication."""
    tpot = whole.get("mean_tpot_ms")
    return 1000 / tpot if tpot else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a design stands; by corner, in the order of CORNERS."""

    name: str
    feasible: bool
    """The SLO's verdict is met."""
    raw: tuple[Interval, Interval, Interval]
    """Tokens a second and user, USD per 1,000 good requests, share kept."""
    scores: tuple[float | None, float | None, float | None]
    """0 to 1; None where the number or a feasible design is lacking. Above 1 only for a design that is not feasible."""
    frontier: bool
    """Feasible, and beaten by no other feasible design in all three."""


class Verdict(StrEnum):
    """The answer to a question, as far as the replications decide it."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Answer:
    """Is there one design within `within` of the best in all three?"""

    within: float
    verdict: Verdict
    design: str | None
    """The one that comes nearest; None if none is feasible and has all three numbers."""
    gap: Interval
    """How far it is from the best where it is farthest, 0.1: 10 %; with its 95 % interval over replications."""
    probability: float | None
    """That some design is; None with one replication."""


@dataclass(frozen=True, slots=True)
class Triangle:
    """All designs of a study."""

    places: tuple[Place, ...]
    values: Floats
    """float64[replications, designs, 3], raw; nan where a number is lacking."""

    @property
    def feasible(self) -> Mask:
        """Whether each design is feasible and has all three numbers (bool[designs])."""
        return np.array([one.feasible for one in self.places], np.bool_) & np.isfinite(self.values).all(axis=(0, 2))

    def answer(self, within: float = 0.1) -> Answer:
        """Say whether one design is within a share of the best in all three.

        The replications are resampled, the same ones for all designs, which served the same requests in them; best
        and nearest designs are found anew each time. Few replications make percentiles of resamples too narrow: they
        are taken further out, so that for a mean they are as wide as a t interval (Hesterberg, The American
        Statistician 69, 2015, "expanded percentile interval").
        """
        rows = np.flatnonzero(self.feasible)
        if not len(rows):
            return Answer(within, Verdict.NO, None, Interval(None, None, None, 0), None)
        values = self.values[:, rows]
        far = gaps(values.mean(axis=0))
        nearest = self.places[rows[far.argmin()]].name
        gap, n = float(far.min()), len(values)
        if n == 1:
            verdict = Verdict.YES if gap <= within else Verdict.NO
            return Answer(within, verdict, nearest, Interval(gap, None, None, 1), None)
        least = np.concatenate([gaps(np.tensordot(part, values, 1)).min(axis=1) for part in _resamples(n)])
        tail = ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - CONFIDENCE) / 2))
        low, high = (float(bound) for bound in np.quantile(least, [tail, 1 - tail]))
        verdict = Verdict.YES if high <= within else Verdict.NO if low > within else Verdict.UNDECIDED
        return Answer(within, verdict, nearest, Interval(gap, low, high, n), float((least <= within).mean()))


def triangle(
    names: Sequence[str], evaluations: Sequence[Evaluation], flexibilities: Sequence[Flexibility | None]
) -> Triangle:
    """Place designs that served the same requests.

    Args:
        names: one a design.
        evaluations: in the same order, of equally many replications.
        flexibilities: in the same order; None where it is unknown.
    """
    values = np.full((len(evaluations[0].replications) if evaluations else 0, len(names), 3), np.nan)
    for index, (one, flexible) in enumerate(zip(evaluations, flexibilities, strict=True)):
        for number, whole in enumerate(one.replications):
            kept = flexible.by_replication[number] if flexible and flexible.by_replication else None
            row = (interactivity(whole), whole.get(COST), kept)
            values[number, index] = [np.nan if value is None else value for value in row]
    met = np.array([one.summary["verdict"] in (None, "met") for one in evaluations], np.bool_)
    return place(names, values, met)


def place(names: Sequence[str], values: Floats, met: Mask) -> Triangle:
    """The same of numbers: float64[replications, designs, 3], and which designs keep the SLO (bool[designs])."""
    raw = [[t_interval(_known(column)) for column in design.T] for design in values.swapaxes(0, 1)]
    means = np.array([[np.nan if one.mean is None else one.mean for one in row] for row in raw]).reshape(-1, 3)
    ranked = met & np.isfinite(means).all(axis=1)
    front = np.zeros(len(names), np.bool_)
    front[ranked] = pareto(costs(means[ranked], HIGHER_IS_BETTER))
    scores = _scores(means, met)
    places = (
        Place(name, bool(ok), (one[0], one[1], one[2]), _three(score), bool(first))
        for name, ok, one, score, first in zip(names, met, raw, scores, front, strict=True)
    )
    return Triangle(tuple(places), values)


def gaps(means: Floats) -> Floats:
    """How far each design is from the best where it is farthest: 1 - value / best, for cost value / best - 1.

    Args:
        means: float64[..., designs, 3].

    Returns:
        float64[..., designs], at least 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = means / np.where(HIGHER_IS_BETTER, means.max(axis=-2), means.min(axis=-2))[..., None, :]
    ratios = np.where(np.isnan(ratios), 1.0, ratios)  # 0 / 0: as good as the best
    return np.asarray(np.where(HIGHER_IS_BETTER, 1 - ratios, ratios - 1).max(axis=-1))


def _scores(means: Floats, met: Mask) -> Floats:
    scores = np.full(means.shape, np.nan)
    for corner, higher in enumerate(HIGHER_IS_BETTER):
        column = means[:, corner]
        known = column[met & np.isfinite(column)]
        if len(known):
            best = known.max() if higher else known.min()
            with np.errstate(divide="ignore", invalid="ignore"):
                scores[:, corner] = np.where(column == best, 1.0, column / best if higher else best / column)
    return scores


def _three(score: Floats) -> tuple[float | None, float | None, float | None]:
    first, second, third = (float(one) if np.isfinite(one) else None for one in score)
    return first, second, third


def _known(column: Floats) -> list[float | None]:
    """All replications or none: a mean over some of them is no mean of the others' requests."""
    return list(map(float, column)) if np.isfinite(column).all() else []


def _resamples(n: int) -> Iterator[Floats]:
    """Weights of replications that are drawn with replacement, float64[resamples, n] in parts; always the same."""
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    yield from np.array_split(counts / n, RESAMPLES // 500)
