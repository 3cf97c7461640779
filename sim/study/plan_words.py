"""A plan in sentences: what to buy, what else there is and at which difference, or why there is nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim import catalog
from sim.scenario.market import HazardReclaims
from sim.scenario.workload import Trace
from sim.stats import Interval
from sim.study.candidates import Kind
from sim.study.evaluation import Evaluation
from sim.study.plan import Fleet, Plan
from sim.study.verdict import Share, shares
from sim.workload import named

MOVES = 3
"""So many other fleets are told as moves."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change to the cheapest fleet."""

    change: str
    usd_per_hour: float
    """More than now, or less."""
    share: float
    """Of what the fleet costs now."""
    buys: str

    @property
    def sentence(self) -> str:
        """For example: One replica more: +$7.91/h (+5 %), P99 TTFT 380 instead of 420 ms."""
        sign = "-" if self.usd_per_hour < 0 else "+"
        usd = f"{sign}${abs(self.usd_per_hour):,.2f}/h ({sign}{abs(100 * self.share):.0f} %)"
        return f"{self.change}: {usd}, {self.buys}."


def name(one: Fleet) -> str:
    """For example: 2 x 4 h100-sxm-80gb (on demand)."""
    spare = one.replicas - one.needed
    return f"{short(one)} ({one.offer.market.replace('_', ' ')}{f', {spare} of them spare' if spare else ''})"


def short(one: Fleet) -> str:
    """The same without the market."""
    return fleet(one.replicas, one.kind)


def fleet(replicas: int, kind: Kind) -> str:
    """Replicas of a kind, for example 2 x 4 h100-sxm-80gb."""
    return f"{replicas} x {kind.gpus} {kind.gpu}"


def value(one: Evaluation, key: str) -> Interval:
    """A number of the whole run, with its interval."""
    return interval(one.summary["values"][key])


def interval(told: Mapping[str, Any]) -> Interval:
    """An interval from a summary's JSON."""
    return Interval(**told)


def plain(number: Interval, digits: int = 0) -> str:
    """A number, half the width of its interval where it has one, and in brackets how far the calibration reaches."""
    if number.mean is None:
        return "-"
    reach = number.calibration_half_width
    drawn = "" if reach is None else f"{reach:,.{digits}f}"
    around = f" (± {drawn})" if drawn.strip("0.") else ""
    return f"{number.mean:,.{digits}f}{half(number, digits, ' ± ')}{around}"


def half(number: Interval, digits: int, sign: str) -> str:
    """The half-width behind a sign; nothing where there is none, or none to speak of."""
    width = "" if number.half_width is None else f"{number.half_width:,.{digits}f}"
    return f"{sign}{width}" if width.strip("0.") else ""


def headline(plan: Plan) -> str:
    """The cheapest fleet, what it serves and what it costs, in one sentence."""
    best = plan.fleets[0]
    one = best.evaluation
    good = ", ".join(_told(share, best.shares) for share in best.shares)
    return (
        f"{name(best)} serve {plain(value(one, 'offered_rate'), 1)} requests/s at P99 TTFT "
        f"{plain(value(one, 'p99_ttft_ms'))} ms and P99 TPOT {plain(value(one, 'p99_tpot_ms'), 1)} ms for "
        f"${plain(value(one, 'usd_per_hour'), 2)}/h, ${plain(value(one, 'usd_per_1k_good_requests'), 3)} per 1k good "
        f"requests; {good}."
    )


def headline_without_reclaims(plan: Plan) -> str | None:
    """The cheapest fleet whose nodes stay, where that is another one."""
    staying = next((one for one in plan.fleets if not one.offer.reclaimed), None)
    if staying is None or staying is plan.fleets[0]:
        return None
    usd = plain(value(staying.evaluation, "usd_per_hour"), 2)
    return f"The cheapest whose nodes are never taken back: {name(staying)} for ${usd}/h."


def moves(plan: Plan) -> list[Move]:
    """The next-cheapest changes to the cheapest fleet: what to change, what that costs, and what it buys."""
    best, others = plan.fleets[0], plan.fleets[1:]
    near = list(others[:MOVES])
    elsewhere = [one for one in others if one.offer.market != best.offer.market]
    if elsewhere and elsewhere[0] not in near:
        near.append(elsewhere[0])
    found = [_move(best, f"{name(one)} instead", one.usd_per_hour, _market(best, one), one.evaluation) for one in near]
    if plan.more is not None:
        dearer = best.offer.usd_per_hour(best.needed + 1)
        found.append(_move(best, "One replica more", dearer, "", plan.more))
    if best.fewer is not None and not best.offer.reclaimed:
        cheaper = best.offer.usd_per_hour(best.needed - 1)
        found.append(_by(best, "One replica fewer", cheaper, f"but then {missing(plan, best.fewer)}"))
    return found


