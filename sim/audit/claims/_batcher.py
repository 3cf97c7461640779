"""The article's two-level batcher: how long it keeps requests."""

from collections.abc import Mapping

from sim.audit.claim import Span
from sim.audit.claims._light import light, milliseconds, rate_of, served
from sim.audit.claims.readings import check, context, other, own
from sim.audit.evidence import Evidence
from sim.audit.lab import Lab, difference, value
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation

_ARTICLE_WAIT_MS = 5.0
_FEW = 200
"""Requests of a replication, at low rates."""


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
                served(lab, *batcher),
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


def _long_over_short(one: Evaluation) -> Interval:
    return t_interval((long["p99_ttft_ms"] or 0.0) / (short["p99_ttft_ms"] or 1.0) for short, long in one.classes)
