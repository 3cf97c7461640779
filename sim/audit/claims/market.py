"""What the spot market saves: by the list, and in the cost of a good request."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from sim import catalog
from sim.audit.claim import Span, Words
from sim.audit.claims.readings import context, gpus, other, own, saturated
from sim.audit.evidence import Curve, Evidence, Figure, Reading
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, over, value
from sim.catalog.discounts import Distribution, distribution
from sim.result import Measures
from sim.stats import Interval, t_interval

INSTANCE = "p4d.24xlarge"
Market = Literal["on_demand", "spot"]
SAVED = Span(low=0.9 * 76)
_CLIENTS = 64
"""Of one replica, for its throughput: two of the article's batches."""
_A100, _H100 = "a100-sxm-40gb", "h100-sxm-80gb"


def c35(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The saving on a good request, and on the list."""
    zones = distribution(catalog.spot_discounts(INSTANCE))
    discount = float(np.percentile(zones.percent, x["zone"]))
    first = own(
        "effective",
        "saving on a request within the SLO, spare and stand-in replicas paid for",
        "每个达标请求的节省（计入冗余与后备）",
        effective(lab, discount, x["spare"], x["reclaims"]),
        "%",
        SAVED,
    )
    if lab.coarse:
        return Evidence((first,))
    return Evidence((first, *_listed(zones), *_told(lab, x, discount)), _figure(zones))


def effective(lab: Lab, discount: float, spare: float, reclaims: float) -> Interval:
    """By how many per cent a good request is cheaper than on demand.

    Args:
        lab: simulates both fleets.
        discount: of the list price, per cent.
        spare: replicas beyond those that are needed.
        reclaims: a node and day.
    """
    usual = lab.evaluate("p4d-spot", variant="on-demand").replications
    mixed = lab.evaluate("p4d-spot", *_market(spare, reclaims)).replications
    price = (1 - discount / 100) * _usd(_A100, "on_demand") / _usd(_A100, "spot")
    return t_interval(100 * (1 - _cost(one, price) / _cost(two, 1.0)) for one, two in zip(mixed, usual, strict=True))


def _cost(measures: Measures, price: float) -> float:
    """USD for a thousand good requests, had spot nodes cost so many times what they did."""
    cost, share = measures["usd_per_1k_good_requests"], measures.get("usd_share_spot") or 0.0
    assert cost is not None
    return cost * (1 - share + share * price)


def _market(spare: float, reclaims: float) -> tuple[str, str]:
    return (
        f"fleet.0.spot.over_provision={round(spare)}",
        f"fleet.0.spot.reclaims.mean_life_hours={24 / reclaims}",
    )


def _listed(zones: Distribution) -> tuple[Reading, ...]:
    return (
        other(
            "list_mean",
            "list discount, mean over zones",
            "标价折扣，各可用区平均",
            t_interval(zones.percent),
            "%",
            SAVED,
        ),
        other("list_best", "list discount in the best zone", "最好可用区的标价折扣", zones.percent[-1], "%", SAVED),
        context("zones", "zones that quote a price", "有真实报价的可用区", zones.n, "zones"),
        context("at_least", "of them, with 76 % or more", "其中折扣不低于 76 % 的", zones.at_least(76), "zones"),
        context(
            "flagged", "zones at exactly 0 or 90 %, left out", "恰为 0 或 90 %、未计入的", len(zones.flagged), "zones"
        ),
    )


def _told(lab: Lab, x: Mapping[str, float], discount: float) -> tuple[Reading, ...]:
    spot = lab.evaluate("p4d-spot", *_market(x["spare"], x["reclaims"]))
    rate = {
        _A100: value(saturated(lab, _CLIENTS, f"fleet.0.gpu={_A100}", gpus(8)), "output_throughput"),
        _H100: value(saturated(lab, _CLIENTS), "output_throughput"),
    }
    p4d = 8 * _usd(_A100, "on_demand") * (1 - discount / 100)
    tokens = over(rate[_H100], rate[_A100])

    return (
        context("discount", "list discount in the chosen zone", "所选可用区的标价折扣", discount, "%"),
        context(
            "stand_in",
            "share of the bill that goes to on-demand stand-ins",
            "账单中按需后备的占比",
            _rest(value(spot, "usd_share_spot")),
            "%",
        ),
        context(
            "taken", "nodes taken back in 20 minutes", "二十分钟内被回收的节点", value(spot, "failures_spot"), "nodes"
        ),
        context(
            "per_token",
            "cost of an output token over that on H100 on demand, both busy",
            "满载时每输出 token 成本与按需 H100 之比",
            tokens.scaled(p4d / (4 * _usd(_H100, "on_demand"))),
            "x",
        ),
        context(
            "per_token_spot",
            "the same over H100 on Spot",
            "同上，与 Spot H100 之比",
            tokens.scaled(p4d / (4 * _usd(_H100, "spot"))),
            "x",
        ),
    )


def _rest(share: Interval) -> Interval:
    assert share.mean is not None
    low, high = (None if one is None else 100 * (1 - one) for one in (share.high, share.low))
    return Interval(100 * (1 - share.mean), low, high, share.n)


def _usd(gpu: str, market: Market) -> float:
    """Median price of a GPU-hour."""
    price = catalog.price(gpu, market)
    assert price is not None
    return price.usd_per_gpu_hour


def _figure(zones: Distribution) -> Figure:
    """The discounts in rising order."""
    shares = [100 * (rank + 1) / zones.n for rank in range(zones.n)]
    return Figure(
        Words(en="Spot discounts of p4d.24xlarge over zones", zh="p4d.24xlarge 各可用区的 Spot 折扣"),
        Words(en="list discount, %", zh="标价折扣, %"),
        Words(en="zones with no more than that, %", zh="折扣不高于该值的可用区, %"),
        (Curve(Words(en="zones that quote a price", zh="有真实报价的可用区"), zones.percent, shares),),
    )


ANSWERS: Mapping[str, Answerer] = {"C35": c35}
