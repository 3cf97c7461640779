"""The declared stress set: what may befall a fleet that nobody changes, written as settings of its scenario.

    load x1.5, load x2      the traffic's rate, for as long as before (a recording: so much faster)
    burst                   four times the rate for a tenth of the time, the mean as before
    long context            a fifth of the prompts longer, as far as the model's context lets them
    node lost               the fullest node falls silent after a third of the traffic; recovery is the scenario's own
    spot reclaim            a third of the spot nodes get the market's notice at that time
    second model            the same fleet restarted at 0 s with another model, on nodes that are there

All serve the requests of the unstressed run as far as they are the same (common random numbers). An autoscaler, spare
replicas, admission and retries count, as they stand in the scenario.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sim.deployment import deploy
from sim.places import places
from sim.request import Requests
from sim.scenario.load import Loaded, load
from sim.scenario.workload import ClosedLoop, Diurnal, OnOff, Ramp, Trace, Workload
from sim.study.evaluation import Design
from sim.units import NS_PER_S
from sim.workload.draw import draw

NAMES = ("load x1.5", "load x2", "burst", "long context", "node lost", "spot reclaim", "second model")

BURST_TIMES, BURST_SHARE, BURST_EVERY_S = 4.0, 0.1, 600.0
LONG_SHARE, LONG_TOKENS, LONG_TIMES = 0.2, 8192, 4
"""8,192 tokens are the longest prompts of InferenceMAX's cells (8k/1k); four times the mean where that is more."""
STRIKE_AT = 1 / 3
SPOT_SHARE = 1 / 3
NOTICE_S = 120.0
"""AWS's, where a spot pool states no market of its own."""


@dataclass(frozen=True, slots=True)
class Stress:
    """One way in which a design is stressed."""

    name: str
    design: Design | None
    why_not: str = ""
    """If it does not apply: one sentence."""


def stresses(design: Design, second_model: str | None = None) -> tuple[Stress, ...]:
    """Rewrite a design into its stressed designs, in the order of NAMES.

    Args:
        design: whose scenario is stressed.
        second_model: catalogue id, or path of a config.json beside the scenario.

    Raises:
        InputError: the design cannot be built.
    """
    loaded = load(Path(design.source), design.settings, design.variant)
    rewrite = Rewrite(loaded, second_model)
    return tuple(
        Stress(name, None, settings) if isinstance(settings, str) else Stress(name, stressed(design, settings))
        for name, settings in zip(NAMES, rewrite.each(), strict=True)
    )


Settings = dict[str, object]
"""Value by dotted scenario key."""


def stressed(design: Design, settings: Settings) -> Design:
    """Return the design with more settings."""
    more = tuple(f"{key}={json.dumps(value)}" for key, value in settings.items())
    return replace(design, settings=(*design.settings, *more))


