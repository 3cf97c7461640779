"""More replicas: how far utilisation falls, and what a request costs then."""

from collections.abc import Mapping

from sim.audit.claims._nodes import sustained_rate
from sim.audit.claims.readings import check, context, other, own, within
from sim.audit.evidence import Evidence
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, quotient
from sim.stats import Interval
from sim.study.evaluation import Evaluation

_SEQS = 32
_SECONDS = 200
"""Of traffic."""


def c14(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Utilisation of more replicas under the same traffic, over that of three."""
    before, after = 3, round(x["replicas"])
    claimed = within(40)
    few = _fleet(lab, before, x["load"])
    more = _fleet(lab, after, x["load"] * before / after)
    work = quotient(more, few, "mfu").scaled(x["load"])
    first = own(
        "work", "work done, over what the fleet sustains", "完成的工作量与机队可持续吞吐之比", work, "%", claimed
    )
    if lab.coarse:
        return Evidence((first,))
    return Evidence(
        (
            first,
            other(
                "kv",
                "KV blocks in use, from 65 %",
                "KV 块使用率（以 65 % 为起点）",
                quotient(more, few, "kv_cache_usage").scaled(x["load"]),
                "%",
                claimed,
            ),
            other(
                "hbm",
                "HBM bandwidth, from 65 %",
                "HBM 带宽（以 65 % 为起点）",
                quotient(more, few, "hbm_utilisation").scaled(x["load"]),
                "%",
                claimed,
            ),
            other(
                "busy",
                "time in which GPUs are busy, from 65 %",
                "GPU 忙碌时间（以 65 % 为起点）",
                quotient(more, few, "busy").scaled(x["load"]),
                "%",
                claimed,
            ),
            context("needed", "replicas for every one before", "每个原有副本对应的副本数", x["load"] / 40, "x"),
            context("one", "one replica more than three", "三个副本再加一个", x["load"] * 3 / 4, "%"),
            context("two", "two more", "再加两个", x["load"] * 3 / 5, "%"),
            context("twice", "twice as many", "副本数翻倍", x["load"] / 2, "%"),
        )
    )


def c15(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Cost of a request at the one utilisation over that at the other."""
    claimed = within(2.3)
    first = check(
        "cost",
        "what a request costs at the lower utilisation, over what it costs at the higher",
        "低利用率与高利用率下单个请求成本之比",
        _dearer(lab, x["before"], x["after"]),
        "x",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    return Evidence(
        (
            first,
            context("arithmetic", "the two utilisations' ratio", "两个利用率之比", x["before"] / x["after"], "x"),
            context(
                "needed", "utilisation at which it would be 2.3 x", "成本为 2.3 倍时的利用率", x["before"] / 2.3, "%"
            ),
            context(
                "more",
                "the same if it is 2.3 x more, that is 3.3 x",
                "若“上升 2.3 倍”即 3.3 倍",
                x["before"] / 3.3,
                "%",
            ),
        )
    )


def _fleet(lab: Lab, replicas: int, load: float) -> Evaluation:
    """So many replicas, each at that share of what it sustains (%)."""
    rate = sustained_rate(lab, _SEQS) / 3 * replicas * load / 100
    return lab.evaluate(
        "three-nodes",
        f"fleet.0.replicas={replicas}",
        f"workload.arrivals.request_rate={rate}",
        f"workload.num_prompts={round(rate * _SECONDS)}",
        "run.state=steady",
        "run.replications=5",
    )


def _dearer(lab: Lab, before: float, after: float) -> Interval:
    return quotient(_fleet(lab, 3, after), _fleet(lab, 3, before), "usd_per_1m_output_tokens")


ANSWERS: Mapping[str, Answerer] = {"C14": c14, "C15": c15}