def bottleneck(plan: Plan) -> str:
    """What limits the cheapest fleet."""
    return str(plan.fleets[0].evaluation.summary["bottleneck"])


def notes(plan: Plan) -> list[str]:
    """What was simulated, and what the verdict does not cover."""
    n = plan.loaded.scenario.run.replications
    ran = f"{plan.simulations} simulation{'' if plan.simulations == 1 else 's'}."
    if not plan.fleets:
        return [ran]
    found = []
    if _recorded(plan):
        found.append(
            "A recording is one sample path: the numbers say how these requests are served, not how another day's "
            "would be."
        )
    elif n == 1:
        found.append("One replication: no intervals, the verdict rests on its value alone (run.replications).")
    else:
        found.append(
            f"The share of good requests lies above what the SLO asks with {100 * plan.confidence:g} % confidence "
            f"(t interval over {n} replications)."
        )
    spot = [one for one in (*plan.fleets, *plan.missed) if one.offer.reclaimed]
    if spot:
        found.append(_reclaims(spot))
    return [*found, ran]


def _move(best: Fleet, change: str, usd: float, gain: str, after: Evaluation) -> Move:
    pairs = [(value(best.evaluation, key), value(after, key)) for key in ("p99_ttft_ms", "p99_tpot_ms")]
    changes = [
        f"{label} {plain(new, digits)} instead of {plain(old, digits)} ms"
        for label, digits, (old, new) in zip(("P99 TTFT", "P99 TPOT"), (0, 1), pairs, strict=True)
    ]
    return _by(best, change, usd, ", ".join([*([gain] if gain else []), *changes]))


def _by(best: Fleet, change: str, usd: float, buys: str) -> Move:
    more = usd - best.usd_per_hour
    return Move(change, more, more / best.usd_per_hour if best.usd_per_hour else 0.0, buys)


def _market(best: Fleet, other: Fleet) -> str:
    if best.offer.market == "spot" != other.offer.market:
        return "no node is ever taken back"
    return ""


def _reclaims(spot: list[Fleet]) -> str:
    lives = []
    for one in spot:
        assert one.offer.pool.spot is not None
        reclaims = one.offer.pool.spot.reclaims
        if isinstance(reclaims, HazardReclaims) and reclaims.preset is not None:
            hours = catalog.spot_preset(reclaims.preset).mean_life_hours
            lives.append(f"preset {reclaims.preset}, a node lives {hours:,.0f} h on average")
        elif isinstance(reclaims, HazardReclaims):
            lives.append(f"a node lives {reclaims.mean_life_hours:,.1f} h on average")
        else:
            lives.append(f"recording {reclaims.trace or reclaims.path}")
    seen = sum(value(one.evaluation, "failures_spot").mean or 0.0 for one in spot)
    seconds = max(value(one.evaluation, "duration").mean or 0.0 for one in spot)
    simulated = (
        f"Spot fleets were simulated with their spare replicas and their reclaims ({'; '.join(dict.fromkeys(lives))}): "
        f"{f'{seen / len(spot):.1f} nodes of a fleet were' if seen else 'no node was'} taken back in {seconds:,.0f} s."
    )
    if seen:
        return simulated
    return f"{simulated} So their verdict says nothing of reclaims: simulate longer, or drill one (failures)."


def _recorded(plan: Plan) -> bool:
    traffic = plan.loaded.scenario.workload
    if not isinstance(traffic, Trace):
        return False
    form = traffic.format if traffic.trace is None else named.find(traffic.trace).format
    return form != "servegen"


def missing(plan: Plan, one: Evaluation) -> str:
    """What a design that is not enough lacks."""
    asked = shares(one, plan.loaded.scenario, plan.confidence)
    worst = min(asked, key=lambda share: (share.kept, (share.value.mean or 0.0) - share.required))
    open_ = "" if (worst.value.mean or 0.0) < worst.required else ", which more replications would decide"
    return f"{_told(worst, asked)}{open_}"


def _told(share: Share, asked: Sequence[Share]) -> str:
    """A share beside what the SLO asks for."""
    classes = [one for one in asked if one.name != "availability"]
    whose = f" of class {share.name}" if len(classes) > 1 and share in classes else ""
    word = "answered" if share.name == "availability" else "good"
    return f"{plain(share.value.scaled(100), 1)} %{whose} are {word} ({100 * share.required:g} % asked for)"
