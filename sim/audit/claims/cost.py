"""What a million requests a day cost, and by how much that can fall."""

import math
from collections.abc import Mapping

from sim.audit.claim import Span, Words
from sim.audit.claims._corners import c1
from sim.audit.claims.readings import check, context, other, within
from sim.audit.evidence import Curve, Evidence, Figure, Reading
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, value
from sim.billing import usd_per_gpu_hour
from sim.scenario.scenario import Scenario
from sim.stats import CONFIDENCE
from sim.study.verdict import keeps

BEFORE, AFTER = 12_000.0, 3_800.0
"""USD a day, the article's."""
PER_SECOND = 1e6 / 86400
TENSOR_PARALLEL = 4
INPUT_TOKENS = 1088
_TRAFFIC_S = 180
_LONGEST = 2000
"""An answer's tokens, so that the longest prompt of 2,048 and it fit the model's 4,096."""
_LENGTHS = (128, 256, 512, 768)
_MOST = 64
"""Replicas that are tried."""
_API_INPUT, _API_OUTPUT = 0.55, 2.19
"""USD a million tokens of DeepSeek-R1 by its own API: the list price of 2025-02 (input not in the cache)."""


def c40(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The cheapest fleet of H100s for the article's traffic, and one that batches as the article says vLLM does."""
    rate, spare = x["peak"] * PER_SECOND, round(x["spare"])
    replica = 24 * TENSOR_PARALLEL * x["price"]
    needed = fewest(lab, rate, x["output"])
    fleet = (needed + spare) * replica
    first = other(
        "fleet",
        "cheapest fleet of H100s in 16 bits that keeps the SLO at the peak, spare replicas included",
        "在峰值满足 SLO 的最便宜 H100 集群（16 位，含冗余）",
        fleet,
        "USD/day",
        Span(high=AFTER),
    )
    if lab.coarse:
        return Evidence((first,))
    slow = value(lab.evaluate("peak-hour", *_answers(x["output"]), variant="static"), "request_throughput").mean
    assert slow
    padded = math.ceil(rate / slow)
    start = (padded + spare) * replica
    return Evidence(
        (
            first,
            other(
                "start",
                "the same with static batches of 32, no SLO asked",
                "同样流量改用 32 的静态批处理（不要求 SLO）",
                start,
                "USD/day",
                within(BEFORE),
            ),
            other(
                "saved",
                "saving of the one over the other",
                "前者相对后者的节省",
                100 * (1 - fleet / start),
                "%",
                within(100 * (1 - AFTER / BEFORE)),
            ),
            *_told(lab, x, needed + spare, rate),
        ),
        _figure(lab, rate, spare, replica),
    )


def fewest(lab: Lab, rate: float, output: float) -> int:
    """Replicas of four H100s that keep the SLO at so many requests a second; searched from an estimate."""
    number = max(math.ceil(rate * (100 + output) / 3000), 1)
    while number < _MOST and not _enough(lab, rate, output, number):
        number += 1
    while number > 1 and _enough(lab, rate, output, number - 1):
        number -= 1
    return number


def _enough(lab: Lab, rate: float, output: float, replicas: int) -> bool:
    settings = (
        f"workload.arrivals.request_rate={rate}",
        f"workload.num_prompts={round(rate * _TRAFFIC_S)}",
        f"fleet.0.replicas={replicas}",
        *_answers(output),
    )
    return keeps(lab.evaluate("peak-hour", *settings), lab.loaded("peak-hour", *settings).scenario, CONFIDENCE)


def _answers(output: float) -> tuple[str, ...]:
    lengths = {"mean_tokens": output, "std_tokens": output / 2, "max_tokens": min(round(4 * output), _LONGEST)}
    return tuple(f"workload.lengths.output.{key}={number}" for key, number in lengths.items())


def _told(lab: Lab, x: Mapping[str, float], replicas: int, rate: float) -> tuple[Reading, ...]:
    a_day = 24 * x["price"]
    return (
        context("cards", "H100s of that fleet", "该集群的 H100 数", TENSOR_PARALLEL * replicas, "GPUs"),
        context("after", "H100s that $3,800 a day pay", "每天 3,800 美元可租的 H100 数", AFTER / a_day, "GPUs"),
        context("before", "H100s that $12,000 a day pay", "每天 12,000 美元可租的 H100 数", BEFORE / a_day, "GPUs"),
        context(
            "binds",
            "mean answer up to which $3,800 a day suffice",
            "每天 3,800 美元够用的最大平均输出长度",
            longest(lab.rough, rate, math.floor(AFTER / a_day / TENSOR_PARALLEL) - round(x["spare"])),
            "tokens",
        ),
        context(
            "api",
            "the same tokens from DeepSeek-R1's API at its list price",
            "按 DeepSeek-R1 API 标价购买同样的 token",
            _API_INPUT * INPUT_TOKENS + _API_OUTPUT * x["output"],
            "USD/day",
        ),
    )


def longest(lab: Lab, rate: float, replicas: int) -> int:
    """Mean answer in tokens, to 16 of them, that so many replicas serve within the SLO; 0 if none, 1,024 at most."""
    enough, too_long = 0, 65
    while replicas > 0 and too_long - enough > 1:
        middle = (enough + too_long) // 2
        if _enough(lab, rate, 16.0 * middle, replicas):
            enough = middle
        else:
            too_long = middle
    return 16 * enough


def _figure(lab: Lab, rate: float, spare: int, replica: float) -> Figure:
    """Cost over the length of the answers, by one replication."""
    costs = [(fewest(lab.rough, rate, length) + spare) * replica for length in _LENGTHS]
    return Figure(
        Words(en="What a million requests a day cost", zh="每天一百万请求的成本"),
        Words(en="mean answer, tokens", zh="平均输出长度, token"),
        Words(en="USD a day", zh="美元/天"),
        (
            Curve(Words(en="cheapest fleet of H100s", zh="最便宜的 H100 集群"), _LENGTHS, costs),
            Curve(Words(en="the article's $3,800", zh="原文的 3,800 美元"), _LENGTHS, [AFTER] * len(_LENGTHS)),
        ),
    )


def c44(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """The article's own numbers: its one case, and the product of its parts."""
    product = (1 - x["spot"] / 100) * (1 - x["quantised"] / 100) * x["idle"]
    case = x["before"] / x["after"]
    return Evidence(
        (
            check("case", "fall of the article's case", "原文案例的成本下降倍数", case, "x", Span(low=9)),
            context(
                "product",
                "Spot, INT4 and utilisation multiplied, if each cut the whole bill",
                "Spot、INT4 与利用率相乘（假定各自作用于全部成本）",
                1 / product,
                "x",
            ),
            context("then", "what the case would cost then", "按此计算的案例成本", x["before"] * product, "USD/day"),
            context(
                "missing",
                "of that, how many times the case falls short",
                "案例与之相差的倍数",
                x["after"] / (x["before"] * product),
                "x",
            ),
            context(
                "designed",
                "how many times less than its start the audit's own alternative costs",
                "本审计设计的方案相对其起点的成本下降倍数",
                x["before"] / _listed(lab.loaded("alternative").scenario),
                "x",
            ),
        )
    )


def _listed(scenario: Scenario) -> float:
    """List price of a fleet as it stands, USD a day."""
    hours = ((one.replicas * one.tensor_parallel_size, usd_per_gpu_hour(one)) for one in scenario.fleet)
    return 24 * sum(gpus * usd for gpus, usd in hours if usd is not None)


ANSWERS: Mapping[str, Answerer] = {"C1": c1, "C40": c40, "C44": c44}
