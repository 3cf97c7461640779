"""The claim on cold starts: KV loaded from an index service, or computed again."""

from collections.abc import Mapping

from sim.audit.claim import Span, Words
from sim.audit.claims.placement import KV_BYTES_67B, KV_BYTES_MLA
from sim.audit.claims.readings import check, context, gpus, own, within
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, value
from sim.deployment import Deployment
from sim.stats import Interval
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from sim.units import NS_PER_MS

COLD_MS = 2300
LONGEST_INPUT = 2048
NO_INDEX = "engine.kv_index=null"


def c38(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """First token of a prompt that no replica has seen."""
    tokens = round(x["tokens"])
    index = f"engine.kv_index={{hit: {x['hit']}, gb_per_s: {x['gb_per_s']}, latency_us: {x['latency_us']}}}"
    computed = first_token_ms(lab, tokens, NO_INDEX)
    first = own(
        "cold",
        "first token of a prompt without the index service",
        "没有索引服务时的首 token 延迟",
        computed,
        "ms",
        within(COLD_MS),
    )
    loaded = first_token_ms(lab, tokens, index)
    with_index = own("warm", "the same with it", "有索引服务时", loaded, "ms", within(150))
    if lab.coarse:
        return Evidence((with_index,))
    plain = lab.deployments("cold-prompt", NO_INDEX)[0]
    together = value(
        lab.evaluate(
            "cold-prompt",
            NO_INDEX,
            *_length(tokens),
            "workload.arrivals={kind: closed_loop, concurrency: 16}",
            "workload.num_prompts=16",
        ),
        "p99_ttft_ms",
    )
    return Evidence(
        (
            with_index,
            first,
            check(
                "tokens", "tokens of a prompt that takes 2.3 s to compute", "计算耗时 2.3 s 的提示长度",
                prompt_of(plain, COLD_MS), "tokens", Span(high=LONGEST_INPUT),
            ),
            context("breaks_even", "bandwidth at which loading takes as long as computing", "加载与重算相等的带宽",
                    _breaks_even(plain, tokens, KV_BYTES_67B), "GB/s"),
            context("r1", "the same for DeepSeek-R1 on eight H200s", "DeepSeek-R1（八卡 H200）的同一带宽",
                    _breaks_even(_r1(lab), tokens, KV_BYTES_MLA), "GB/s"),
            context("burst", "the last of sixteen cold prompts that come together", "同时到达的 16 个冷提示中最慢者",
                    together, "ms"),
            context("weights", "134.85 GB of weights at the same bandwidth", "以同样带宽加载 134.85 GB 权重",
                    134.85 / x["gb_per_s"], "s"),
        ),
        _figure(lab, x),
    )  # fmt: skip


def first_token_ms(lab: Lab, tokens: int, *settings: str) -> Interval:
    """TTFT of prompts of so many tokens that come one at a time."""
    return value(lab.evaluate("cold-prompt", *_length(tokens), *settings), "mean_ttft_ms")


def _length(tokens: int) -> tuple[str, ...]:
    return (f"workload.lengths.input.tokens={tokens}",)


def prefill_ms(one: Deployment, tokens: int) -> float:
    """A prompt by itself, in steps of at most the token budget; prompts longer than the model's context too."""
    budget, total = one.defaults.max_num_batched_tokens, 0
    for done in range(0, tokens, budget):
        new = min(budget, tokens - done)
        total += step_ns(one.cost, StepShape(new, 1, new * done + new * (new + 1) // 2, sampled=1))
    return total / NS_PER_MS


def prompt_of(one: Deployment, ms: float) -> int:
    """The longest prompt whose prefill takes no longer than this."""
    low, high = 1, 1
    while prefill_ms(one, high) <= ms:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if prefill_ms(one, middle) <= ms else (low, middle)
    return low


def _breaks_even(one: Deployment, tokens: int, kv_bytes: int) -> float:
    """GB/s at which the KV of a prompt crosses in the time of its prefill."""
    return tokens * kv_bytes / (prefill_ms(one, tokens) * 1e6)


def _r1(lab: Lab) -> Deployment:
    return lab.deployments("cold-prompt", NO_INDEX, "model=deepseek-r1", "fleet.0.gpu=h200-sxm-141gb", gpus(8))[0]


def _figure(lab: Lab, x: Mapping[str, float]) -> Figure:
    lengths = (128.0, 512.0, 1024.0, 2048.0, 3072.0, 4000.0)
    ways = [("computed", "重算", NO_INDEX)] + [
        (f"loaded at {rate:g} GB/s", f"以 {rate:g} GB/s 加载",
         f"engine.kv_index={{hit: {x['hit']}, gb_per_s: {rate:g}, latency_us: {x['latency_us']}}}")
        for rate in (3.1, 7.0, 50.0)
    ]  # fmt: skip
    return Figure(
        Words(en="First token of a cold prompt", zh="冷提示的首 token 延迟"),
        Words(en="tokens of the prompt", zh="提示的 token 数"),
        Words(en="TTFT, ms", zh="TTFT, ms"),
        tuple(
            Curve(
                Words(en=en, zh=zh),
                lengths,
                [first_token_ms(lab.rough, round(one), setting).mean or 0.0 for one in lengths],
            )
            for en, zh, setting in ways
        ),
    )


ANSWERS: Mapping[str, Answerer] = {"C38": c38}
