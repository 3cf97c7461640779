"""The scenario's traffic on more and fewer replicas of each kind: what a plan is read from."""

from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import InputError
from sim.study.evaluation import Evaluation
from ui.app import numbers
from ui.app.designs import Kind, design, own_kind
from ui.app.jobs import Answer, Task, evaluation
from ui.app.planning import Planned
from ui.app.scene import Scene


@dataclass(frozen=True, slots=True)
class Place:
    """A design of the grid."""

    kind: Kind
    replicas: int


@dataclass(frozen=True, slots=True)
class Point:
    """A design that was simulated."""

    place: Place
    one: Evaluation
    coarse: bool
    """In one replication; more are to come."""

    @property
    def met(self) -> bool:
        """Whether it meets the SLO."""
        return bool(self.one.summary["verdict"] == "met")

    @property
    def usd_per_hour(self) -> float | None:
        """Mean USD an hour; None where a price is unknown."""
        return numbers.value(self.one, "usd_per_hour").mean


def counts(around: int) -> list[int]:
    """Numbers of replicas to look at: all few, or a handful around many."""
    if around <= 3:
        return [1, 2, 3, 4, 5]
    return sorted({around // 2, round(around * 0.75), around - 1, around, around + 1, round(around * 1.5)})


def grid(scene: Scene, kinds: Sequence[Kind], planned: Planned | None) -> list[Place]:
    """All designs, the scenario's own first, then its neighbours, then the other kinds around what they need."""
    own = Place(own_kind(scene), scene.bar.replicas)
    answers = planned.answers if planned else ()
    needed = {(one.gpu, one.tp): one.needed for one in reversed(answers)}
    around = [needed.get((kind.gpu, kind.tp), own.replicas) for kind in kinds]
    around = [own.replicas if kind.gpu == own.kind.gpu else at for kind, at in zip(kinds, around, strict=True)]
    rest = [Place(kind, number) for kind, at in zip(kinds, around, strict=True) for number in counts(at)]
    return [own, *(place for place in rest if place != own)]


def tasks(scene: Scene, places: Sequence[Place]) -> list[tuple[Place, bool, Task]]:
    """What to simulate, most urgent first: own design coarse and refined, all others coarse, then refined."""
    passes = [(places[0], True), (places[0], False)]
    passes += [(place, coarse) for coarse in (True, False) for place in places[1:]]
    if scene.replications == 1:
        passes = [one for one in passes if not one[1]]
    found = []
    for place, coarse in passes:
        try:
            found.append((place, coarse, evaluation(design(scene, place.kind, place.replicas, coarse=coarse))))
        except InputError:  # too many replicas for the app: its line ends before
            continue
    return found


def points(asked: Sequence[tuple[Place, bool, Task]], answers: Sequence[Answer]) -> dict[Place, Point]:
    """The best that is known of each design."""
    found: dict[Place, Point] = {}
    for (place, coarse, _), answer in zip(asked, answers, strict=True):
        if answer.state == "done" and (place not in found or found[place].coarse):
            found[place] = Point(place, answer.value, coarse)
    return found


def problems(asked: Sequence[tuple[Place, bool, Task]], answers: Sequence[Answer]) -> dict[Kind, str]:
    """Why kinds cannot be simulated."""
    return {
        place.kind: answer.problem
        for (place, _, _), answer in zip(asked, answers, strict=True)
        if answer.state == "failed"
    }


def line(kind: Kind, known: dict[Place, Point]) -> list[Point]:
    """The points of a kind, by rising replicas."""
    return sorted((one for place, one in known.items() if place.kind == kind), key=lambda one: one.place.replicas)


def first_that_meets(of: Sequence[Point]) -> Point | None:
    """The fewest replicas that meet the SLO."""
    return next((point for point in of if point.met), None)


def cheapest(known: dict[Place, Point]) -> Point | None:
    """The cheapest design that meets the SLO; of equals, that of fewest replicas."""
    met = [point for point in known.values() if point.met and point.usd_per_hour is not None]
    return min(met, key=lambda point: (point.usd_per_hour or 0.0, point.place.replicas), default=None)
