"""Short ways to say what many answers say."""

from typing import Literal

from sim.audit.claim import Span, Words
from sim.audit.evidence import Reading, Rests, exact
from sim.audit.lab import Lab
from sim.deployment import Deployment
from sim.stats import Interval, t_interval
from sim.steptime.cost import StepCost, step_ns
from sim.steptime.shape import StepShape
from sim.study.evaluation import Evaluation
from sim.units import NS_PER_MS


def own(name: str, en: str, zh: str, ours: float | Interval, unit: str, claimed: Span) -> Reading:
    """A reading under the article's own definition and setting."""
    return Reading(name, Words(en=en, zh=zh), Rests.OWN, _interval(ours), unit, claimed)


def other(name: str, en: str, zh: str, ours: float | Interval, unit: str, claimed: Span) -> Reading:
    """A reading under a definition or setting that the article leaves out."""
    return Reading(name, Words(en=en, zh=zh), Rests.OTHER, _interval(ours), unit, claimed)


def check(name: str, en: str, zh: str, ours: float | Interval, unit: str, claimed: Span) -> Reading:
    """The article's numbers held against each other."""
    return Reading(name, Words(en=en, zh=zh), Rests.CHECK, _interval(ours), unit, claimed)


def context(name: str, en: str, zh: str, ours: float | Interval, unit: str) -> Reading:
    """A number of which nothing is claimed."""
    return Reading(name, Words(en=en, zh=zh), Rests.CONTEXT, _interval(ours), unit)


def less_than(a: Evaluation, b: Evaluation, key: str) -> Interval:
    """By how many per cent a number of design a falls below b's, by replication over common random numbers."""
    pairs = zip(a.replications, b.replications, strict=True)
    return t_interval(100 * (1 - _number(one, key) / _number(two, key)) for one, two in pairs)


def saturated(lab: Lab, clients: float, *settings: str, rounds: int = 4) -> Evaluation:
    """The article's requests on one replica that so many clients keep busy; each client sends `rounds` on average."""
    n = max(round(clients), 1)
    return lab.evaluate(
        "saturated",
        f"workload.arrivals.concurrency={n}",
        f"workload.num_prompts={max(rounds * n, 16)}",
        *settings,
    )


def deployment(lab: Lab, *settings: str) -> Deployment:
    """What that replica is."""
    return lab.deployments("saturated", *settings)[0]


def decode_ms(cost: StepCost, requests: int, context_tokens: int = 1216) -> float:
    """A decode-only step of so many requests; their context is half-way through the article's mean answer."""
    shape = StepShape(decode_seqs=requests, context_tokens=requests * context_tokens, sampled=requests)
    return step_ns(cost, shape) / NS_PER_MS


def tensor_parallel(gpus: float) -> int:
    """The largest usual group of no more than so many GPUs."""
    return max(size for size in (1, 2, 4, 8) if size <= max(gpus, 1))


def gpus(count: int) -> str:
    """The setting for so many GPUs a replica."""
    return f"fleet.0.tensor_parallel_size={count}"


def precision(bits: float) -> Literal["int8", "int4"] | None:
    """The weights' quantisation whose bits are nearest; None for 16."""
    return None if bits > 12 else "int8" if bits > 6 else "int4"


def quantised(bits: float) -> tuple[str, ...]:
    """The setting for it."""
    found = precision(bits)
    return () if found is None else (f"engine.quantization={found}",)


def _number(measures: dict[str, float | None], key: str) -> float:
    number = measures[key]
    if number is None:
        raise ValueError(f"{key} is unknown in a replication")
    return number


def _interval(ours: float | Interval) -> Interval:
    return ours if isinstance(ours, Interval) else exact(ours)


def within(value: float, share: float = 0.1) -> Span:
    """What "about" so much means: within 10 %."""
    return Span(low=value * (1 - share), high=value * (1 + share))
