"""The cheapest fleets that keep the SLO: for each kind of replica the fewest that do, with few simulations.

Replicas are searched by bracketing and bisection (more of them are never worse), every trial serving the same requests.
On which market a replica is bought does not change how it serves, so trials are simulated on demand, and each market
puts its price on them; a market that takes nodes back is simulated with its reclaims at the end. A kind is given up
as soon as the least that it can cost lies above the answers that are known.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sim.errors import InputError
from sim.report.objective import Objective, class_objectives
from sim.scenario.load import Loaded, load
from sim.study.bracket import Bracket
from sim.study.candidates import Kind, Offer, Space, Unfit, fleet_settings, space
from sim.study.evaluation import Design, Evaluation
from sim.study.verdict import Share, keeps, shares
from sim.workload.draw import draw

KEPT = 3
"""So many of the cheapest fleets of each market are answers, and the cheapest of each GPU on each market."""

TOO_DEAR = 3.0
"""No answer costs more than this many times the cheapest one of its market."""

DRAWN = 10
"""So many replications, at most, are looked at for what idle replicas give."""

Simulate = Callable[[Sequence[Design]], list[Evaluation]]
"""Evaluates designs, in their order."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """An answer: the fewest replicas of a kind on a market that keep the SLO."""

    kind: Kind
    offer: Offer
    needed: int
    """Replicas; a spot pool runs `over_provision` more."""
    evaluation: Evaluation
    shares: tuple[Share, ...]
    fewer: Evaluation | None
    """One replica less misses the SLO; None where that would be none."""

    @property
    def kept(self) -> bool:
        """Whether it keeps the SLO on its market too, reclaims included."""
        return all(share.kept for share in self.shares)

    @property
    def replicas(self) -> int:
        """All that are paid for."""
        return self.offer.replicas(self.needed)

    @property
    def usd_per_hour(self) -> float:
        """List price, USD an hour."""
        return self.offer.usd_per_hour(self.needed)


@dataclass(frozen=True, slots=True)
class Beaten:
    """A kind on a market that is no answer: it takes more replicas than were tried, and would cost more."""

    kind: Kind
    offer: Offer
    at_least: int
    """Replicas."""
    usd_per_hour: float
    """Of so many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answers, cheapest first, and what became of all other candidates."""

    loaded: Loaded
    aims: tuple[Objective, ...]
    """Of the request classes that have an SLO."""
    confidence: float
    fleets: tuple[Fleet, ...]
    missed: tuple[Fleet, ...]
    """Enough replicas on a market that takes none back; with its reclaims they miss the SLO."""
    more: Evaluation | None
    """The cheapest fleet with one replica more."""
    beaten: tuple[Beaten, ...]
    hopeless: tuple[Kind, ...]
    """Even idle replicas would miss the SLO."""
    too_small: tuple[tuple[Kind, Evaluation], ...]
    """The most replicas that were allowed miss it."""
    unfit: tuple[Unfit, ...]
    unpriced: tuple[tuple[str, tuple[str, ...]], ...]
    """Markets, and the GPUs that have no price there."""
    most: int
    """Replicas that were allowed."""
    simulations: int


def plan(
    source: Path,
    settings: Sequence[str],
    variant: str | None,
    simulate: Simulate,
    *,
    gpus: Sequence[str] = (),
    sizes: Sequence[int] = (),
    markets: Sequence[str] = (),
    most: int = 128,
    confidence: float = 0.95,
) -> Plan:
    """Find the cheapest fleets of one pool that keep a scenario's SLO with the confidence asked for.

    Args:
        source: scenario file.
        settings: as --set takes them.
        variant: a name under the file's `scenarios:`.
        simulate: evaluates designs; as many at once as it can.
        gpus: catalogue ids; none: all with a price.
        sizes: tensor parallel sizes; none: 1, 2, 4, 8.
        markets: none: on_demand, spot, reserved.
        most: replicas.
        confidence: of the interval that must lie above what the SLO requires.

    Raises:
        InputError: the scenario has no SLO, or something that is asked for does not exist.
    """
    loaded = load(source, settings, variant)
    run = loaded.scenario.run
    drawn = [draw(loaded.scenario, run.seed, index, loaded.base_dir) for index in range(min(run.replications, DRAWN))]
    aims = class_objectives(loaded.scenario.model_dump(mode="json"), drawn[0].classes)
    if not any(aim.limits_ms for aim in aims):
        raise InputError(f"{source}: slo: found no limit, expected one to plan for (ttft_ms, tpot_ms, e2el_ms)")
    found = space(loaded, drawn, aims, gpus, sizes, markets)
    aims = tuple(aim for aim in aims if aim.limits_ms)
    hopeful = [
        all(good >= aim.percentile / 100 for good, aim in zip(kind.alone.good, aims, strict=True))
        for kind in found.kinds
    ]
    search = _Search(loaded, Design(str(source), tuple(settings), variant), found, simulate, confidence)
    brackets = {index: Bracket(kind.guess, most) for index, kind in enumerate(found.kinds) if hopeful[index]}
    search.settle(brackets)
    fleets, beaten = search.answers(brackets)
    good = sorted((one for one in fleets if one.kept), key=lambda one: one.usd_per_hour)
    more = search.evaluate([good[0].offer.settings(good[0].needed + 1)])[0] if good else None
    stuck = [index for index, one in brackets.items() if one.settled and one.enough is None]
    return Plan(
        loaded=loaded,
        aims=aims,
        confidence=confidence,
        fleets=tuple(good),
        missed=tuple(one for one in fleets if not one.kept),
        more=more,
        beaten=tuple(beaten),
        hopeless=tuple(kind for kind, hope in zip(found.kinds, hopeful, strict=True) if not hope),
        too_small=tuple((found.kinds[index], search.trial(index, most)) for index in stuck),
        unfit=found.unfit,
        unpriced=found.unpriced,
        most=most,
        simulations=len(search.known),
    )


class _Search:
    """Simulates what it is asked about, once."""

    def __init__(self, loaded: Loaded, base: Design, found: Space, simulate: Simulate, confidence: float) -> None:
        self.loaded, self.base, self.space = loaded, base, found
        self.simulate, self.confidence = simulate, confidence
        self.known: dict[Design, Evaluation] = {}

    def settle(self, brackets: dict[int, Bracket]) -> None:
        """Try replicas, of all kinds at once, until every kind that may be an answer is settled."""
        while True:
            trials = []
            for index, bracket in brackets.items():
                most = self._worthwhile(index, brackets)
                if not bracket.settled and most > bracket.too_few:
                    trials.append((index, min(bracket.next(), most)))
            if not trials:
                return
            tried = self.evaluate([self._undisturbed(index, number) for index, number in trials])
            for (index, number), one in zip(trials, tried, strict=True):
                enough = keeps(one, self.loaded.scenario, self.confidence)
                brackets[index].learn(number, enough=enough, hint=_hint(one, number))

    def answers(self, brackets: dict[int, Bracket]) -> tuple[list[Fleet], list[Beaten]]:
        """The answers, simulated as they would be bought; and the kinds that were given up."""
        kept, beaten = [], []
        for offer in self.space.offers:
            bracket = brackets.get(offer.kind)
            if bracket is None or (bracket.settled and bracket.enough is None):
                continue
            least = bracket.enough if bracket.settled and bracket.enough else bracket.too_few + 1
            if bracket.settled and offer.usd_per_hour(least) <= self._cut(offer, brackets):
                kept.append((offer, least))
            else:
                usd = offer.usd_per_hour(least)
                beaten.append(Beaten(self.space.kinds[offer.kind], offer, least, usd))
        bought = self.evaluate([offer.settings(needed) for offer, needed in kept])
        fleets = [
            Fleet(
                kind=self.space.kinds[offer.kind],
                offer=offer,
                needed=needed,
                evaluation=one,
                shares=shares(one, self.loaded.scenario, self.confidence),
                fewer=self.trial(offer.kind, needed - 1) if needed > 1 else None,
            )
            for (offer, needed), one in zip(kept, bought, strict=True)
        ]
        return fleets, beaten

    def evaluate(self, fleets: Sequence[tuple[str, ...]]) -> list[Evaluation]:
        """Evaluate fleets, each as the settings that make it, none twice."""
        designs = [replace(self.base, settings=(*self.base.settings, *settings)) for settings in fleets]
        new = [one for one in dict.fromkeys(designs) if one not in self.known]
        self.known |= zip(new, self.simulate(new) if new else [], strict=True)
        return [self.known[one] for one in designs]

    def trial(self, kind: int, number: int) -> Evaluation:
        """So many replicas of a kind, undisturbed."""
        return self.evaluate([self._undisturbed(kind, number)])[0]

    def _undisturbed(self, kind: int, number: int) -> tuple[str, ...]:
        return fleet_settings(self.space.kinds[kind].pool, number)

    def _worthwhile(self, kind: int, brackets: dict[int, Bracket]) -> int:
        """The most replicas of a kind that may be an answer on some market."""
        numbers = range(1, brackets[kind].most + 1)
        offers = [(offer, self._cut(offer, brackets)) for offer in self.space.offers if offer.kind == kind]
        return max(bisect_right(numbers, cut, key=offer.usd_per_hour) for offer, cut in offers)

    def _cut(self, offer: Offer, brackets: dict[int, Bracket]) -> float:
        """The most that an answer on the offer's market, or of its GPU there, can cost, USD an hour."""
        rivals = [
            (self.space.kinds[other.kind].gpu, other.usd_per_hour(enough))
            for other in self.space.offers
            if other.market == offer.market and other.kind in brackets and (enough := brackets[other.kind].enough)
        ]
        usd = sorted(cost for _, cost in rivals)
        if not usd:
            return math.inf
        among = usd[KEPT - 1] if len(usd) >= KEPT else math.inf
        of_gpu = min((cost for gpu, cost in rivals if gpu == self.space.kinds[offer.kind].gpu), default=math.inf)
        return min(max(among, of_gpu), TOO_DEAR * usd[0])


def _hint(one: Evaluation, number: int) -> int:
    """Replicas that would have been through with the work as fast as it came, to judge by one replication."""
    found = one.replications[0]
    sent = sum(found[key] or 0 for key in ("completed", "failed", "in_flight"))
    rate, duration = found["offered_rate"], found["duration"]
    return math.ceil(number * duration * rate / sent) if sent and rate and duration else 0
