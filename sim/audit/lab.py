"""Where the answers get their numbers: scenarios of the article, deployed or simulated, each once."""

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from sim.deployment import Deployment, deploy
from sim.result import Run
from sim.run import simulate
from sim.scenario.load import Loaded, load
from sim.shipped import FOLDER
from sim.stats import Interval, paired_difference
from sim.study.evaluation import Design, Evaluation, evaluate_loaded

ARTICLE = FOLDER / "article"


class Lab:
    """Simulates scenarios by name. A coarse one takes a single replication, to see which inputs matter."""

    def __init__(self, folder: Path = ARTICLE, *, coarse: bool = False) -> None:
        """Take the folder in which the scenarios lie."""
        self._folder = folder
        self.coarse = coarse

    @cached_property
    def rough(self) -> "Lab":
        """The same with one replication of everything."""
        return Lab(self._folder, coarse=True)

    def loaded(self, name: str, *settings: str, variant: str | None = None) -> Loaded:
        """A scenario with some keys set, as --set takes them."""
        more = ("run.replications=1",) if self.coarse else ()
        return load(self._folder / f"{name}.yaml", [*settings, *more], variant)

    def deployments(self, name: str, *settings: str) -> Sequence[Deployment]:
        """What each pool of a scenario is: KV blocks, step times; nothing is simulated."""
        loaded = self.loaded(name, *settings)
        return deploy(loaded.scenario, loaded.base_dir)

    def evaluate(self, name: str, *settings: str, variant: str | None = None) -> Evaluation:
        """Simulate a scenario; the same one again costs nothing."""
        more = ("run.replications=1",) if self.coarse else ()
        return _evaluate(Design(str(self._folder / f"{name}.yaml"), (*settings, *more), variant))

    def simulate(self, name: str, *settings: str, variant: str | None = None) -> Run:
        """The same with every request's times."""
        more = ("run.replications=1",) if self.coarse else ()
        return _simulate(Design(str(self._folder / f"{name}.yaml"), (*settings, *more), variant))


@lru_cache(maxsize=512)
def _evaluate(design: Design) -> Evaluation:
    return evaluate_loaded(design, load(Path(design.source), design.settings, design.variant))


@lru_cache(maxsize=4)
def _simulate(design: Design) -> Run:
    return simulate(load(Path(design.source), design.settings, design.variant), progress=_silent)


def value(evaluation: Evaluation, key: str) -> Interval:
    """A number of the summary with its interval (keys as in sim/report/measure.py)."""
    found = evaluation.summary["values"][key]
    return Interval(**found)


def difference(a: Evaluation, b: Evaluation, key: str) -> Interval:
    """Difference a - b by replication, over common random numbers."""
    return paired_difference(_each(a, key), _each(b, key))


def quotient(a: Evaluation, b: Evaluation, key: str) -> Interval:
    """Ratio a / b by replication, over common random numbers."""
    ratios = [x / y for x, y in zip(_each(a, key), _each(b, key), strict=True)]
    return paired_difference(ratios, [0.0] * len(ratios))


def over(a: Interval, b: Interval) -> Interval:
    """Ratio a / b of two that are independent; relative half widths add up as a root sum of squares."""
    if not a.mean or not b.mean:
        return Interval(None, None, None, 0)
    ratio = a.mean / b.mean
    if a.half_width is None or b.half_width is None:
        return Interval(ratio, None, None, min(a.n, b.n))
    half = abs(ratio) * math.hypot(a.half_width / a.mean, b.half_width / b.mean)
    return Interval(ratio, ratio - half, ratio + half, min(a.n, b.n))


def _each(evaluation: Evaluation, key: str) -> list[float]:
    values = [one[key] for one in evaluation.replications]
    known = [float(one) for one in values if isinstance(one, int | float)]
    if len(known) != len(values):
        raise ValueError(f"{key} is unknown in a replication of {evaluation.design}")
    return known


def _silent(done: int, of: int) -> None:
    """The audit tells its own progress."""
