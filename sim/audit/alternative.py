"""What actually breaks the triangle: the cheapest fleet that Trilemma finds for the article's own case.

A million requests a day, 99.95 % of them answered, against $3,800. Candidates are kinds of replicas on two markets. All
stand on three nodes in three zones, of which any two serve the day's peak within the SLO, by all that the calibration
leaves open. Each kind's replicas are searched by simulation, the fleets are ranked by their list price, and the
cheapest is simulated in full: at the peak, with a node away for good, and struck by each kind of event, whose rates
make its availability (sim/study/rare.py). Step times are calibrated on public measurements of a dense 70B model on the
same GPU.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sim import catalog
from sim.audit.claim import Span
from sim.audit.claims.readings import context, other
from sim.audit.evidence import Reading
from sim.audit.fleets import DRAWS, NAME, NODES, RECLAIMS, REPLICAS, SPOT_NODES, Candidate, fewest, one_away
from sim.audit.lab import ARTICLE, Lab, value
from sim.stats import CONFIDENCE, Interval, t_interval
from sim.study.drills import CALM, Drilled, drilled
from sim.study.evaluation import Design, Evaluation
from sim.study.rare import Kind, availability, lost
from sim.study.verdict import shares

REQUESTS_A_DAY = 1e6
FAILURES = "llama3-node"
REQUESTS = 18_056
"""13 minutes: a node that is lost after a third of them is replaced before they end."""
_PEAK = "workload.num_prompts=4167"
"""Three minutes, for the latencies."""
_USD_A_DAY = 3_800.0


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


def _readings(lab: Lab, best: Candidate, design: Design) -> tuple[Reading, ...]:
    peak = lab.evaluate(NAME, *best.settings, _PEAK, DRAWS)
    two = one_away(best.replica, best.a_node)
    without = lab.evaluate(NAME, *two, _PEAK, DRAWS)
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
