"""Claims on batching: vLLM's own, and timers; see also _batcher, _pseudo_code and _padding."""

from collections.abc import Mapping

import numpy as np

from sim.audit.claim import Span, Words
from sim.audit.claims._batcher import c16, c17
from sim.audit.claims._light import R1, light, milliseconds, rate_of
from sim.audit.claims._padding import c8, c18
from sim.audit.claims._pseudo_code import c19, c20
from sim.audit.claims.readings import context, less_than, other, own, saturated, within
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, difference, value
from sim.result import Outcome, Replication
from sim.stats import Interval, t_interval

_CLIENTS = 64
"""Enough to keep batches of 32 full."""


def c7(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Whether a batch of vLLM's is closed."""
    settings = (rate_of(x["rate"]), f"engine.max_num_seqs={round(x['seats'])}")
    first = own(
        "joined",
        "requests that join a batch under way, in vLLM",
        "vLLM 中加入正在运行的批的请求比例",
        _joined(lab, *settings),
        "%",
        Span(high=0),
    )
    if lab.coarse:
        return Evidence((first,))
    clients = (f"engine.max_num_seqs={round(x['seats'])}",)
    static = "engine.batching={policy: static}"
    return Evidence(
        (
            first,
            context(
                "static",
                "the same with fixed batches of 32",
                "固定批大小 32 时的同一比例",
                _joined(lab, rate_of(x["rate"]), variant="static"),
                "%",
            ),
            context(
                "fewer",
                "requests/s that fixed batches of 32 lose against vLLM, always busy",
                "满载时固定批 32 相对 vLLM 损失的每秒请求数",
                less_than(saturated(lab, _CLIENTS, static), saturated(lab, _CLIENTS, *clients), "request_throughput"),
                "%",
            ),
        )
    )


def _joined(lab: Lab, *settings: str, variant: str | None = None) -> Interval:
    run = lab.simulate("batching", *settings, variant=variant)
    return t_interval(_joiners(one) for one in run.replications)


def _joiners(one: Replication) -> float:
    """Share of the finished requests that were first scheduled while an earlier one was between schedule and end."""
    done = one.outcome == Outcome.FINISHED
    started, ended = one.first_scheduled_ns[done], one.last_token_ns[done]
    order = np.argsort(started, kind="stable")
    latest = np.maximum.accumulate(ended[order])
    earlier = np.searchsorted(started[order], started)  # who started strictly before
    joined = (earlier > 0) & (latest[np.maximum(earlier, 1) - 1] > started)
    return 100 * float(joined.mean())


def c9(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What batching adds to the mean wait."""
    claimed = within(200)
    rate = rate_of(x["rate"])
    vllm = lab.evaluate("batching", rate, f"engine.max_num_batched_tokens={round(x['budget'])}")
    first = own(
        "vllm",
        "mean wait for vLLM's next step",
        "等待 vLLM 下一步的平均时间",
        value(vllm, "mean_queue_ms"),
        "ms",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    timer = light(lab, rate, milliseconds("wait_ms", x["wait"]), variant="timer")
    waits = (5.0, 50.0, 100.0, 200.0, 300.0, 400.0)
    return Evidence(
        (
            first,
            own(
                "article",
                "mean wait in the article's own batcher (5 ms, 70 %, 100 ms; repaired), engine free",
                "原文自己的批处理器（5 ms、70 %、100 ms，修复版）在引擎空闲时的平均等待",
                value(light(lab, rate, variant="repaired"), "mean_queue_ms"),
                "ms",
                claimed,
            ),
            other(
                "timer",
                "mean wait with a timer of the length set, engine free",
                "采用所设时长的定时器、引擎空闲时的平均等待",
                value(timer, "mean_queue_ms"),
                "ms",
                claimed,
            ),
            context(
                "closed",
                "longer mean response with fixed batches of 32 than with vLLM, same traffic",
                "同样流量下固定批 32 比 vLLM 平均多出的响应时间",
                difference(lab.evaluate("batching", rate, variant="static"), vllm, "mean_e2el_ms"),
                "ms",
            ),
            context(
                "r1",
                "mean wait for vLLM's next step, DeepSeek-R1 on eight H200s",
                "DeepSeek-R1（八张 H200）等待 vLLM 下一步的平均时间",
                value(lab.evaluate("batching", rate, *R1), "mean_queue_ms"),
                "ms",
            ),
        ),
        Figure(
            Words(en="What a timer adds", zh="定时器带来的等待"),
            Words(en="timer, ms", zh="定时器, ms"),
            Words(en="mean wait, ms", zh="平均等待, ms"),
            (
                Curve(
                    Words(en="1 + Poisson requests a batch", zh="每批 1 + 泊松个请求"),
                    waits,
                    [timer_wait(x["rate"], one) for one in waits],
                ),
            ),
        ),
    )


def timer_wait(rate: float, wait_ms: float) -> float:
    """Mean wait, ms: the first waits for T, those that come meanwhile T / 2 on average."""
    more = rate * wait_ms / 1e3
    return wait_ms * (1 + more / 2) / (1 + more)


ANSWERS: Mapping[str, Answerer] = {
    "C7": c7, "C8": c8, "C9": c9, "C16": c16, "C17": c17, "C18": c18, "C19": c19, "C20": c20,
}  # fmt: skip  # fmt: skip
