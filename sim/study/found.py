"""What a search found: the designs that no other beats, those near the best cost, and the three-way answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.metrics import Mask
from sim.stats import Floats, Interval, t_interval
from sim.study.frontier import costs, hypervolume, near_optimal, pareto
from sim.study.space import Search
from sim.study.trials import Tried, means
from sim.study.triangle import CORNERS, COST, Triangle, place


@dataclass(frozen=True, slots=True)
class Found:
    """All designs that were tried; arrays in their order."""

    search: Search
    tried: tuple[Tried, ...]
    objectives: Floats
    """float64[designs, objectives]: means, nan where unknown."""
    feasible: Mask
    """The SLO is kept, and all objectives are known."""
    frontier: Mask
    near: Mask
    """Feasible, and at most `search.near` dearer a good request than the cheapest."""

    def interval(self, index: int, objective: str) -> Interval:
        """An objective of a design that could be built, with its interval over replications."""
        told = self.tried[index].told
        return t_interval(told["objectives"][objective] if told else ())

    def price(self, index: int) -> float:
        """USD per 1,000 good requests of a design; infinite where it is unknown."""
        told = self.tried[index].told
        mean = told["values"].get(COST, [None])[0] if told else None
        return np.inf if mean is None else float(mean)

    @property
    def triangle(self) -> Triangle | None:
        """The designs whose performance, cost and flexibility are known; None if none are."""
        rows = [(one, one.told["corners"]) for one in self.tried if one.told and all(one.told["corners"].values())]
        if not rows:
            return None
        corners = np.array([[each[key] for key in CORNERS] for _, each in rows], np.float64)  # None is nan
        names, met = [str(one.number) for one, _ in rows], np.array([one.feasible for one, _ in rows])
        return place(names, corners.transpose(2, 0, 1), met)

    def hypervolume(self, reference: Floats) -> float:
        """What the feasible designs dominate; `reference`: to be minimised, one an objective."""
        return hypervolume(costs(self.objectives[self.feasible], self._maximise), reference)

    @property
    def _maximise(self) -> list[bool]:
        return maximise(self.search)


def maximise(search: Search) -> list[bool]:
    """Whether each objective is to be maximised."""
    return [way == "maximise" for way in search.objectives.values()]


def found(search: Search, tried: Sequence[Tried]) -> Found:
    """Sort what was tried, in the order of its trials."""
    lacking: list[float | None] = [None] * len(search.objectives)
    rows = [lacking if one.told is None else means(one.told) for one in tried]
    objectives = np.array(rows, np.float64).reshape(len(tried), len(search.objectives))  # None is nan
    feasible = np.array([one.feasible for one in tried], np.bool_) & np.isfinite(objectives).all(axis=1)
    front = np.zeros(len(tried), np.bool_)
    front[feasible] = pareto(costs(objectives[feasible], maximise(search)))
    result = Found(search, tuple(tried), objectives, feasible, front, np.zeros(len(tried), np.bool_))
    prices = np.array([result.price(index) for index in range(len(tried))])
    return replace(result, near=near_optimal(prices, feasible & np.isfinite(prices), search.near))
