"""From the scenario's own fleet to a cheaper one, or to one that keeps the SLO at all."""

from dataclasses import dataclass

from sim.stats import Interval
from sim.study.paired import difference
from ui.app.curves import Place, Point
from ui.app.planning import Answer, Planned


@dataclass(frozen=True, slots=True)
class Move:
    """Another fleet, and what would change."""

    answer: Answer
    usd_per_hour: float
    """More than now; less than 0 saves."""
    good_share: Interval
    """More than now, paired by replication: of all requests, or of those of the only class."""


def moves(own: Point, planned: Planned, most: int = 3) -> list[Move]:
    """The plan's cheapest fleets beside the own one; where that keeps the SLO, only those that are cheaper."""
    now = own.usd_per_hour
    if now is None:
        return []
    others = [one for one in planned.answers if not _same(one, own.place)]
    key = "good_share" if len(own.one.summary["classes"]) == 1 else "request_goodput"
    found = [Move(one, one.usd_per_hour - now, difference(one.evaluation, own.one, key)) for one in others]
    return [move for move in found if not own.met or move.usd_per_hour < 0][:most]


def _same(answer: Answer, place: Place) -> bool:
    return (answer.gpu, answer.tp, answer.needed, 100 * answer.spot) == (
        place.kind.gpu,
        place.kind.tp,
        place.replicas,
        place.kind.spot,
    )
