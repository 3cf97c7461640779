"""Claims on quantisation: memory as planned, speed as simulated, accuracy as published."""

from collections.abc import Mapping
from statistics import fmean

from sim import catalog
from sim.audit.claim import Span
from sim.audit.claims.memory import MEAN_TOKENS, fewest
from sim.audit.claims.readings import (
    context,
    deployment,
    gpus,
    other,
    own,
    precision,
    quantised,
    saturated,
    within,
)
from sim.audit.evidence import Evidence, Reading
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, quotient
from sim.catalog.types import Layout
from sim.kvbytes import kv_block_bytes
from sim.scenario.engine import Engine
from sim.weights import weight_bytes

SAVED = within(75)
CARDS = {8: "llama-3.1-8b-instruct-w4a16", 70: "llama-3.1-70b-instruct-w4a16"}
"""Published accuracies by billions of parameters."""


def c36(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Memory that quantised weights save."""
    model = deployment(lab).model
    whole, small = (weight_bytes(model, Layout(), Engine(quantization=one), 0) for one in (None, precision(x["bits"])))
    kv = x["sequences"] * MEAN_TOKENS * kv_block_bytes(model, Layout(), "bfloat16", 1, range(model.layers))
    first = own(
        "occupied",
        "memory occupied: weights and the KV cache of a batch",
        "占用的显存：权重加一个批的 KV 缓存",
        100 * (whole - small) / (whole + kv),
        "%",
        SAVED,
    )
    if lab.coarse:
        return Evidence((first,))
    more = quantised(x["bits"])
    needed, fewer = (fewest(lab, x["sequences"], *settings) for settings in ((), more))
    return Evidence(
        (
            first,
            other("weights", "weights alone", "仅权重", 100 * (1 - small / whole), "%", SAVED),
            other(
                "cards",
                "H100s needed for the batch",
                "容纳该批所需 H100 数",
                100 * (1 - fewer / needed),
                "%",
                SAVED,
            ),
            context("gigabytes", "weights then", "量化后的权重", small / 1e9, "GB"),
            context("before", "H100s in 16 bits", "16 位时的 H100 数", needed, "GPUs"),
            context("after", "H100s then", "量化后的 H100 数", fewer, "GPUs"),
            *_speeds(lab, x["sequences"], fewer, more),
        )
    )


def _speeds(lab: Lab, sequences: float, fewer: int, more: tuple[str, ...]) -> tuple[Reading, ...]:
    """Throughput a GPU and time a token, quantised over 16 bits on four H100s."""
    four = saturated(lab, sequences, rounds=2)
    few = saturated(lab, sequences, gpus(fewer), *more, rounds=2)
    rate = quotient(few, four, "request_throughput").scaled(4 / fewer)
    token = quotient(few, four, "mean_tpot_ms")
    w8a8 = saturated(lab, sequences, *quantised(8), rounds=2)
    return (
        context("a_gpu", "throughput a GPU, over 16 bits on four", "每 GPU 吞吐量之比（对四卡 16 位）", rate, "x"),
        context("token", "time an output token, likewise", "每 token 时间之比", token, "x"),
        context(
            "w8a8",
            "throughput of W8A8 on four, over 16 bits",
            "四卡 W8A8 吞吐量之比",
            quotient(w8a8, four, "request_throughput"),
            "x",
        ),
    )


def c37(_lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Published accuracy; nothing is simulated."""
    card = CARDS[min(CARDS, key=lambda billions: abs(billions - x["billions"]))]
    lost = {suite: 100 - percent for suite, percent in catalog.accuracy(card).recovery_percent.items()}
    limit = Span(high=x["limit"])
    return Evidence(
        (
            own(
                "worst",
                "largest loss over the published suites",
                "已发布测试集中的最大损失",
                max(lost.values()),
                "%",
                limit,
            ),
            other("mean", "mean loss over them", "平均损失", fmean(lost.values()), "%", limit),
            other("older", "loss on OpenLLM v1", "OpenLLM v1 上的损失", lost["openllm-v1"], "%", limit),
            context("newer", "loss on OpenLLM v2", "OpenLLM v2 上的损失", lost["openllm-v2"], "%"),
        )
    )


ANSWERS: Mapping[str, Answerer] = {"C36": c36, "C37": c37}
