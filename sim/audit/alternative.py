"""What actually breaks the triangle: the cheapest fleet that Trilemma finds for the article's own case.

A million requests a day, 99.95 % of them answered, against $3,800. Candidates are kinds of replicas on two markets. All
stand on three nodes in three zones, of which any two serve the day's peak within the SLO, by all that the calibration
leaves open. Each kind's replicas are searched by simulation, the fleets are ranked by their list price, and the
cheapest is simulated in full: at the peak, with a node away for good, and struck by each kind of event, whose rates
make its availability (sim/study/rare.py). Step times are calibrated on public measurements of a dense 70B model on the
same GPU.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sim import catalog
from sim.audit.claim import Span, Words
from sim.audit.claims.readings import context, other
from sim.audit.evidence import Reading
from sim.audit.lab import ARTICLE, Lab, value
from sim.catalog.types import Price
from sim.stats import CONFIDENCE, Interval, t_interval
from sim.study.drills import CALM, Drilled, drilled
from sim.study.evaluation import Design, Evaluation
from sim.study.rare import Kind, availability, lost
from sim.study.verdict import keeps, shares

NAME = "alternative"
REQUESTS_A_DAY = 1e6
NODES = "abc"
SPOT_NODES = "ab"
"""Of the fleets that buy on both markets; the third node is always on demand."""
RECLAIMS = "aws-advisor-gt20"
"""The worst of AWS's bands."""
FAILURES = "llama3-node"
_MARKETS: tuple[Literal["spot"], Literal["on_demand"]] = ("spot", "on_demand")
_USD_A_DAY = 3_800.0
_MOST = 12
"""Replicas a node that are tried."""
_DRAWS = "step_time.draws=8"
"""Of the calibration, to see how far it leaves a number open."""
_SHORT = ("workload.num_prompts=2778", "run.replications=2")
"""Two minutes, in the search."""
_PEAK = "workload.num_prompts=4167"
"""Three minutes, for the latencies."""
REQUESTS = 18_056
"""13 minutes: a node that is lost after a third of them is replaced before they end."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A kind of replica."""

    words: Words
    gpu: str
    tensor_parallel_size: int
    quantization: str | None
    calibration: str
    about: int
    """Replicas a node at which the search begins."""


