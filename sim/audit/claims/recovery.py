"""A node fails: how long until another serves, what the backlog does meanwhile, and how available that leaves it."""

from collections.abc import Mapping

from sim.audit.claim import Span, Words
from sim.audit.claims._availability import c41
from sim.audit.claims._nodes import drill, sustained_rate
from sim.audit.claims.readings import context, other, own
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab
from sim.report.incidents import incidents
from sim.result import Outcome, Replication
from sim.scenario.recovery import Health
from sim.stats import Interval, t_interval
from sim.units import NS_PER_S

_QUIET = ("workload.num_prompts=2", 'workload.arrivals={"kind": "constant", "request_rate": 0.00005}')
"""20,000 s with hardly a request: only the fleet is looked at."""
_STORE_GB_PER_S = 5
"""Of the whole store (sim/catalog/startup.yaml); no less than one node takes."""
_STRIKE_S = 60
_SETTLE_S, _JUDGED_S = 60, 60
"""From the node's return to the time in which answers are counted, and how long they are."""


def c12(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """From a failure until as many replicas serve as before."""
    claimed = Span(low=30, high=60)
    stages = (
        _stage("provision", 0),
        _stage("boot", 0),
        _stage("image", x["node"]),
        _stage("process", x["engine"] * 10 / 48),
        _stage("compile", x["engine"] * 25 / 48),
        _stage("warm", x["engine"] * 13 / 48),
        f"startup.node_gb_per_s={x['store']}",
        f"startup.store_gb_per_s={max(x['store'], _STORE_GB_PER_S)}",
        f"startup.disk_gb_per_s={x['local']}",
        f"recovery.node_grace_s={x['eviction']}",
        "recovery.toleration_s=0",
    )
    first = own(
        "kubernetes",
        "Kubernetes evicts the pod, a new node comes, the engine starts on it",
        "Kubernetes 驱逐 Pod，新节点就绪，引擎在其上启动",
        _whole_again(lab, "node", *stages),
        "s",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    health = Health()
    r1 = ("model=deepseek-r1", "fleet.0.gpu=h200-sxm-141gb")
    return Evidence(
        (
            first,
            other("evicted", "until the pod is evicted alone", "仅到 Pod 被驱逐为止", x["eviction"], "s", claimed),
            other(
                "process",
                "the process alone fails, and starts again on its node",
                "仅进程失败，在原节点上重启",
                _whole_again(lab, "replica", *stages),
                "s",
                claimed,
            ),
            other(
                "standby",
                "a hot standby: until the router's health checks leave out what is dead",
                "热备副本：到路由器健康检查剔除失效副本为止",
                health.period_s * (health.failures - 0.5),
                "s",
                claimed,
            ),
            context(
                "r1", "the first on DeepSeek-R1", "第一项用于 DeepSeek-R1", _whole_again(lab, "node", *stages, *r1), "s"
            ),
        )
    )


def c13(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What is answered a minute after the node is back."""
    load, cascade = x["load"], Span(high=50)
    first = own(
        "own",
        "the article's outage, at its load; the engine hears of clients that leave",
        "原文的中断时长与负载；客户端离开时引擎会得知",
        _answered(lab, x, load, x["outage"]),
        "%",
        cascade,
    )
    if lab.coarse:
        return Evidence((first,))
    loads = (load - 5, load, min(load + 5, 100))
    unheard = [_answered(lab, x, one, x["long"], "clients.cancellation=none") for one in loads]
    heard = [_answered(lab, x, one, x["long"]) for one in loads]
    shed = _answered(lab, x, loads[2], x["long"], "clients.cancellation=none", "admission.shed_above=40")
    large = _answered(lab, {**x, "seqs": 256}, load, x["long"], "run.replications=2")
    return Evidence(
        (
            first,
            other(
                "long",
                "the longer outage; the engine does not hear of clients that leave",
                "较长的中断；引擎不知道客户端已离开",
                unheard[1],
                "%",
                cascade,
            ),
            other("fuller", "the same at 5 points more load", "同上，负载高 5 个百分点", unheard[2], "%", cascade),
            other("heard", "the same, and the engine hears of it", "同上，且引擎会得知", heard[2], "%", cascade),
            other(
                "large",
                "the longer outage at the article's load in batches of up to 256 (vLLM's), the engine hears of it",
                "较长的中断、原文负载，批上限 256（vLLM 默认），引擎会得知",
                large,
                "%",
                cascade,
            ),
            context(
                "shed",
                "at 5 points more load, unheard, but new requests are shed above 40 a replica",
                "负载高 5 个百分点、引擎不知情，但每副本超过 40 个请求时拒绝新请求",
                shed,
                "%",
            ),
            context("after", "load of the two nodes that are left", "剩余两个节点的负载", 1.5 * load, "%"),
        ),
        Figure(
            Words(en="A minute after the longer outage", zh="较长中断结束一分钟后"),
            Words(en="load before the failure, %", zh="故障前的负载, %"),
            Words(en="answers a request, %", zh="每个请求得到的回答, %"),
            (
                _curve("the engine hears of clients that leave", "引擎得知客户端离开", loads, heard),
                _curve("it does not", "引擎不知道", loads, unheard),
            ),
        ),
    )


def _stage(name: str, median_s: float) -> str:
    """A stage of a start, spread as in sim/catalog/startup.yaml."""
    if not median_s:
        return f'startup.{name}={{"kind": "fixed", "s": 0}}'
    return f'startup.{name}={{"kind": "lognormal", "median_s": {median_s}, "sigma": 0.2}}'


def _whole_again(lab: Lab, of: str, *settings: str) -> Interval:
    """Seconds from a failure until as many replicas have become ready as fell."""
    run = lab.simulate("three-nodes", *_QUIET, drill(of, _STRIKE_S), "run.replications=10", *settings)
    return t_interval(_outage_s(one) for one in run.replications)


def _outage_s(one: Replication) -> float:
    first, _, whole = incidents(one.timeline)
    return float(whole[0] - first[0]) / NS_PER_S


def _answered(lab: Lab, x: Mapping[str, float], load: float, outage_s: float, *settings: str) -> Interval:
    """Answers over requests, in per cent, in a minute soon after the node is back; clients try three times more."""
    rate = sustained_rate(lab, round(x["seqs"])) * load / 100
    begin = _STRIKE_S + outage_s + _SETTLE_S
    end = begin + _JUDGED_S
    run = lab.simulate(
        "three-nodes",
        f"engine.max_num_seqs={round(x['seqs'])}",
        f"workload.arrivals.request_rate={rate}",
        f"workload.num_prompts={round(1.2 * rate * end)}",
        f'clients={{"timeout_s": {x["timeout"]}, "retry": {{"max_retries": 3}}}}',
        drill("node", _STRIKE_S, for_s=outage_s),
        f"run.max_time_s={end}",
        *settings,
    )
    found = t_interval(_share(one, begin, end) for one in run.replications)
    if found.low is None or found.high is None:
        return found
    return Interval(found.mean, max(found.low, 0.0), min(found.high, 100.0), found.n)


def _share(one: Replication, begin_s: float, end_s: float) -> float:
    begin, end = begin_s * NS_PER_S, end_s * NS_PER_S
    sent = (one.sent_ns >= begin) & (one.sent_ns < end)
    answered = (one.outcome == Outcome.FINISHED) & (one.last_token_ns >= begin) & (one.last_token_ns < end)
    return min(float(100 * answered.sum() / max(sent.sum(), 1)), 100.0)  # it may catch up


def _curve(en: str, zh: str, loads: tuple[float, ...], found: list[Interval]) -> Curve:
    means, low, high = ([bound or 0.0 for bound in bounds] for bounds in zip(*map(_bounds, found), strict=True))
    return Curve(Words(en=en, zh=zh), loads, means, low, high)


def _bounds(one: Interval) -> tuple[float | None, float | None, float | None]:
    return one.mean, one.low, one.high


ANSWERS: Mapping[str, Answerer] = {"C12": c12, "C13": c13, "C41": c41}
