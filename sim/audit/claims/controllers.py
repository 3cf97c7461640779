"""The allocator: its state, its actions, its reward, and what it is said to reach."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from sim.audit.claim import Span, Words
from sim.audit.evidence import Evidence, Reading, Rests, exact
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, quotient, value
from sim.fleet.control import Observation
from sim.result import State
from sim.scenario.engine import Engine
from sim.stats import Interval, t_interval
from sim.units import NS_PER_S

_LIMITS = (4, 16, 32, 64, 96)
"""max_num_seqs tried for C29."""
_SUSTAINED = 9.4
"""Requests/s that a replica of four H100s sustains with the article's lengths (scenarios/three-node-failure.yaml)."""


def c27(_lab: Lab, _x: Mapping[str, float]) -> Evidence:
    """What controllers look at."""
    seen = len(fields(Observation)) - 1  # the time is no feature
    return Evidence(
        (
            _reading("named", "features that the article names, of twelve", "原文点名的特征", exact(4), "features"),
            _reading(
                "seen",
                "features that the simulator's controllers see",
                "仿真器控制器所见的特征",
                exact(seen),
                "features",
            ),
        )
    )


def c28(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How long a change of parallelism takes, and which knobs there are."""
    run = lab.simulate("restart")
    times = [float(one.timeline.time_ns[one.timeline.state == State.READY][0]) / NS_PER_S for one in run.replications]
    dynamic = Span(high=x["limit"])
    knobs = sum(any(word in name for word in ("wait", "timeout", "padding")) for name in Engine.model_fields)
    return Evidence(
        (
            _reading(
                "restart",
                "another parallelism: the engine starts again",
                "改变并行度：引擎重启",
                t_interval(times),
                "s",
                Rests.OWN,
                dynamic,
            ),
            _reading(
                "padded",
                "another time-out or padding, in an engine that pads",
                "在做填充的引擎中改变超时或填充策略",
                exact(0),
                "s",
                Rests.OTHER,
                dynamic,
            ),
            _reading("knobs", "the three knobs among vLLM's flags", "vLLM 参数中具备的旋钮", exact(knobs), "knobs"),
            _reading("limit", "what counts as dynamic", "算作动态的界限", exact(x["limit"]), "s"),
        )
    )


def c29(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """How many settings some weighting makes the best."""
    runs = [
        lab.evaluate("batch-limits", f"engine.max_num_seqs={n}", f"workload.arrivals.concurrency={round(x['users'])}")
        for n in _LIMITS
    ]
    rates = [value(run, "request_throughput") for run in runs]
    latencies = [value(run, "p99_e2el_ms").scaled(0.001) for run in runs]
    fast = np.array([one.mean for one in rates], dtype=np.float64)
    slow = np.array([one.mean for one in latencies], dtype=np.float64)
    weights = np.linspace(0, 1, 101)[:, None]
    best = (weights * fast / fast.max() + (1 - weights) * slow.min() / slow).argmax(axis=1)
    first = _reading(
        "designs",
        "settings that are the best for some weighting",
        "在某种权重下最优的设置数",
        exact(len(set(best.tolist()))),
        "designs",
    )
    return Evidence(
        (
            first,
            _reading("slow", "requests/s where only latency counts", "只看延迟时的吞吐", rates[best[0]], "requests/s"),
            _reading("slow_p99", "its P99 of E2EL", "其 E2EL 的 P99", latencies[best[0]], "s"),
            _reading(
                "fast", "requests/s where only throughput counts", "只看吞吐时的吞吐", rates[best[-1]], "requests/s"
            ),
            _reading("fast_p99", "its P99 of E2EL", "其 E2EL 的 P99", latencies[best[-1]], "s"),
        )
    )


def c30(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Utilisations of a fleet that is scaled, over those of one that is not."""
    swing = f"workload.arrivals.peak_to_mean={x['swing']}"
    fixed = lab.evaluate("scaled-day", swing)
    scaled = lab.evaluate("scaled-day", swing, f"autoscalers.0.target={x['target']}", variant="scaled")
    claimed = Span(low=1.226, high=1.498)
    readings = [
        _reading(name, en, zh, quotient(*pair, key), "x", Rests.OTHER, claimed)
        for name, en, zh, key, pair in (
            ("paid", "work a GPU hour that is paid for", "每付费 GPU 小时的工作", "gpu_hours", (fixed, scaled)),
            ("mfu", "model FLOPs utilisation", "MFU", "mfu", (scaled, fixed)),
            ("hbm", "HBM bandwidth", "HBM 带宽", "hbm_utilisation", (scaled, fixed)),
            ("kv", "KV blocks in use", "KV 块使用率", "kv_cache_usage", (scaled, fixed)),
            ("busy", "time in which GPUs are busy", "GPU 忙碌时间", "busy", (scaled, fixed)),
        )
    ]
    return Evidence(tuple(readings[:1] if lab.coarse else readings))


def c31(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Three latencies at the load of C30."""
    run = lab.evaluate(
        "million-a-day",
        f"workload.arrivals.request_rate={2 * _SUSTAINED * x['load'] / 100}",
        f"workload.lengths.output.mean_tokens={x['output']}",
        f"workload.lengths.output.std_tokens={x['output'] / 2}",
        "workload.num_prompts=4000",
    )
    limit = Span(high=300)
    return Evidence(
        (
            _reading(
                "e2el",
                "P99 of E2EL, the whole answer",
                "E2EL 的 P99",
                value(run, "p99_e2el_ms"),
                "ms",
                Rests.OWN,
                limit,
            ),
            _reading("ttft", "P99 of TTFT", "TTFT 的 P99", value(run, "p99_ttft_ms"), "ms", Rests.OTHER, limit),
            _reading("itl", "P99 of ITL", "ITL 的 P99", value(run, "p99_itl_ms"), "ms", Rests.OTHER, limit),
        )
    )


def _reading(
    name: str, en: str, zh: str, ours: Interval, unit: str, rests: Rests = Rests.CONTEXT, claimed: Span | None = None
) -> Reading:
    return Reading(name, Words(en=en, zh=zh), rests, ours, unit, claimed)


ANSWERS: Mapping[str, Answerer] = {"C27": c27, "C28": c28, "C29": c29, "C30": c30, "C31": c31}