REPLICAS = (
    Replica(Words(en="one H200, FP8", zh="单张 H200，FP8"), "h200-sxm-141gb", 1, "fp8", "h200-vllm-fp8", 4),
    Replica(Words(en="two H200s, FP8", zh="两张 H200，FP8"), "h200-sxm-141gb", 2, "fp8", "h200-vllm-fp8", 2),
    Replica(Words(en="two H100s, FP8", zh="两张 H100，FP8"), "h100-sxm-80gb", 2, "fp8", "h100-vllm-fp8", 3),
    Replica(Words(en="one H100, INT4", zh="单张 H100，INT4"), "h100-sxm-80gb", 1, "int4", "h100-vllm-bf16", 6),
    Replica(Words(en="four H100s, 16 bits", zh="四张 H100，16 位"), "h100-sxm-80gb", 4, None, "h100-vllm-bf16", 2),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Three nodes of one kind of replica."""

    replica: Replica
    on_spot: str
    """The nodes that are bought on the spot market."""
    a_node: int
    """Replicas."""

    @property
    def words(self) -> Words:
        """For example: 3 nodes of 3 replicas (one H200, FP8), 2 of them on Spot."""
        spot = len(self.on_spot)
        return Words(
            en=f"{len(NODES)} nodes of {self.a_node} replicas ({self.replica.words.en}), "
            + (f"{spot} of them on Spot" if spot else "all on demand"),
            zh=f"{len(NODES)} 个节点，每个 {self.a_node} 个副本（{self.replica.words.zh}），"
            + (f"其中 {spot} 个为 Spot" if spot else "全部按需"),
        )

    @property
    def usd_per_day(self) -> float:
        """List price, the catalogue's medians."""
        return self._usd_per_day(lambda price: price.usd_per_gpu_hour)

    @property
    def dearest(self) -> float:
        """The same at the highest list prices that the catalogue knows."""
        return self._usd_per_day(lambda price: price.high)

    def _usd_per_day(self, of: Callable[[Price], float]) -> float:
        spot = len(self.on_spot)
        usd = (of(_price(self.replica.gpu, market)) for market in _MARKETS)
        hour = sum(nodes * each for nodes, each in zip((spot, len(NODES) - spot), usd, strict=True))
        return 24 * self.a_node * self.replica.tensor_parallel_size * hour

    @property
    def settings(self) -> tuple[str, ...]:
        """What makes the scenario's fleet this one."""
        return _settings(self.replica, self._fleet())

    def _fleet(self) -> list[dict[str, object]]:
        pools: list[dict[str, object]] = []
        for zone in NODES:
            pool = _pool(self.replica, zone, self.a_node) | {"zones": [{"zone": zone}]}
            spot = {"market": "spot", "spot": {"reclaims": {"kind": "hazard", "preset": RECLAIMS}}}
            pools.append(pool | (spot if zone in self.on_spot else {}))
        return pools + [_pool(self.replica, f"{zone}-stand-in", 0) | {"fallback_for": zone} for zone in self.on_spot]


@dataclass(frozen=True, slots=True)
class Alternative:
    """The best fleet, what was found of it, and what it was chosen among."""

    best: Candidate
    design: Design
    """Its scenario, whose first pool `vllm serve` is to start."""
    readings: tuple[Reading, ...]
    """With the article's numbers where it has one: $3,800 a day, 99.95 %."""
    rivals: tuple[Candidate, ...]
    """All candidates, the cheapest first."""


def alternative(lab: Lab) -> Alternative:
    """Search the candidates and tell of the cheapest; simulates for about half a minute."""
    rivals = sorted(
        (
            Candidate(replica, on_spot, number)
            for replica in REPLICAS
            if (number := fewest(lab, replica)) is not None
            for on_spot in ("", SPOT_NODES)
        ),
        key=lambda one: one.usd_per_day,
    )
    best = rivals[0]
    design = Design(str(ARTICLE / f"{NAME}.yaml"), best.settings)
    return Alternative(best, design, _readings(lab, best, design), tuple(rivals))


def fewest(lab: Lab, replica: Replica) -> int | None:
    """Replicas a node, so that the peak is served with a node away, or None if the most that are tried do not."""
    number = replica.about
    while not _enough(lab, replica, number):
        number += 1
        if number > _MOST:
            return None
    while number > 1 and _enough(lab, replica, number - 1):
        number -= 1
    return number


def _enough(lab: Lab, replica: Replica, a_node: int) -> bool:
    """Whether the SLO is kept: by the calibration's best estimate, and then by all that its draws leave open."""
    settings = (*_one_away(replica, a_node), *_SHORT)
    scenario = lab.loaded(NAME, *settings).scenario
    return all(keeps(lab.evaluate(NAME, *settings, *more), scenario, CONFIDENCE) for more in ((), (_DRAWS,)))


def _one_away(replica: Replica, a_node: int) -> tuple[str, ...]:
    """What is left where a node is away for good."""
    return _settings(replica, [_pool(replica, "left", (len(NODES) - 1) * a_node)])


def _settings(replica: Replica, fleet: Sequence[dict[str, object]]) -> tuple[str, ...]:
    return (
        f"fleet={json.dumps(fleet)}",
        f"engine.quantization={replica.quantization or 'null'}",
        f"step_time.calibration={replica.calibration}",
    )


def _pool(replica: Replica, name: str, number: int) -> dict[str, object]:
    size = replica.tensor_parallel_size
    return {"pool": name, "gpu": replica.gpu, "tensor_parallel_size": size, "replicas": number}


def _price(gpu: str, market: Literal["spot", "on_demand"]) -> Price:
    found = catalog.price(gpu, market)
    if found is None:
        raise ValueError(f"{gpu} has no price on the market {market}")
    return found


def _readings(lab: Lab, best: Candidate, design: Design) -> tuple[Reading, ...]:
    peak = lab.evaluate(NAME, *best.settings, _PEAK, _DRAWS)
    two = _one_away(best.replica, best.a_node)
    without = lab.evaluate(NAME, *two, _PEAK, _DRAWS)
    long = Design(design.source, (*design.settings, f"workload.num_prompts={REQUESTS}"))
    calm = lab.evaluate(NAME, *long.settings)
    node, reclaim = (_struck(long, name) for name in ("node lost", "spot reclaim"))
    struck = [one.evaluation for one in (node, reclaim) if one.evaluation is not None]
    return (
        other("usd", "cost at list prices", "标价成本", value(calm, "usd_per_day"), "USD/day", Span(high=_USD_A_DAY)),
        other(
            "dearest",
            "cost at the highest list prices",
            "最高标价成本",
            best.dearest,
            "USD/day",
            Span(high=_USD_A_DAY),
        ),
        context(
            "on_demand",
            "the same with all nodes on demand",
            "同上，全部按需",
            Candidate(best.replica, "", best.a_node).usd_per_day,
            "USD/day",
        ),
        other(
            "availability",
            "requests answered, node failures and reclaims at their rates, each as if at the peak",
            "得到回答的请求（节点故障与回收按其发生率，均按峰值计）",
            share_kept(best, *(_unanswered(one) for one in (calm, *struck))),
            "%",
            Span(low=99.95),
        ),
        other(
            "good",
            "requests answered within the SLO, likewise",
            "在 SLO 内得到回答的请求（同上）",
            share_kept(best, *(_not_good(one) for one in (calm, *struck))),
            "%",
            Span(low=99.95),
        ),
        context(
            "ttft", "P99 time to the first token at the peak", "峰值首 token P99", value(peak, "p99_ttft_ms"), "ms"
        ),
        context("tpot", "P99 time an output token at the peak", "峰值每 token P99", value(peak, "p99_tpot_ms"), "ms"),
        context(
            "without",
            "requests within the SLO at the peak with a node away for good",
            "峰值且缺一个节点时达标的请求",
            shares(without, lab.loaded(NAME, *two).scenario, CONFIDENCE)[0].value.scaled(100),
            "%",
        ),
        context("recovery", "from a node's loss until goodput is back", "节点丢失到有效吞吐恢复", node.recovery, "min"),
        context(
            "whole", "from a node's loss until its replacement serves", "节点丢失到替换节点就绪", _whole(node), "min"
        ),
        context(
            "lost",
            "requests that a node's loss leaves unanswered",
            "一次节点丢失未得到回答的请求",
            _more(_unanswered, calm, struck[0]),
            "requests",
        ),
        context(
            "late",
            "requests that a node's loss puts outside the SLO",
            "一次节点丢失导致未达标的请求",
            _more(_not_good, calm, struck[0]),
            "requests",
        ),
    )


Count = Callable[[Evaluation], Sequence[float]]


def share_kept(best: Candidate, calm: Sequence[float], failed: Sequence[float], reclaimed: Sequence[float]) -> Interval:
    """Per cent of a day's requests, from what each kind of event costs and how often it happens.

    Args:
        best: the fleet.
        calm: requests missed where nothing happens, by replication.
        failed: the same where a node is lost.
        reclaimed: the same where the market takes a node back.
    """
    kinds = [Kind("node lost", len(NODES) * 24 / catalog.failure_preset(FAILURES).mtbf_hours, lost(calm, failed))]
    if best.on_spot:
        a_day = len(best.on_spot) * 24 / catalog.spot_preset(RECLAIMS).mean_life_hours
        kinds.append(Kind("spot reclaim", a_day, lost(calm, reclaimed)))
    return availability(kinds, REQUESTS_A_DAY, [missed / REQUESTS for missed in calm])


def _unanswered(one: Evaluation) -> list[float]:
    return [REQUESTS - float(each["completed"] or 0) for each in one.replications]


def _not_good(one: Evaluation) -> list[float]:
    return [REQUESTS - float(each[0]["good"] or 0) for each in one.classes]


def _more(missed: Count, calm: Evaluation, struck: Evaluation) -> Interval:
    return t_interval(lost(missed(calm), missed(struck)))


def _struck(design: Design, name: str) -> Drilled:
    """Strike a design; on a fleet without spot nodes nothing is taken back, and calm stands for it."""
    found = drilled(design, name)
    return found if found.evaluation is not None else drilled(design, CALM)


def _whole(struck: Drilled) -> Interval:
    """Minutes; without a mean where a replication ended before."""
    minutes = [
        None if one.whole_s is None else (one.whole_s - one.start_s) / 60
        for outages in struck.outages
        for one in outages
    ]
    return t_interval(() if None in minutes else minutes)
