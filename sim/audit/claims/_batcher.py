"""The article's two-level batcher: how long it keeps requests, how many it forgets, how large its batches become."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from sim.audit.claim import Span, Words
from sim.audit.claims.readings import check, context, other, own
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.lab import Lab, difference, value
from sim.result import Outcome, Replication
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation

_ARTICLE_WAIT_MS = 5.0
_ARTICLE_AVAILABILITY = 99.95
"""Per cent: what the article says it kept."""
_BATCHES, _FEW = 60, 200
"""Of a replication: batches at high rates, requests at low ones."""


def rate_of(rate: float) -> str:
    """The setting for so many requests a second."""
    return f"workload.arrivals.request_rate={rate}"


def milliseconds(key: str, ms: float) -> str:
    """The setting for a time of the batcher."""
    return f"engine.batching.{key}={ms}"


def light(lab: Lab, *settings: str, variant: str | None = None) -> Evaluation:
    """Requests so small that the engine is nearly always free."""
    return lab.evaluate("batch-wait", *settings, variant=variant)


def c16(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The wait in the batcher."""
    rate = rate_of(x["rate"])
    few = f"workload.num_prompts={_FEW}"
    batcher = (rate, few, milliseconds("wait_ms", x["wait"]))
    at_most = Span(high=_ARTICLE_WAIT_MS * 1.01)
    both = light(
        lab, *batcher, milliseconds("tick_ms", x["tick"]), f"engine.batching.fill={x['fill']}", variant="repaired"
    )
    first = own(
        "both",
        "P99 wait for a batch, both levels as the article sets them (repaired)",
        "按原文设置的两级批处理（修复版）的 P99 等待",
        value(both, "p99_queue_ms"),
        "ms",
        at_most,
    )
    if lab.coarse:
        return Evidence((first,))
    micro = light(lab, *batcher, "engine.batching.tick_ms=null", "engine.batching.fill=0", variant="repaired")
    groups = "engine.batching={policy: two_level, drop_underfilled: false, length_groups: [1024]}"
    return Evidence(
        (
            first,
            other(
                "micro",
                "P99 wait with the first level alone, whatever its batches' fill",
                "仅第一级且不论填充率时的 P99 等待",
                value(micro, "p99_queue_ms"),
                "ms",
                at_most,
            ),
            context(
                "served",
                "requests that the pseudo-code serves at this rate",
                "此速率下伪代码实际处理的请求比例",
                _served(lab, *batcher),
                "%",
            ),
            context(
                "vllm", "P99 wait in vLLM", "vLLM 中的 P99 等待", value(light(lab, rate, few), "p99_queue_ms"), "ms"
            ),
            context(
                "starved",
                "P99 TTFT of long prompts over that of short ones, grouped, always busy",
                "满载分组时长提示与短提示的 P99 TTFT 之比",
                _long_over_short(lab.evaluate("length-mix", groups)),
                "",
            ),
            context(
                "fair",
                "the same in vLLM",
                "vLLM 中的同一比值",
                _long_over_short(lab.evaluate("length-mix")),
                "",
            ),
        )
    )


def c17(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What the tick adds, against the five milliseconds of C16."""
    rate = rate_of(x["rate"])
    with_tick, without = (
        light(lab, rate, f"workload.num_prompts={_FEW}", f"engine.batching.tick_ms={tick}", variant="repaired")
        for tick in (x["tick"], "null")
    )
    first = check(
        "added",
        "mean wait that the global batch adds",
        "全局批处理增加的平均等待",
        difference(with_tick, without, "mean_queue_ms"),
        "ms",
        Span(high=_ARTICLE_WAIT_MS),
    )
    if lab.coarse:
        return Evidence((first,))
    return Evidence(
        (
            first,
            context("p99", "P99 wait with it", "含全局批处理的 P99 等待", value(with_tick, "p99_queue_ms"), "ms"),
            context("half", "half a period", "半个周期", x["tick"] / 2, "ms"),
            context(
                "tokens",
                "tokens/s a user could get if decode steps, too, started at ticks only",
                "若解码步也只在节拍启动，每个用户每秒至多得到的 token",
                1e3 / x["tick"],
                "tokens/s",
            ),
        )
    )


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
        _served(lab, *settings),
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


def _served(lab: Lab, *settings: str) -> Interval:
    """Per cent of the requests that the pseudo-code serves; the last are left out, for after them nobody comes."""
    run = lab.simulate("batch-wait", *settings, variant="verbatim")
    return t_interval(_share(one) for one in run.replications)


def _share(one: Replication) -> float:
    counted = one.sent_ns < 0.9 * one.sent_ns.max()
    return 100 * float((one.outcome[counted] == Outcome.FINISHED).mean())


def _count(more: float) -> int:
    """Requests in all: enough batches of 1 + `more` requests, and at least 400 requests."""
    return max(round(_BATCHES * (1 + more)), 400)


def _long_over_short(one: Evaluation) -> Interval:
    return t_interval((long["p99_ttft_ms"] or 0.0) / (short["p99_ttft_ms"] or 1.0) for short, long in one.classes)
