"""Requests so small that batching alone counts, and settings that answers share."""

from sim.audit.lab import Lab
from sim.result import Outcome, Replication
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation

R1 = ("model=deepseek-r1", "engine.dtype=auto", "fleet.0.gpu=h200-sxm-141gb", "fleet.0.tensor_parallel_size=8")
"""Settings for DeepSeek-R1 as published, on eight H200s."""


def rate_of(rate: float) -> str:
    """The setting for so many requests a second."""
    return f"workload.arrivals.request_rate={rate}"


def milliseconds(key: str, ms: float) -> str:
    """The setting for a time of the batcher."""
    return f"engine.batching.{key}={ms}"


def light(lab: Lab, *settings: str, variant: str | None = None) -> Evaluation:
    """Requests so small that the engine is nearly always free."""
    return lab.evaluate("batch-wait", *settings, variant=variant)


def served(lab: Lab, *settings: str) -> Interval:
    """Per cent of the requests that the pseudo-code serves; the last are left out, for after them nobody comes."""
    run = lab.simulate("batch-wait", *settings, variant="verbatim")
    return t_interval(_share(one) for one in run.replications)


def _share(one: Replication) -> float:
    counted = one.sent_ns < 0.9 * one.sent_ns.max()
    return 100 * float((one.outcome[counted] == Outcome.FINISHED).mean())
