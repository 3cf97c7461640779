"""The triangle itself: fleets with their performance, cost and flexibility, and whether one is near the best in all."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim import catalog
from sim.audit.claim import Span, Words
from sim.audit.claims.readings import context, other
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.lab import ARTICLE, Lab
from sim.result import Measures
from sim.stats import Floats
from sim.study.evaluation import Design, Evaluation
from sim.study.flexibility import Flexibility, judge
from sim.study.stress import Stress, stresses
from sim.study.triangle import CORNERS, COST, HIGHER_IS_BETTER, Triangle, interactivity, place

FLEETS = (
    "bf16-4x2",
    "bf16-4x4",
    "bf16-8x2",
    "bf16-4x3-short",
    "fp8-2x3",
    "fp8-4x2",
    "fp8-4x4",
    "fp8-2x3-spot",
    "fp8-4x2-spot",
    "fp8-4x4-spot",
)
"""Variants of scenarios/article/triangle.yaml: precision, GPUs x replicas, limits of a batch, market."""
_GPU = "h100-sxm-80gb"
_STRESSES = ("load x2", "burst", "node lost", "spot reclaim")
"""Of the declared set: those that the fleets take differently."""
_USD_A_DAY = 3_800.0
"""What the article's case costs in the end."""
_KEPT = 0.9
"""Of the goodput: the node lost takes some requests with it whatever the fleet."""


@dataclass(frozen=True, slots=True)
class _Fleet:
    """One fleet, undisturbed and stressed."""

    name: str
    evaluation: Evaluation
    flexible: Flexibility


def c1(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How far the nearest fleet is from the best in all three corners."""
    fleets = [_fleet(lab, name) for name in FLEETS if _counts(name, x)]
    values = np.array([[_corners(one, number, x["discount"]) for one in fleets] for number in _replications(fleets)])
    met = np.array([one.evaluation.summary["verdict"] == "met" for one in fleets], np.bool_)
    found = place([one.name for one in fleets], values, met)
    answer = found.answer(x["within"] / 100)
    first = other(
        "gap",
        "how far the fleet that comes nearest to the best in all three is from it where it is farthest",
        "最接近三项最优的配置在其最弱一项上与最优的差距",
        answer.gap.scaled(100),
        "%",
        Span(low=x["within"]),
    )
    if lab.coarse or answer.design is None:
        return Evidence((first,))
    nearest = [one.name for one in fleets].index(answer.design)
    good_enough = sum(_good_enough(one, ok, x["discount"]) for one, ok in zip(fleets, met.tolist(), strict=True))
    each = _gap_by_corner(found, nearest)
    return Evidence(
        (
            first,
            other(
                "all_three",
                "fleets that keep the SLO, 90 % of the goodput under stress, and $3,800 a day",
                "满足 SLO、压力下保持 90 % 有效吞吐且每天不超过 3,800 美元的配置数",
                good_enough,
                "fleets",
                Span(high=0),
            ),
            context(
                "fleets", "fleets compared that keep the SLO", "参与比较且满足 SLO 的配置数", int(met.sum()), "fleets"
            ),
            *(
                context(
                    corner,
                    f"{answer.design}, the nearest: off the best in {en}",
                    f"最接近的 {answer.design}：{zh}与最优的差距",
                    gap,
                    "%",
                )
                for corner, (en, zh), gap in zip(CORNERS, _NAMES, each, strict=True)
            ),
        ),
        _figure(found),
    )


_NAMES = (("performance", "性能"), ("cost", "成本"), ("flexibility", "灵活性"))


def _counts(name: str, x: Mapping[str, float]) -> bool:
    """Whether the reader lets this fleet count."""
    return (x["spot"] >= 0.5 or not name.endswith("spot")) and (x["fp8"] >= 0.5 or not name.startswith("fp8"))


def _fleet(lab: Lab, name: str) -> _Fleet:
    """Simulate a fleet as it stands and under each stress."""
    usual = lab.evaluate("triangle", variant=name)
    found = [one for one in stresses(Design(str(ARTICLE / "triangle.yaml"), (), name)) if one.name in _STRESSES]
    each = [(one, _stressed(lab, one)) for one in found]
    return _Fleet(name, usual, judge(usual, each))


def _stressed(lab: Lab, stress: Stress) -> Evaluation | None:
    if stress.design is None:
        return None
    return lab.evaluate("triangle", *stress.design.settings, variant=stress.design.variant)


def _replications(fleets: list[_Fleet]) -> range:
    return range(len(fleets[0].evaluation.replications))


def _corners(one: _Fleet, replication: int, discount: float) -> tuple[float, float, float]:
    whole = one.evaluation.replications[replication]
    speed, cost = interactivity(whole), whole[COST]
    kept = one.flexible.by_replication[replication]
    return (
        np.nan if speed is None else speed,
        np.nan if cost is None else cost * _price(whole, discount),
        kept,
    )


def _price(whole: Measures, discount: float) -> float:
    """How many times as much a bill is if spot nodes cost so many per cent less than those on demand."""
    demand, spot = catalog.price(_GPU, "on_demand"), catalog.price(_GPU, "spot")
    assert demand is not None
    assert spot is not None
    share = whole.get("usd_share_spot") or 0.0
    return 1 - share + share * (1 - discount / 100) * demand.usd_per_gpu_hour / spot.usd_per_gpu_hour


def _good_enough(one: _Fleet, met: bool, discount: float) -> bool:
    """Whether a fleet has all three in the sense of a buyer: enough of each."""
    whole, kept = one.evaluation.replications[0], one.flexible.mean.mean
    usd = whole["usd_per_day"]
    return (
        met and kept is not None and kept >= _KEPT and usd is not None and usd * _price(whole, discount) <= _USD_A_DAY
    )


def _gap_by_corner(found: Triangle, nearest: int) -> list[float]:
    """Per cent off the best of the feasible fleets, corner by corner."""
    means: Floats = found.values.mean(axis=0)
    feasible = means[found.feasible]
    best = np.where(HIGHER_IS_BETTER, feasible.max(axis=0), feasible.min(axis=0))
    off: list[float] = (100 * abs(1 - means[nearest] / best)).tolist()
    return off


def _figure(found: Triangle) -> Figure:
    """Flexibility over cost of the fleets that keep the SLO."""
    rows = sorted(found.values.mean(axis=0)[found.feasible].tolist(), key=lambda row: row[1])
    return Figure(
        Words(en="Flexibility over cost", zh="灵活性与成本"),
        Words(en="USD for a thousand requests within the SLO", zh="每千个达标请求的成本, 美元"),
        Words(en="goodput kept under stress, %", zh="压力下保持的有效吞吐, %"),
        (Curve(Words(en="fleets", zh="配置"), [row[1] for row in rows], [100 * row[2] for row in rows]),),
    )
