"""Claims on memory: what fits on how many GPUs."""

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from pathlib import Path

from sim import catalog
from sim.audit.claim import Span, Words
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
from sim.audit.evidence import Curve, Evidence, Figure, exact
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, value
from sim.catalog.types import Layout
from sim.deployment import Deployment
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.units import GIB
from sim.weights import weight_bytes

KV_BYTES_PER_ROOT = 47_500
"""KV bytes a token in 16 bits over the square root of billions of parameters, of models with grouped queries:
Llama-3.1-8B 131,072, Qwen3-32B 262,144, DeepSeek-LLM-67B 389,120 (46,200, 45,800 and 47,400)."""
OVERHEAD_GIB = 3.0
"""Activations, CUDA graphs and NCCL a GPU, as the audit's arithmetic takes them."""
UTILISATION = 0.9
CONTEXT = 2048
"""The longest input in the article."""
MEAN_TOKENS = 1344
"""An average request of the article: 1,088 in, 256 out."""


def c2(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The largest model that one GPU serves."""
    largest = largest_model(x["memory"], x["sequences"], x["bytes"])
    first = own(
        "largest",
        "largest dense model that one GPU serves with that many sequences",
        "单卡能以给定并发服务的最大稠密模型",
        largest,
        "B parameters",
        within(10),
    )
    if lab.coarse:
        return Evidence((first,))
    small = deployment(lab, "model=deepseek-r1-distill-qwen-14b", gpus(1))
    memories = (24.0, 40.0, 48.0, 79.1, 96.0, 140.0)
    return Evidence(
        (
            first,
            context(
                "fourteen",
                "sequences of 2,048 tokens beside a 14B model on one H100",
                "单张 H100 上 14B 模型可容纳的 2048 token 序列数",
                small.memory.kv_tokens // CONTEXT,
                "sequences",
            ),
            context(
                "smallest_card",
                "memory at which 10 B are the limit",
                "10B 成为上限时的单卡显存",
                _memory_for(10, x["sequences"], x["bytes"]),
                "GiB",
            ),
        ),
        Figure(
            Words(en="Largest model on one GPU", zh="单卡可服务的最大模型"),
            Words(en="memory of the GPU, GiB", zh="单卡显存, GiB"),
            Words(en="parameters, B", zh="参数量, B"),
            (
                Curve(
                    Words(en="weights as set", zh="所设权重精度"),
                    memories,
                    [largest_model(one, x["sequences"], x["bytes"]) for one in memories],
                ),
            ),
        ),
    )


def largest_model(memory_gib: float, sequences: float, bytes_per_weight: float) -> float:
    """Billions of parameters whose weights fit beside the KV cache of so many sequences of CONTEXT tokens.

    Solves p bytes + k sqrt(p) = room for sqrt(p).
    """
    room = max(memory_gib * UTILISATION - OVERHEAD_GIB, 0.0) * GIB
    kv = sequences * CONTEXT * KV_BYTES_PER_ROOT
    weights = 1e9 * bytes_per_weight
    return float(((sqrt(kv**2 + 4 * weights * room) - kv) / (2 * weights)) ** 2)


def _memory_for(billions: float, sequences: float, bytes_per_weight: float) -> float:
    needed = billions * 1e9 * bytes_per_weight + sequences * CONTEXT * KV_BYTES_PER_ROOT * sqrt(billions)
    return (needed / GIB + OVERHEAD_GIB) / UTILISATION


def c3(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Bytes of the weights."""
    engine = Engine(quantization=precision(x["bits"]))
    model = replace(catalog.model("deepseek-llm-67b", Path()), layers=round(x["layers"]))
    weights = weight_bytes(model, Layout(), engine, 0) / 1e9
    first = own("weights", "weights of DeepSeek-LLM-67B", "DeepSeek-LLM-67B 的权重", weights, "GB", within(134))
    if lab.coarse:
        return Evidence((first,))
    r1 = catalog.model("deepseek-r1", Path())
    return Evidence(
        (
            first,
            context("gib", "the same in GiB", "同上，以 GiB 计", weights * 1e9 / GIB, "GiB"),
            context(
                "r1",
                "weights of DeepSeek-R1, FP8 as published",
                "DeepSeek-R1（FP8）的权重",
                weight_bytes(r1, Layout(), Engine(), 0) / 1e9,
                "GB",
            ),
        )
    )


def c4(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How many H100s it takes: to hold it, and to serve."""
    memory = (f"engine.gpu_memory_utilization={x['utilisation']}", *quantised(x["bits"]))
    hold, serve = fewest(lab, 0, *memory), fewest(lab, x["sequences"], *memory)
    first = own(
        "hold",
        "H100s that hold it with one request",
        "能装下模型和一个请求的 H100 数",
        hold,
        "GPUs",
        Span(low=4, high=4),
    )
    if lab.coarse:
        return Evidence((first,))
    room, preempted, rate = {}, {}, {}
    for size in (2, 4):
        found = _fits(lab, *memory, gpus(size))
        room[size], preempted[size], rate[size] = 0.0, exact(0), exact(0)  # of a group that does not start
        if found is not None:
            served = saturated(lab, x["sequences"], *memory, gpus(size))
            room[size] = found.memory.kv_tokens / MEAN_TOKENS
            preempted[size], rate[size] = value(served, "preemptions"), value(served, "request_throughput")
    readings = (
        first,
        other(
            "serve",
            "H100s that serve so many average requests at once",
            "能同时服务给定数量平均请求的 H100 数",
            serve,
            "GPUs",
            Span(low=4, high=4),
        ),
        context("room_two", "average requests that fit on two", "两卡可容纳的平均请求数", room[2], "requests"),
        context("room_four", "the same on four", "四卡可容纳的平均请求数", room[4], "requests"),
        context(
            "preempted",
            "preemptions on two, by that many clients",
            "两卡时的抢占次数",
            preempted[2],
            "preemptions",
        ),
        context("rate_two", "throughput of two", "两卡吞吐量", rate[2], "requests/s"),
        context("rate_four", "throughput of four", "四卡吞吐量", rate[4], "requests/s"),
    )
    return Evidence(readings)


def fewest(lab: Lab, sequences: float, *settings: str) -> int:
    """H100s of the smallest tensor-parallel group that starts and whose KV cache holds so many average requests."""
    for size in (1, 2, 4, 8):
        found = _fits(lab, *settings, gpus(size))
        if found is not None and found.memory.kv_tokens >= sequences * MEAN_TOKENS:
            return size
    return 16


def _fits(lab: Lab, *settings: str) -> Deployment | None:
    try:
        return deployment(lab, *settings)
    except InputError:
        return None


ANSWERS: Mapping[str, Answerer] = {"C2": c2, "C3": c3, "C4": c4}
