"""The highest rate at which a design keeps its SLO, with its interval.

Each replication has a rate of its own up to which it keeps the SLO: the share of good requests of every class, and the
availability, reach what is asked. That rate is found by bisection. All replications are simulated at every rate that
one of them asks for, with the same random streams (common random numbers: arrivals come closer together, nothing else
changes), so what one learns narrows the others too. The capacity is the mean of the replications' rates, with the t
interval over them: each is an independent sample of what this much traffic can bear.

The rate that a replication is given is the highest that was seen to keep the SLO, less than `tolerance` below one that
was seen to miss it: the capacity is too low by at most that, never too high. Rates are assumed to get worse as they
rise. The number of requests stays as the scenario has it, so a short run bears more than a long one: a queue has less
time to grow.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.scenario.load import load
from sim.scenario.scenario import Scenario
from sim.scenario.workload import ClosedLoop, Trace
from sim.stats import Interval, t_interval
from sim.study.evaluation import Design, Evaluation
from sim.study.verdict import shares

_RATES = ("request_rate", "start_rate", "end_rate", "mean_rate", "on_rate", "off_rate")
"""Of arrivals: all are multiplied alike."""

MOST, LEAST = 2.0**12, 2.0**-10
"""What traffic is multiplied by: at the most, all of it comes practically at once, at the least, requests are alone."""

Simulate = Callable[[Sequence[Design]], list[Evaluation]]


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much a design can take."""

    rate: Interval
    """Highest rate within the SLO, requests a second: mean over the replications. Low and high are None with one."""
    by_replication: tuple[float, ...]
    factor: float
    """The lowest rate of any replication, as a multiple of the scenario's: all of them keep the SLO there."""
    tolerance: float
    """Each rate is too low by less than this share."""
    at: Evaluation | None
    """The design at `factor`; None if some replication misses the SLO at any rate."""
    simulations: int

    @property
    def unlimited(self) -> bool:
        """Whether the SLO is kept even where all requests come at once: they are too few to tell."""
        return self.factor >= MOST


@dataclass(slots=True)
class _Bracket:
    """What is known of one replication: factors on the scenario's rate."""

    low: float = 0.0
    """Highest that keeps the SLO."""
    high: float = math.inf
    """Lowest that misses it."""
    rates: dict[float, float] = field(default_factory=dict)
    """Requests a second that were offered, by factor."""

    def settled(self, tolerance: float) -> bool:
        return self.high <= self.low * (1 + tolerance) or self.low >= MOST or self.high <= LEAST

    def next(self) -> float:
        """Doubled or halved until the answer is enclosed, then the geometric middle."""
        if self.high == math.inf:
            return max(2 * self.low, 1.0)
        return self.high / 2 if self.low == 0.0 else math.sqrt(self.low * self.high)


def capacity(design: Design, simulate: Simulate, *, confidence: float = 0.95, tolerance: float = 0.01) -> Capacity:
    """Search the highest rate at which a design keeps its SLO.

    Args:
        design: what to load; its own rate is where the search begins.
        simulate: evaluates designs, as many at once as it can.
        confidence: of the interval over the replications.
        tolerance: where to stop, as a share of the rate.

    Raises:
        InputError: the scenario has no SLO, or its clients adapt to what is served (closed loop).
    """
    scenario = load(Path(design.source), design.settings, design.variant).scenario
    brackets = [_Bracket() for _ in range(scenario.run.replications)]
    tried: dict[float, Evaluation] = {}
    while wanted := sorted({one.next() for one in brackets if not one.settled(tolerance)}):
        factors = wanted[:: max(len(wanted) - 1, 1)][:2]  # the outermost: those between learn from them
        designs = [replace(design, settings=(*design.settings, *scaled(scenario, one))) for one in factors]
        for factor, found in zip(factors, simulate(designs), strict=True):
            tried[factor] = found
            _learn(brackets, factor, found, scenario)
    rates = tuple(one.rates[one.low] if one.low else 0.0 for one in brackets)
    factor = min(one.low for one in brackets)
    return Capacity(t_interval(rates, confidence), rates, factor, tolerance, tried.get(factor), len(tried))


def scaled(scenario: Scenario, factor: float) -> tuple[str, ...]:
    """What makes a scenario's requests come `factor` times as fast, as --set takes it.

    Raises:
        InputError: closed loop.
    """
    traffic = scenario.workload
    if isinstance(traffic, Trace):
        return (f"workload.rate_scale={traffic.rate_scale * factor!r}",)
    if isinstance(traffic.arrivals, ClosedLoop):
        raise InputError(
            "workload.arrivals: found closed_loop, whose clients wait for their answers, expected arrivals with a rate"
        )
    stated: dict[str, Any] = traffic.arrivals.model_dump(mode="json")
    rates = {key: stated[key] * factor for key in _RATES if key in stated}
    return tuple(f"workload.arrivals.{key}={json.dumps(rate)}" for key, rate in rates.items())


def _learn(brackets: Sequence[_Bracket], factor: float, found: Evaluation, scenario: Scenario) -> None:
    asked = shares(found, scenario, confidence=0.95)
    if not asked:
        raise InputError("slo: found no limit, expected one to search the capacity for (ttft_ms, tpot_ms, e2el_ms)")
    for index, one in enumerate(brackets):
        one.rates[factor] = found.replications[index]["offered_rate"] or 0.0
        if all(share.by_replication[index] >= share.required for share in asked):
            one.low = max(one.low, factor)
        else:
            one.high = min(one.high, factor)
