"""Grey release, canary, switch and monitoring: what it takes to see a difference."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from sim import metrics
from sim.audit.claim import Span, Words
from sim.audit.evidence import Curve, Evidence, Figure, Reading, Rests, exact
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, value
from sim.result import Run
from sim.stats import Floats, t_interval
from sim.streams import stream
from sim.units import NS_PER_S
from sim.workload.lengths import read_table

PER_SECOND = 1e6 / 86400
"""The article's million requests a day."""
_LABELS = 25
"""How often the requests of a replication are labelled anew."""


def samples_for_p99(precision: float, relative_density: float) -> float:
    """Independent latencies until the 95 % interval of their P99 reaches +-precision (a share of it).

    A quantile's variance is p (1 - p) / (n f(q)^2) (van der Vaart, Asymptotic Statistics, 1998, 21.2).

    Args:
        precision: half width over the P99.
        relative_density: q f(q), the density at the P99 times the P99.
    """
    return 0.99 * 0.01 * (1.959964 / (precision * relative_density)) ** 2


def lognormal_density(sigma: float) -> float:
    """The density of a lognormal at its P99, times it: phi(z) / sigma."""
    return math.exp(-(float(ndtri(0.99)) ** 2) / 2) / math.sqrt(2 * math.pi) / sigma


EXPONENTIAL_DENSITY = 0.01 * math.log(100)
"""The same of an exponential."""


def c32(_lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Hours of watching."""
    rate, precision = x["share"] / 100 * PER_SECOND * 3600, x["precision"] / 100
    lognormal = samples_for_p99(precision, lognormal_density(x["sigma"])) / rate
    exponential = samples_for_p99(precision, EXPONENTIAL_DENSITY) / rate
    return Evidence(
        (
            _context(
                "hours_lognormal",
                "until the P99 is known, latencies lognormal",
                "P99 可信所需时间（对数正态）",
                lognormal,
                "h",
            ),
            _context("hours_exponential", "the same, latencies exponential", "同上（指数分布）", exponential, "h"),
        )
    )


def c33(_lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How many requests are long."""
    long = 100 * float(np.clip((2048 - x["limit"]) / (2048 - 128 + 1), 0, 1))
    rate = x["share"] / 100 * long / 100 * PER_SECOND * 3600
    hours = samples_for_p99(0.05, lognormal_density(1.0)) / rate if rate else math.inf
    azure = 100 * _share_above("azure2023-conv", x["limit"])
    return Evidence(
        (
            _context(
                "long", "requests that are long, inputs as in the article", "长请求占比（原文的长度范围）", long, "%"
            ),
            _context(
                "azure",
                "the same on the Azure conversation trace of 2023",
                "长请求占比（Azure 2023 对话轨迹）",
                azure,
                "%",
            ),
            _context(
                "hours",
                "until the P99 of that slice of a grey release is known to 5 %",
                "该部分 P99 精确到 5 % 所需时间",
                hours,
                "h",
            ),
        )
    )


def _share_above(table: str, limit: float) -> float:
    """Share of the inputs of a shipped table that are longer than this; uniform within a row's bounds."""
    low, high, _, _, weight = read_table(table, Path()).T
    above = np.clip((high - limit) / (high - low + 1), 0, 1)
    return float((above * weight).sum() / weight.sum())


def c34(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How often the gate stops a system that is identical to itself."""
    run = lab.simulate("million-a-day")
    gaps = [_differences(run, i, x["window"] * 60, x["share"] / 100) for i in range(len(run.replications))]
    alarms = t_interval(100 * float((one > x["gate"] / 100).mean()) for one in gaps)
    words = Words(
        en="windows in which identical systems differ by more than the gate",
        zh="完全相同的系统被判为有波动的时间窗占比",
    )
    first = Reading("alarms", words, Rests.CHECK, alarms, "%", Span(high=5))
    if lab.coarse:
        return Evidence((first,))
    every = np.concatenate(gaps)
    needed = 100 * float(np.quantile(every, 0.95))
    hours = x["window"] / 60 * (needed / x["gate"]) ** 2
    widths = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
    false_alarms = [100 * float((every > width / 100).mean()) for width in widths]
    return Evidence(
        (
            first,
            _context(
                "needed",
                "difference that one identical system in twenty exceeds",
                "二十分之一的相同系统会超过的差异",
                needed,
                "%",
            ),
            _context(
                "hours",
                "window in which that is the gate, if it shrinks as its root",
                "差异缩小到门槛所需的时间窗",
                hours,
                "h",
            ),
        ),
        Figure(
            Words(en="How often the gate stops an identical system", zh="门槛误报的频率"),
            Words(en="difference at which the gate closes, %", zh="门槛, %"),
            Words(en="windows stopped, %", zh="误报的时间窗, %"),
            (Curve(Words(en="window as set", zh="所设时间窗"), widths, false_alarms),),
        ),
    )


def _differences(run: Run, replication: int, window_s: float, share: float) -> Floats:
    """|P99 of new / P99 of old - 1| of every window and labelling (float64[windows x labels])."""
    one = run.replications[replication]
    rows = metrics.finished(one)
    sent_s, latency = one.sent_ns[rows] / NS_PER_S, metrics.e2el(one, rows)
    generator = stream(0, replication, "audit.labels")
    found = []
    for start in np.arange(0.0, float(sent_s.max()) - 0.9 * window_s, window_s):
        inside = latency[(sent_s >= start) & (sent_s < start + window_s)]
        for _ in range(_LABELS):
            new = generator.random(len(inside)) < share
            if new.any() and not new.all():
                found.append(abs(np.percentile(inside[new], 99) / np.percentile(inside[~new], 99) - 1))
    return np.array(found)


def c39(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What load does to the metrics that are to be watched."""
    fragmentation = _context(
        "fragmentation", "KV memory lost to half-filled blocks", "KV 显存碎片", 100 * (x["block"] - 1) / 2 / 1088, "%"
    )
    if lab.coarse:
        return Evidence((fragmentation,))
    few = ("workload.num_prompts=600", "run.replications=3")
    low = lab.evaluate("million-a-day", f"workload.arrivals.request_rate={x['rate']}", *few)
    high = lab.evaluate("million-a-day", f"workload.arrivals.request_rate={20 * x['rate']}", *few)
    told = (
        ("busy_low", "GPUs busy at the low load", "低负载时 GPU 忙碌", low, "busy"),
        ("busy_high", "GPUs busy at twenty times that", "二十倍负载时 GPU 忙碌", high, "busy"),
        ("kv_low", "KV blocks in use at the low load", "低负载时 KV 使用率", low, "kv_cache_usage"),
        ("kv_high", "KV blocks in use at twenty times that", "二十倍负载时 KV 使用率", high, "kv_cache_usage"),
    )
    return Evidence(
        (
            fragmentation,
            *(
                Reading(name, Words(en=en, zh=zh), Rests.CONTEXT, value(run, key).scaled(100), "%")
                for name, en, zh, run, key in told
            ),
            _context("rate", "the low load", "低负载", x["rate"], "requests/s"),
        )
    )


def _context(name: str, en: str, zh: str, number: float, unit: str) -> Reading:
    return Reading(name, Words(en=en, zh=zh), Rests.CONTEXT, exact(number), unit)


ANSWERS: Mapping[str, Answerer] = {"C32": c32, "C33": c33, "C34": c34, "C39": c39}
