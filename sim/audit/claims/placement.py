"""Claims on the placement of attention and linear layers."""

from collections.abc import Mapping

from sim.audit.claim import Span, Words
from sim.audit.claims.readings import context, decode_ms, deployment, gpus, other, own, saturated
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, quotient, value
from sim.deployment import Deployment
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from sim.units import NS_PER_S

BETTER = Span(low=1)
KV_BYTES_67B = 2 * 95 * 8 * 128 * 2
KV_BYTES_MLA = 61 * (512 + 64) * 2
"""KV bytes a token in 16 bits: DeepSeek-LLM-67B with eight KV heads, DeepSeek-V3 and R1 with a latent."""
THREE_TIMES = Span(low=2.7)


def split(part: str, device: str, count: float, hop_us: float) -> str:
    """The setting that puts a part of the model on other devices."""
    return (
        f"step_time={{kind: split, offloaded: {part}, device: {device}, count: {max(round(count), 1)}, "
        f"link: rdma, hop_us: {hop_us}}}"
    )


def c21(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Throughput of the GPUs with a part of the model elsewhere, over that of the same GPUs with all of it."""
    clients = x["clients"]
    four = saturated(lab, clients, gpus(4), rounds=2)
    article = saturated(lab, clients, gpus(4), split("linear", "cpu-ddr5-600", x["cpus"], x["hop_us"]), rounds=2)
    first = own(
        "article",
        "linear layers on CPU nodes, over four H100s by themselves",
        "线性层放到 CPU 节点，与四张 H100 独立运行的吞吐量之比",
        quotient(article, four, "request_throughput"),
        "x",
        BETTER,
    )
    if lab.coarse:
        return Evidence((first,))
    two = saturated(lab, clients, gpus(2), rounds=2)
    attention = [split("attention", "memory-node", n, x["hop_us"]) for n in (2, 4)]
    scarce = saturated(lab, clients, gpus(2), attention[0], rounds=2)
    ample = saturated(lab, clients, gpus(4), attention[1], rounds=2)
    return Evidence(
        (
            first,
            other(
                "scarce",
                "roles reversed: attention on two memory nodes, over two H100s by themselves",
                "角色互换：注意力放到两个内存节点，与两张 H100 独立运行之比",
                quotient(scarce, two, "request_throughput"),
                "x",
                BETTER,
            ),
            other(
                "ample",
                "the same with four memory nodes and four H100s, which have room for KV",
                "四个内存节点与四张 H100（KV 空间充足）",
                quotient(ample, four, "request_throughput"),
                "x",
                BETTER,
            ),
            context(
                "instead",
                "two memory nodes beside two H100s, over four H100s",
                "两张 H100 加两个内存节点，与四张 H100 之比",
                quotient(scarce, four, "request_throughput"),
                "x",
            ),
        )
    )


def c23(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Decode steps with the linear layers elsewhere."""
    requests = max(round(x["clients"]), 1)
    together = deployment(lab)
    whole = decode_ms(together.cost, requests)
    apart = deployment(lab, split("linear", "cpu-ddr5-600", x["cpus"], x["hop_us"]))
    first = own(
        "slower",
        "decode step with linear layers on CPU nodes, over that of four H100s",
        "线性层放到 CPU 节点时的解码步，与四张 H100 之比",
        decode_ms(apart.cost, requests) / whole,
        "x",
        Span(high=1),
    )
    if lab.coarse:
        return Evidence((first,))
    nvme = deployment(lab, split("linear", "nvme-8", x["cpus"], x["hop_us"]))
    steps = {name: decode_ms(one.cost, 1) for name, one in (("gpus", together), ("cpu", apart), ("nvme", nvme))}
    several = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    ratios = [
        decode_ms(deployment(lab, split("linear", "cpu-ddr5-600", n, x["hop_us"])).cost, requests) / whole
        for n in several
    ]
    return Evidence(
        (
            first,
            own(
                "nvme",
                "the same with weights read from eight NVMe drives a node",
                "权重从每节点八块 NVMe 读取时",
                decode_ms(nvme.cost, requests) / whole,
                "x",
                Span(high=1),
            ),
            context("gpus", "decode step of one request, four H100s", "单请求解码步，四张 H100", steps["gpus"], "ms"),
            context("cpu", "the same, CPU nodes", "同上，CPU 节点", steps["cpu"], "ms"),
            context("drives", "the same, NVMe", "同上，NVMe", steps["nvme"], "ms"),
            context("prefill_gpus", "prefill of 8,192 tokens, four H100s", "预填充 8192 token，四张 H100",
                    _prefill_s(together), "s"),
            context("prefill_cpu", "the same, CPU nodes", "同上，CPU 节点", _prefill_s(apart), "s"),
        ),
        Figure(
            Words(en="Decode step with linear layers on CPU nodes", zh="线性层在 CPU 节点上的解码步"),
            Words(en="CPU nodes of 600 GB/s", zh="CPU 节点数（600 GB/s）"),
            Words(en="over four H100s", zh="与四张 H100 之比"),
            (Curve(Words(en="requests as set", zh="所设请求数"), several, ratios),),
            log_x=True,
        ),
    )  # fmt: skip


def _prefill_s(one: Deployment, tokens: int = 8192) -> float:
    """A step with so many tokens of a prompt."""
    shape = StepShape(tokens, 1, tokens * (tokens + 1) // 2, sampled=1)
    return step_ns(one.cost, shape) / NS_PER_S


def c24(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How much faster the KV cache can be read at all."""
    first = own(
        "ceiling",
        "most that reads of the KV cache can gain: all of the HBM bandwidth, and fewer bytes",
        "KV 读取最多能提高的倍数：用满 HBM 带宽，以及减少字节数",
        100 / x["attained"] * 16 / x["bits"],
        "x",
        THREE_TIMES,
    )
    if lab.coarse:
        return Evidence((first,))
    plain, eight = (deployment(lab, *more) for more in ((), ("engine.kv_cache_dtype=fp8",)))
    slopes = [float(one.cost.attention_slope_fs[1, 0]) for one in (plain, eight)]
    hbm = plain.gpu.hbm_bytes_per_s * plain.layout.gpus
    slow = saturated(lab, x["clients"])
    fast = saturated(lab, x["clients"], "step_time={kind: roofline, kv_read_speedup: 3}")
    return Evidence(
        (
            first,
            context(
                "attained",
                "share of the HBM bandwidth at which the model of decode reads KV",
                "解码模型读取 KV 时达到的 HBM 带宽比例",
                100 * KV_BYTES_67B / (slopes[0] * 1e-15) / hbm,
                "%",
            ),
            context("eight_bit", "what KV in FP8 gains", "KV 用 FP8 的倍数", slopes[0] / slopes[1], "x"),
            context(
                "latent",
                "KV bytes a token, DeepSeek-67B over R1's latents",
                "每 token KV 字节数之比（67B/R1）",
                KV_BYTES_67B / KV_BYTES_MLA,
                "x",
            ),
            context(
                "throughput",
                "throughput if KV reads were three times as fast",
                "若 KV 读取快三倍，吞吐量之比",
                quotient(fast, slow, "request_throughput"),
                "x",
            ),
            context(
                "usage", "mean use of the KV blocks then", "此时 KV 块的平均使用率",
                value(slow, "kv_cache_usage").scaled(100), "%",
            ),
        )
    )  # fmt: skip


ANSWERS: Mapping[str, Answerer] = {"C21": c21, "C23": c23, "C24": c24}
