"""The article's pseudo-code to the letter: how many requests it forgets, and how large its batches become."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from sim.audit.claim import Span, Words
from sim.audit.claims._light import light, milliseconds, rate_of, served
from sim.audit.claims.readings import check, context
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.lab import Lab, value
from sim.stats import t_interval

_ARTICLE_AVAILABILITY = 99.95
"""Per cent: what the article says it kept."""
_BATCHES = 60
"""Of a replication, at high rates."""


def c19(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The share that the pseudo-code serves, against the availability that the article says it kept."""
    settings = (
        rate_of(x["rate"]),
        f"workload.num_prompts={_count(x['rate'] * x['wait'] / 1e3)}",
        "workload.lengths.input={kind: uniform, tokens: 1088, range_ratio: 0.8823}",
        milliseconds("wait_ms", x["wait"]),
        f"engine.batching.fill={x['fill']}",
        f"engine.batching.length_groups={round(x['groups'])}",
    )
    first = check(
        "served",
        "requests that the pseudo-code serves; the rest it deletes",
        "伪代码实际处理的请求比例，其余被直接删除",
        served(lab, *settings),
        "%",
        Span(low=_ARTICLE_AVAILABILITY),
    )
    if lab.coarse:
        return Evidence((first,))
    rates = np.geomspace(100, 40_000, 40).tolist()
    shares = {groups: [100 * (1 - forgotten(rate, groups)) for rate in rates] for groups in (1, 2, 4, 8)}
    return Evidence(
        (
            first,
            context(
                "half",
                "rate at which it serves half, one group",
                "单组时处理一半请求的速率",
                _rate_for(50.0),
                "requests/s",
            ),
            context(
                "kept",
                "rate from which it serves 99.95 %, one group",
                "单组时处理 99.95 % 请求所需的速率",
                _rate_for(_ARTICLE_AVAILABILITY),
                "requests/s",
            ),
            context(
                "four",
                "served of 10,000 requests/s with four groups",
                "每秒一万请求、四组时处理的比例",
                100 * (1 - forgotten(10_000, 4)),
                "%",
            ),
        ),
        Figure(
            Words(en="What the pseudo-code serves", zh="伪代码处理的请求"),
            Words(en="requests/s", zh="请求/秒"),
            Words(en="served, %", zh="处理比例, %"),
            tuple(
                Curve(Words(en=f"{groups} length group{'s' * (groups > 1)}", zh=f"{groups} 个长度组"), rates, served)
                for groups, served in shares.items()
            ),
            log_x=True,
        ),
    )


def c20(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The size of the pseudo-code's batches against its own cap."""
    tokens = 8
    settings = (
        rate_of(x["rate"]),
        f"workload.num_prompts={_count(x['rate'] * x['wait'] / 1e3)}",
        f"workload.lengths.input.tokens={tokens}",
        milliseconds("wait_ms", x["wait"]),
        f"engine.batching.max_batch_size={round(x['size'])}",
    )
    verbatim = light(lab, *settings, variant="verbatim")
    cap = Span(high=x["size"])
    work = (one["tokens_per_step"] for one in verbatim.replications)
    first = check(
        "mean",
        "requests a batch on average, pseudo-code",
        "伪代码的平均批大小",
        t_interval(None if one is None else one / tokens for one in work),
        "requests",
        cap,
    )
    if lab.coarse:
        return Evidence((first,))
    repaired = light(lab, *settings, variant="repaired")
    return Evidence(
        (
            first,
            check(
                "largest",
                "largest batch, pseudo-code",
                "伪代码的最大批",
                value(verbatim, "peak_running"),
                "requests",
                cap,
            ),
            context(
                "repaired", "largest batch, repaired", "修复版的最大批", value(repaired, "peak_running"), "requests"
            ),
        )
    )


def forgotten(rate: float, groups: int, wait_s: float = 0.005, least: float = 22.4) -> float:
    """Share that the pseudo-code deletes: of groups smaller than `least`, of 1 + Poisson(rate x wait) requests."""
    mean = rate * wait_s / groups
    few = np.arange(int(np.ceil(least)))
    shares = stats.poisson.pmf(few, mean)
    others, first = float(few @ shares), float((few[:-1] + 1) @ shares[:-1])
    return (first + (groups - 1) * others) / (1 + rate * wait_s)


def _rate_for(served: float) -> float:
    """Requests a second at which the pseudo-code serves so many per cent, with one group."""
    low, high = 100.0, 100_000.0
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if 100 * (1 - forgotten(middle, 1)) < served else (low, middle)
    return high


def _count(more: float) -> int:
    """Requests in all: enough batches of 1 + `more` requests, and at least 400 requests."""
    return max(round(_BATCHES * (1 + more)), 400)
