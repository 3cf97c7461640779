"""Which designs stand in the triangle, and what is told of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from sim.stats import Interval
from sim.study.frontier import near_optimal
from sim.study.triangle import Place, Triangle, triangle
from ui.app import curves, numbers
from ui.app.designs import Kind, design, kinds, own_kind, short_name
from ui.app.jobs import Answer, Task, task
from ui.app.planning import Planned
from ui.app.scene import Scene
from ui.app.weighing import Weighed, weigh


@dataclass(frozen=True, slots=True)
class Standing:
    """A design in the triangle."""

    place: curves.Place
    weighed: Weighed
    told: Place
    """Raw numbers, scores, feasible or not, on the frontier or not."""
    near: bool
    """Cost within the chosen share of the best feasible one's."""

    @property
    def name(self) -> str:
        """For example "2 x 4 H100"."""
        return self.told.name

    @property
    def kind(self) -> Kind:
        """Has its colour."""
        return self.place.kind

    def score(self, weights: Sequence[float]) -> float | None:
        """Weighted mean of the three scores, each at most 1; None where one is unknown."""
        known = [min(one, 1.0) for one in self.told.scores if one is not None]
        if len(known) < 3 or not sum(weights):
            return None
        return sum(weight * one for weight, one in zip(weights, known, strict=True)) / sum(weights)

    def value(self, key: str) -> Interval:
        """A number of the design without stress."""
        return numbers.value(self.weighed.evaluation, key)

    @property
    def tokens_per_gpu(self) -> Interval:
        """Output tokens a second and GPU of those that the fleet has on average."""
        one = self.weighed.evaluation
        gpus = sum(pool["gpus"] for pool in one.summary["pools"])
        return self.value("output_throughput").scaled(1 / gpus) if gpus else Interval(None, None, None, 0)


def places(scene: Scene, planned: Planned | None) -> list[curves.Place]:
    """The scenario's own design, and of each kind the fewest replicas that keep the SLO and half as many more."""
    own = curves.Place(own_kind(scene), scene.bar.replicas)
    needed = {(one.gpu, one.tp): one.needed for one in reversed(planned.answers)} if planned else {}
    found = [own]
    for kind in kinds(scene, planned):
        fewest = needed.get((kind.gpu, kind.tp), own.replicas)
        found += [curves.Place(kind, fewest), curves.Place(kind, fewest + max(fewest // 2, 1))]
    return list(dict.fromkeys(found))


def tasks(scene: Scene, where: Sequence[curves.Place], second_model: str | None, *, coarse: bool) -> list[Task]:
    """What to simulate; all designs or, where one is too large for the app, those before it."""
    found = []
    for place in where:
        one = design(scene, place.kind, place.replicas, coarse=coarse)
        try:
            found.append(task(weigh, one, second_model))
        except InputError:
            break
    return found


def standings(
    where: Sequence[curves.Place], coarse: Sequence[Answer], fine: Sequence[Answer], within: float
) -> tuple[list[Standing], Triangle]:
    """Place what is known: in all replications once all designs are, before that in one.

    Args:
        where: the designs.
        coarse: answers, in one replication.
        fine: answers, in all.
        within: share of the best cost that counts as near, 0.1: 10 %.
    """
    ended = all(one.state in {"done", "failed"} for one in fine)
    answers = fine if ended and fine else coarse
    known = [(place, one.value) for place, one in zip(where, answers, strict=False) if one.state == "done"]
    names = [short_name(place.kind, place.replicas) for place, _ in known]
    found = triangle(names, [one.evaluation for _, one in known], [one.flexibility for _, one in known])
    prices = np.array([told.raw[1].mean if told.raw[1].mean is not None else np.inf for told in found.places])
    near = near_optimal(prices, np.array([told.feasible for told in found.places], np.bool_), within)
    rows = zip(known, found.places, near, strict=True)
    return [Standing(place, one, told, bool(close)) for (place, one), told, close in rows], found
