"""Scaling out: 128 nodes, and queues behind routers that know old lengths."""

from collections.abc import Mapping

import numpy as np

from sim.audit.claim import Span, Words
from sim.audit.evidence import Curve, Evidence, Figure, Reading, Rests, exact
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, over, value
from sim.result import Replication
from sim.stats import Floats, Interval, t_interval
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from sim.streams import stream

_SECONDS = 40
"""Of traffic; more than the 30 s that the scenario runs, so that a node's bursts are not cut off."""
_REPLICATIONS, _FEW = 6, 2000.0
"""More where there is less traffic than this, because there are fewer replicas to average over."""
_STEPS = 300
_CONTEXT, _CHUNK, _PREFILLS = 1216, 1088, 0.1
"""Of a decode sequence, of a prompt (tokens), and the share of a node's steps in which it prefills one."""


def c25(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Efficiency under three meanings of a node."""
    routed = _routed(lab, x, "power_of_two")
    atleast = Span(low=92)
    first = Reading(
        "routed",
        Words(en="independent replicas, router knows their load", zh="相互独立的副本，路由器知道负载"),
        Rests.OTHER,
        routed,
        "%",
        atleast,
    )
    if lab.coarse:
        return Evidence((first,))
    sizes = (2, 4, 8, 16, 32, 64, 128)
    barriers = [_barrier(lab, n, x["batch"]) for n in sizes]
    return Evidence(
        (
            first,
            Reading(
                "random",
                Words(en="independent replicas, routed at random", zh="相互独立的副本，随机路由"),
                Rests.OTHER,
                _routed(lab, x, "random"),
                "%",
                atleast,
            ),
            Reading(
                "barrier",
                Words(en="nodes that wait for the slowest at every step", zh="每一步都等最慢者的节点"),
                Rests.OTHER,
                _barrier(lab, round(x["nodes"]), x["batch"]),
                "%",
                atleast,
            ),
        ),
        Figure(
            Words(en="Nodes that wait for each other", zh="互相等待的节点"),
            Words(en="nodes", zh="节点数"),
            Words(en="weak scaling efficiency, %", zh="弱扩展效率, %"),
            (
                Curve(
                    Words(en="a step takes as long as on the slowest node", zh="每步时间取决于最慢的节点"),
                    sizes,
                    [one.mean or 0.0 for one in barriers],
                    [one.low or 0.0 for one in barriers],
                    [one.high or 0.0 for one in barriers],
                ),
            ),
            log_x=True,
        ),
    )


def c26(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The gain over two baselines."""
    claimed = Span(low=24.3, high=29.7)
    routed = _routed(lab, x, "power_of_two")
    waiting = over(routed, _barrier(lab, round(x["nodes"]), x["batch"]))
    first = Reading(
        "waiting",
        Words(en="gain over nodes that wait for each other", zh="相对互相等待的节点的提升"),
        Rests.OTHER,
        _gain(waiting),
        "%",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    return Evidence(
        (
            first,
            Reading(
                "routing",
                Words(en="gain over routing at random", zh="相对随机路由的提升"),
                Rests.OTHER,
                _gain(over(routed, _routed(lab, x, "random"))),
                "%",
                claimed,
            ),
            Reading(
                "relative",
                Words(en="baseline if percent are meant", zh="若指百分比，基线应为"),
                Rests.CONTEXT,
                exact(92 / 1.27),
                "%",
            ),
            Reading(
                "points",
                Words(en="baseline if points are meant", zh="若指百分点，基线应为"),
                Rests.CONTEXT,
                exact(65.0),
                "%",
            ),
        )
    )


def c42(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Swings of the queues, by traffic and by what routers know."""
    here = _swing(lab, x["rate"], x["staleness"], x["routers"])
    first = Reading(
        "traffic",
        Words(en="swing at the full traffic, over that at a tenth", zh="满流量与十分之一流量时摆动之比"),
        Rests.OWN,
        over(here, _swing(lab, x["rate"] / 10, x["staleness"], x["routers"])),
        "x",
        Span(low=1.1),
    )
    if lab.coarse:
        return Evidence((first,))
    fresh = _swing(lab, x["rate"], 0, x["routers"])
    return Evidence(
        (
            first,
            Reading(
                "stale",
                Words(
                    en="swing with what routers know, over that with exact knowledge", zh="信息陈旧与信息准确时摆动之比"
                ),
                Rests.OTHER,
                over(here, fresh),
                "x",
                Span(low=1.1),
            ),
            Reading(
                "two",
                Words(en="the same with the shorter of two random queues", zh="同上，两个随机队列取较短者"),
                Rests.CONTEXT,
                over(_swing(lab, x["rate"], x["staleness"], x["routers"], "power_of_two"), fresh),
                "x",
            ),
            Reading(
                "staleness",
                Words(en="age of what routers know", zh="信息周期"),
                Rests.CONTEXT,
                exact(x["staleness"]),
                "ms",
            ),
        )
    )


def _gain(ratio: Interval) -> Interval:
    mean, low, high = (None if one is None else 100 * (one - 1) for one in (ratio.mean, ratio.low, ratio.high))
    return Interval(mean, low, high, ratio.n)


def _routed(lab: Lab, x: Mapping[str, float], router: str) -> Interval:
    """Efficiency of independent replicas, %."""
    nodes = round(x["nodes"])
    many = lab.evaluate(
        "weak-scaling",
        f"fleet.0.replicas={nodes}",
        f"workload.num_prompts={round(_SECONDS * x['rate'] * nodes)}",
        f"workload.arrivals.request_rate={x['rate'] * nodes}",
        f"router={{kind: {router}}}",
    )
    one = lab.evaluate(
        "weak-scaling",
        f"workload.num_prompts={round(_SECONDS * x['rate'])}",
        f"workload.arrivals.request_rate={x['rate']}",
        "run.replications=40",
    )
    return over(value(many, "request_goodput"), value(one, "request_goodput")).scaled(100 / nodes)


def _barrier(lab: Lab, nodes: int, batch: float) -> Interval:
    """Efficiency of nodes whose step takes as long as the slowest node's, %, by drawing their batches."""
    cost = lab.deployments("weak-scaling")[0].cost
    rng = stream(0, 0, "audit.barrier")
    most = len(cost.decode_fs) - 1
    seqs = np.clip(rng.poisson(batch, (_STEPS, nodes)), 1, most)
    prefills = rng.random((_STEPS, nodes)) < _PREFILLS
    times: Floats = np.array(
        [
            [step_ns(cost, _shape(int(n), prefill=bool(p))) for n, p in zip(row, chunk, strict=True)]
            for row, chunk in zip(seqs, prefills, strict=True)
        ],
        dtype=np.float64,
    )
    slowest = times.max(axis=1)
    parts = np.array_split(np.arange(_STEPS), 10)  # batch means
    return t_interval(100 * float(times[part].mean() / slowest[part].mean()) for part in parts)


def _shape(seqs: int, *, prefill: bool) -> StepShape:
    pairs = _CHUNK * (_CHUNK + 1) // 2
    decode = StepShape(decode_seqs=seqs, context_tokens=seqs * _CONTEXT, sampled=seqs)
    if not prefill:
        return decode
    return decode._replace(prefill_tokens=_CHUNK, prefill_seqs=1, prefill_pairs=pairs, sampled=min(seqs + 1, 10**9))


def _swing(lab: Lab, rate: float, staleness: float, routers: float, kind: str = "least_outstanding") -> Interval:
    """Standard deviation through time of the requests in a replica over their mean, averaged over the replicas."""
    run = lab.simulate(
        "stale-routers",
        f"workload.arrivals.request_rate={rate}",
        f"workload.num_prompts={round(2.5 * rate)}",
        f"fleet.0.replicas={max(round(rate / 100), 1)}",
        f"router={{kind: {kind}, staleness_ms: {staleness}, routers: {round(routers)}}}",
        f"run.replications={_REPLICATIONS if rate > _FEW else 6 * _REPLICATIONS}",
    )
    return t_interval(_one_swing(one) for one in run.replications)


def _one_swing(one: Replication) -> float:
    last = int(one.sent_ns.max())
    times = np.linspace(last // 4, last, 200)
    swings = []
    for replica in np.unique(one.replica[one.replica >= 0]):
        mine = one.replica == replica
        came, went = np.sort(one.sent_ns[mine]), np.sort(one.last_token_ns[mine])
        inside = np.searchsorted(came, times, side="right") - np.searchsorted(went, times, side="right")
        swings.append(inside.std() / max(inside.mean(), 1e-9))
    return float(np.mean(swings))


ANSWERS: Mapping[str, Answerer] = {"C25": c25, "C26": c26, "C42": c42}
