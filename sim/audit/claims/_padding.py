"""What padding costs: memory that holds nothing, and computation."""

from collections.abc import Mapping

from sim.audit.claims._light import R1, rate_of
from sim.audit.claims.readings import context, other, own, saturated, within
from sim.audit.evidence import Evidence
from sim.audit.lab import Lab, difference, value
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation

_CLIENTS = 64
"""Enough to keep batches of 32 full."""
_ONE_TOKEN = "{kind: fixed, tokens: 1}"


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
            context(
                "r1",
                "the same of DeepSeek-R1 on eight H200s, at 0.9",
                "DeepSeek-R1（八张 H200，利用率上限 0.9）的同一比例",
                percent(value(lab.evaluate("batching", settings[0], *R1), "hbm_unused")),
                "%",
            ),
        )
    )


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
