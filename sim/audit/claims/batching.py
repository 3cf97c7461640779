"""Claims on batching: vLLM's own, and what padded batches cost."""

from collections.abc import Mapping

import numpy as np

from sim.audit.claim import Span, Words
from sim.audit.claims._batcher import c16, c17, c19, c20, light, milliseconds, rate_of
from sim.audit.claims.readings import context, less_than, other, own, saturated, within
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, difference, value
from sim.result import Outcome, Replication
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation

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


def c8(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Idle memory under three definitions, and what of it is the fixed batch's doing."""
    memory = f"engine.gpu_memory_utilization={x['utilisation']}"
    settings = (rate_of(x["rate"]), memory)
    fixed = lab.evaluate("batching", *settings, f"engine.batching.batch_size={round(x['size'])}", variant="static")
    claimed = within(45)
    first = other(
        "idle",
        "HBM that is allocated and empty, of all HBM, with fixed batches",
        "固定批处理下已分配但空着的显存占全部显存的比例",
        percent(value(fixed, "hbm_unused")),
        "%",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    vllm = lab.evaluate("batching", *settings)
    return Evidence(
        (
            first,
            own(
                "because",
                "of that, what vLLM's own batching would not leave empty",
                "其中 vLLM 自身的批处理不会闲置的部分",
                percent(difference(fixed, vllm, "hbm_unused")),
                "points",
                claimed,
            ),
            other(
                "reserved",
                "KV cache reserved by fixed batches that holds nothing",
                "固定批预留而未存放任何内容的 KV 缓存",
                percent(value(fixed, "kv_reserved_unused")),
                "%",
                claimed,
            ),
            other(
                "padding",
                "padding in full batches, of prompt tokens computed",
                "满批时填充占所计算提示 token 的比例",
                percent(value(_prompts(lab, x["size"]), "padding_share")),
                "%",
                claimed,
            ),
            context(
                "vllm",
                "HBM that is allocated and empty with vLLM's batching",
                "vLLM 批处理下已分配但空着的显存比例",
                percent(value(vllm, "hbm_unused")),
                "%",
            ),
        )
    )


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


def c18(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """FLOPs that the article's batcher saves, against three baselines."""
    claimed = within(62)
    grouped = saturated(
        lab,
        _CLIENTS,
        "engine.batching={policy: two_level, drop_underfilled: false}",
        f"engine.batching.length_groups={round(x['groups'])}",
    )
    mine = [one["padding_flops_share"] or 0.0 for one in grouped.replications]
    first = own(
        "vllm",
        "FLOPs that it saves against vLLM on the same requests",
        "相同请求下相对 vLLM 节省的 FLOPs",
        t_interval(100 * (1 - 1 / (1 - one)) for one in mine),
        "%",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    static = saturated(lab, _CLIENTS, "engine.batching={policy: static}")
    theirs = [one["padding_flops_share"] or 0.0 for one in static.replications]
    work = lab.deployments("saturated")[0].work
    tokens = 2048
    attention = work.flops_per_pair * tokens * (tokens + 1) / 2
    return Evidence(
        (
            first,
            other(
                "static",
                "FLOPs that it saves against fixed batches of 32",
                "相对固定批 32 节省的 FLOPs",
                t_interval(100 * (1 - (1 - a) / (1 - b)) for a, b in zip(theirs, mine, strict=True)),
                "%",
                claimed,
            ),
            other(
                "mix",
                "all padding of fixed batches of 32, prompts of which the share set is long",
                "固定批 32 的全部填充（长提示占所设比例）",
                percent(value(_mixed(lab, x["long"]), "padding_share")),
                "%",
                claimed,
            ),
            context(
                "uniform",
                "all padding of fixed batches of 32, prompts uniform from 128 to 2,048",
                "固定批 32 的全部填充（提示在 128 到 2048 之间均匀分布）",
                percent(value(_prompts(lab, 32), "padding_share")),
                "%",
            ),
            context(
                "mask",
                "attention in the FLOPs of a 2,048-token prompt: all that a mask could skip",
                "2048 token 提示中注意力占 FLOPs 的比例，即掩码至多能跳过的部分",
                100 * attention / (attention + work.flops_per_token * tokens),
                "%",
            ),
        )
    )


_ONE_TOKEN = "{kind: fixed, tokens: 1}"


def _prompts(lab: Lab, size: float) -> Evaluation:
    """Fixed batches of the article's prompts, always full, with answers of one token."""
    return saturated(
        lab,
        2 * size,
        f"workload.lengths.output={_ONE_TOKEN}",
        f"engine.batching={{policy: static, batch_size: {round(size)}}}",
        rounds=20,
    )


def _mixed(lab: Lab, long: float) -> Evaluation:
    """The same with short prompts and a share of long ones."""
    return lab.evaluate(
        "length-mix",
        f"workload.classes.0.share={1 - long}",
        f"workload.classes.1.share={long}",
        f"workload.lengths.output={_ONE_TOKEN}",
        f"workload.classes.1.lengths.output={_ONE_TOKEN}",
        "workload.num_prompts=1280",
        variant="padded",
    )


def percent(share: Interval) -> Interval:
    """A share in per cent."""
    low, high = (None if one is None else 100 * one for one in (share.low, share.high))
    return Interval(None if share.mean is None else 100 * share.mean, low, high, share.n)


ANSWERS: Mapping[str, Answerer] = {
    "C7": c7, "C8": c8, "C9": c9, "C16": c16, "C17": c17, "C18": c18, "C19": c19, "C20": c20,
}  # fmt: skip