class Rewrite:
    """Settings of each stress of a scenario, or why it does not apply."""

    def __init__(self, loaded: Loaded, second_model: str | None = None) -> None:
        """Take a scenario, and the model with which its fleet is restarted.

        Raises:
            InputError: the scenario cannot be built.
        """
        self._scenario = loaded.scenario
        self._deployments = deploy(loaded.scenario, loaded.base_dir)
        self._second_model = second_model
        self._requests = draw(loaded.scenario, loaded.scenario.run.seed, 0, loaded.base_dir)

    def each(self) -> Iterator[Settings | str]:
        """In the order of NAMES."""
        yield faster(self._scenario.workload, 1.5)
        yield faster(self._scenario.workload, 2.0)
        yield self._burst()
        yield self._long_context()
        yield self.node_lost()
        yield self.spot_reclaim()
        yield self._second()

    @property
    def span_s(self) -> float:
        """When the last request is sent that waits for none."""
        requests = self._requests
        return float(requests.arrival_ns[requests.after < 0].max()) / NS_PER_S

    def _burst(self) -> Settings | str:
        if self._scenario.workload.bursts is not None:
            return "The traffic has bursts of its own."
        every = min(self.span_s / 2, BURST_EVERY_S)
        if not every:
            return "A closed loop sends when it is answered: it has no bursts."
        return {"workload.bursts": {"every_s": every, "for_s": every * BURST_SHARE, "times": BURST_TIMES}}

    def _long_context(self) -> Settings | str:
        if self._scenario.workload.long_context is not None:
            return "The traffic has long contexts of its own."
        context = min(one.defaults.max_model_len for one in self._deployments)
        mean, answer = _mean_prompt_and_long_answer(self._requests, context)
        tokens = min(max(LONG_TOKENS, round(LONG_TIMES * mean)), context - answer)
        if tokens <= mean:
            return f"The context of {context:,} tokens has no room for prompts longer than the mean of {mean:,.0f}."
        return {"workload.long_context": {"share": LONG_SHARE, "tokens": tokens}}

    def node_lost(self, **more: object) -> Settings | str:
        """The fullest node falls silent; `more`: keys of the drill."""
        counts, held = zip(*map(self._nodes, range(len(self._deployments))), strict=True)
        if not any(counts):
            return "The fleet starts without a node."
        fullest = held.index(max(held))
        return self.drills(1, of="node", index=sum(counts[:fullest]), **more)

    def spot_reclaim(self) -> Settings | str:
        """A third of the spot nodes get notice."""
        spot = [index for index, pool in enumerate(self._scenario.fleet) if pool.market == "spot"]
        nodes = sum(self._nodes(index)[0] for index in spot)
        if not nodes:
            return "The fleet has no spot nodes."
        markets = [self._scenario.fleet[index].spot for index in spot]
        notice = min(market.notice_s if market else NOTICE_S for market in markets)
        return self.drills(math.ceil(nodes * SPOT_SHARE), of="node", index=0, notice_s=notice)

    def _second(self) -> Settings | str:
        if self._second_model is None:
            return "No second model is named."
        return {"model": self._second_model, "startup.cold": True, "startup.cold_nodes": False}

    def drills(self, count: int, **more: object) -> Settings:
        """So many drills at the same time, beside the scenario's own failures; `more`: keys of each."""
        drill = {"kind": "drill", "at_s": self.span_s * STRIKE_AT, **more}
        before = [one.model_dump(mode="json", exclude_unset=True) for one in self._scenario.failures]
        return {"failures": [*before, *[drill] * count]}

    def _nodes(self, index: int) -> tuple[int, int]:
        """Nodes of a pool at 0 s, and the GPUs that fall with the fullest of them."""
        one, replicas = self._deployments[index], places(self._scenario).begin[index]
        gpus, per_node = one.layout.gpus, one.gpu.gpus_per_node
        together = per_node // gpus
        if together:
            return math.ceil(replicas / together), min(replicas, together) * gpus
        return replicas * math.ceil(gpus / per_node), gpus if replicas else 0


def faster(workload: Workload, factor: float) -> Settings:
    """Settings for so many times the rate: more requests in the same time; a recording in less time."""
    if isinstance(workload, Trace):
        return {"workload.rate_scale": workload.rate_scale * factor}
    arrivals = workload.arrivals
    rates: Settings
    match arrivals:
        case ClosedLoop():
            rates = {"concurrency": math.ceil(arrivals.concurrency * factor)}
        case Ramp():
            rates = {"start_rate": arrivals.start_rate * factor, "end_rate": arrivals.end_rate * factor}
        case Diurnal():
            rates = {"mean_rate": arrivals.mean_rate * factor}
        case OnOff():
            rates = {"on_rate": arrivals.on_rate * factor, "off_rate": arrivals.off_rate * factor}
        case _:
            rates = {"request_rate": arrivals.request_rate * factor}
    more = {"workload.num_prompts": math.ceil(workload.num_prompts * factor)}
    return {f"workload.arrivals.{key}": rate for key, rate in rates.items()} | more


def _mean_prompt_and_long_answer(requests: Requests, context: int) -> tuple[float, int]:
    """Mean prompt, and the answer that 99 % of the requests do not exceed, of those that the context lets in."""
    fits = requests.prompt_tokens.astype(np.int64) + requests.max_tokens <= context
    if not fits.any():
        return math.inf, 0
    return float(requests.prompt_tokens[fits].mean()), math.ceil(np.percentile(requests.max_tokens[fits], 99))
