"""Claims on communication: all-reduces, replicas, hops."""

from collections.abc import Mapping

import numpy as np

from sim import catalog
from sim.audit.claim import Span, Words
from sim.audit.claims.readings import (
    context,
    decode_ms,
    deployment,
    gpus,
    less_than,
    other,
    own,
    saturated,
    tensor_parallel,
    within,
)
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, quotient, value
from sim.stats import Interval
from sim.steptime.collectives import Group, collective_s
from sim.units import MIB

FREE = "step_time={kind: roofline, all_reduce_us: 0}"
NCCL = "engine.disable_custom_all_reduce=true"
LOSS = Span(low=15, high=20)
H100 = "h100-sxm-80gb"
HIDDEN_BYTES = 8192 * 2
"""Of a token's activations, DeepSeek-LLM-67B in 16 bits."""
HOPS = 190
"""Two a layer, 95 layers."""


def c5(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Throughput that all-reduces cost."""
    size = tensor_parallel(x["gpus"])
    first = own(
        "loss",
        "throughput lost to communication, vLLM's own kernels",
        "通信造成的吞吐量损失（vLLM 自带内核）",
        _loss(lab, x["clients"], size),
        "%",
        LOSS,
    )
    if lab.coarse:
        return Evidence((first,))
    two, four = (saturated(lab, x["clients"], gpus(n)) for n in (2, 4))
    doubling = quotient(four, two, "request_throughput")
    return Evidence(
        (
            first,
            other("nccl", "the same with NCCL only", "仅用 NCCL", _loss(lab, x["clients"], size, NCCL), "%", LOSS),
            other("alone", "the same with one request at a time", "单个请求", _loss(lab, 1, size), "%", LOSS),
            other("eight", "the same on eight GPUs", "八卡", _loss(lab, x["clients"], 8), "%", LOSS),
            context("doubling", "throughput of four GPUs over that of two", "四卡与两卡吞吐量之比", doubling, "x"),
        ),
        _losses(lab.rough, x["clients"]),
    )


def _loss(lab: Lab, clients: float, size: int, *settings: str) -> Interval:
    return less_than(
        saturated(lab, clients, gpus(size), *settings), saturated(lab, clients, gpus(size), FREE), "request_throughput"
    )


def _losses(lab: Lab, clients: float) -> Figure:
    several = sorted({1.0, 16.0, 128.0, float(clients)})
    curves = []
    for size in (2, 4, 8):
        found = [_loss(lab, n, size) for n in several]
        curves.append(Curve(Words(en=f"{size} GPUs", zh=f"{size} 卡"), several, [one.mean or 0.0 for one in found]))
    return Figure(
        Words(en="Throughput lost to all-reduces", zh="All-Reduce 造成的吞吐量损失"),
        Words(en="requests at once", zh="并发请求数"),
        Words(en="loss, %", zh="损失, %"),
        tuple(curves),
        log_x=True,
    )


def c6(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What replicas wait for each other, and what they serve."""
    seven = "model=deepseek-llm-7b"
    apart = saturated(lab, x["clients"], seven, gpus(1), "fleet.0.replicas=4")
    crossing = value(apart, "communication").scaled(100).mean or 0.0
    hop = 100 * 2 * x["hop_ms"] / ((value(apart, "mean_e2el_ms").mean or 0.0) + 2 * x["hop_ms"])
    noticeable = Span(low=1)
    first = own(
        "added",
        "latency that dense replicas spend between nodes: collectives and the router's hop",
        "稠密模型副本花在节点之间的时间占延迟的比例（集合通信与路由跳转）",
        crossing + hop,
        "%",
        noticeable,
    )
    if lab.coarse:
        return Evidence((first,))
    together = saturated(lab, x["clients"], seven, gpus(4))
    ratio = quotient(apart, together, "request_throughput")
    return Evidence(
        (
            first,
            own(
                "kept",
                "throughput of four replicas over that of one on all four GPUs, DeepSeek-LLM-7B",
                "四个单卡副本与一个四卡副本的吞吐量之比（DeepSeek-LLM-7B）",
                ratio,
                "x",
                Span(low=0.95),
            ),
            other(
                "experts",
                "of a decode step of DeepSeek-R1, experts spread over two nodes",
                "DeepSeek-R1 专家分布在两个节点时，占解码步的比例",
                _experts(lab, x["tokens"]),
                "%",
                noticeable,
            ),
            context(
                "tpot", "time an output token, replicas over together", "每 token 时间之比（副本/合并）",
                quotient(apart, together, "mean_tpot_ms"), "x",
            ),
        )
    )  # fmt: skip


def _experts(lab: Lab, tokens: float) -> float:
    """Share of a decode step that dispatch and combine take between two nodes of eight H200s, per cent.

    Each of the 58 mixture layers sends every token's hidden state to eight experts in FP8 and gets them back in 16 bits
    (arXiv:2412.19437, section 3.2), all on the critical path. The rest of the step is that of one node's replica.
    """
    model = catalog.model("deepseek-r1", lab.loaded("saturated").base_dir)
    assert model.moe is not None
    layers = model.layers - model.moe.first_dense_layers
    sent = tokens * model.moe.experts_per_token * model.hidden_size
    group = Group(catalog.gpu("h200-sxm-141gb"), 16)
    ways = (collective_s("all_to_all", np.array([nbytes]), group, graph=True) for nbytes in (sent, 2 * sent))
    exchange_ms = layers * sum(float(one[0]) for one in ways) * 1e3
    replica = deployment(lab, "model=deepseek-r1", "fleet.0.gpu=h200-sxm-141gb", gpus(8))
    step = decode_ms(replica.cost, round(8 * tokens))
    return 100 * exchange_ms / (exchange_ms + step)


def c22(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The all-reduce that takes 120 us, and what would make it 45."""
    size, nbytes = tensor_parallel(x["gpus"]), x["tokens"] * HIDDEN_BYTES
    about = within(x["after"])
    first = own(
        "best",
        "best kernel in a graph, for the message that takes NCCL about 120 us",
        "NCCL 约需 120 μs 的消息，用最快内核",
        all_reduce_us(nbytes, size),
        "us",
        about,
    )
    if lab.coarse:
        return Evidence((first,))
    nccl = all_reduce_us(nbytes, size, custom=False)
    link = catalog.link("nvlink_c2c")
    floor = 2 * (size - 1) / size * nbytes / link.bytes_per_s * 1e6
    slow, fast = (
        saturated(lab, 64, f"step_time={{kind: roofline, all_reduce_us: {us}}}") for us in (x["before"], x["after"])
    )
    return Evidence(
        (
            first,
            own(
                "floor",
                "the same as a ring at the full bandwidth of NVLink-C2C, without any latency",
                "按 NVLink-C2C 全带宽、零延迟的环形算法",
                floor,
                "us",
                about,
            ),
            other(
                "smaller",
                "without a graph, of 1 MiB: vLLM's kernel on eight GPUs (122 us in un-graphed PyTorch)",
                "无 CUDA 图、1 MiB：八卡 vLLM 内核（未入图的 PyTorch 为 122 μs）",
                all_reduce_us(MIB, 8, nccl=False, graph=False),
                "us",
                about,
            ),
            context("nccl", "NCCL for that message", "同一消息的 NCCL 耗时", nccl, "us"),
            context(
                "decode", "all-reduce of 64 decoding requests on four GPUs", "四卡、64 个解码请求的 All-Reduce",
                all_reduce_us(64 * HIDDEN_BYTES, 4), "us",
            ),
            context(
                "saved", "a step from 120 to 45 us, 191 all-reduces", "每步节省（191 次 All-Reduce）",
                191 * (x["before"] - x["after"]) / 1e3, "ms",
            ),
            context(
                "gain", "throughput of 64 clients at 45 us over that at 120 us", "64 个客户端时吞吐量之比",
                quotient(fast, slow, "request_throughput"), "x",
            ),
        )
    )  # fmt: skip


def all_reduce_us(nbytes: float, size: int, *, custom: bool = True, nccl: bool = True, graph: bool = True) -> float:
    """Microseconds of an all-reduce on H100s by the faster of vLLM's kernels (`custom`) and NCCL, or by one of them."""
    message = np.array([float(nbytes)])
    groups = [Group(catalog.gpu(H100), size, custom=allowed) for allowed in (custom, not nccl)]
    return min(float(collective_s("all_reduce", message, one, graph=graph)[0]) for one in groups) * 1e6


def c43(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What hops add to a step, and what RDMA would."""
    whole = decode_ms(deployment(lab).cost, round(x["clients"]))
    first = own(
        "added",
        "what RPC hops of split layers add to a decode step of the GPUs together",
        "拆分各层后 RPC 跳转使解码步增加的比例",
        100 * HOPS * x["hop_us"] / 1e3 / whole,
        "%",
        Span(low=10),
    )
    if lab.coarse:
        return Evidence((first,))
    links = [catalog.link(one) for one in ("nvlink_c2c", "pcie", "nvlink", "rdma", "rpc")]
    return Evidence(
        (
            first,
            context("hops", "the hops of a step", "每步跳转总时间", HOPS * x["hop_us"] / 1e3, "ms"),
            context("whole", "a decode step that is not split", "不拆分的解码步", whole, "ms"),
            context(
                "rdma", "what RDMA hops would add", "换成 RDMA 增加的比例",
                100 * HOPS * catalog.link("rdma").latency_us / 1e3 / whole, "%",
            ),
        ),
        Figure(
            Words(en="Latency of 190 hops a step", zh="每步 190 次跳转的延迟"),
            Words(en="latency of a hop, us", zh="单次跳转延迟, μs"),
            Words(en="added to a decode step, %", zh="解码步增加, %"),
            (
                Curve(
                    Words(en="NVLink-C2C, PCIe, NVLink, RDMA, RPC", zh="NVLink-C2C、PCIe、NVLink、RDMA、RPC"),
                    [one.latency_us for one in links],
                    [100 * HOPS * one.latency_us / 1e3 / whole for one in links],
                    [100 * HOPS * one.low_us / 1e3 / whole for one in links],
                    [100 * HOPS * one.high_us / 1e3 / whole for one in links],
                ),
            ),
            log_x=True,
        ),
    )  # fmt: skip


ANSWERS: Mapping[str, Answerer] = {"C5": c5, "C6": c6, "C22": c22, "C43": c43}
