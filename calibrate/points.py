"""End-to-end results as points to fit: a scenario, what was measured when serving it, and what we predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from calibrate.fit import Data
from calibrate.parameters import Floats
from sim import metrics, steptime
from sim.calibration import Metric, Residuals
from sim.deployment import Deployment, deploy
from sim.run import serve
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.steptime.calibrated import corrected
from sim.steptime.efficiency import Efficiency
from sim.units import NS_PER_S
from sim.workload.draw import draw

SPREADS: dict[Metric, float] = {"ttft": 0.07, "tpot": 0.03, "itl": 0.03, "e2el": 0.03, "request_throughput": 0.03}
"""How well a simulated mean can meet a measured one, as a standard deviation of the logarithm: repeats of the same
point scatter by 1 to 3 % in TPOT; TTFT waits for a step whose phase is chance."""


SATURATED = 0.05
"""Share of the time in the system that is spent waiting for seats or KV blocks."""


@dataclass(frozen=True)
class Point:
    """One configuration that was served and measured."""

    name: str
    loaded: Loaded
    measured: Mapping[Metric, float]
    """Means by metric: ttft, tpot, itl, e2el in ms, request_throughput in requests/s."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What is held out together: value by grouping (concurrency, tensor_parallel_size, gpu, ...)."""

    def with_scenario(self, scenario: Scenario) -> "Point":
        """The same requests and results with, say, other step times."""
        return replace(self, loaded=replace(self.loaded, scenario=scenario))

    @property
    def fitted(self) -> dict[Metric, float]:
        """The metrics that a fit looks at: TTFT and TPOT say all that the means of E2EL and throughput do."""
        return {name: value for name, value in self.measured.items() if name in {"ttft", "tpot"}}


class Prediction(NamedTuple):
    """What the simulator says of a point."""

    means: dict[str, float]
    """By metric: ms, and requests/s."""
    saturated: bool
    """Requests waited for seats or KV blocks: latencies then depend on how long the run is."""


class Bench:
    """Serves a point's requests in the simulator, again and again with other efficiencies."""

    def __init__(self, point: Point) -> None:
        """Resolve the point's scenario; its step time is taken as the roofline.

        Raises:
            InputError: the scenario cannot be built.
        """
        scenario = point.loaded.scenario
        self.point = point
        self._deployments = deploy(scenario, point.loaded.base_dir)
        self._requests = draw(scenario, scenario.run.seed, 0, point.loaded.base_dir)

    @property
    def deployment(self) -> Deployment:
        """The scenario's first pool."""
        return self._deployments[0]

    @property
    def longest(self) -> int:
        """Longest context that a request reaches, tokens."""
        return int((self._requests.prompt_tokens.astype(np.int64) + self._requests.output_tokens).max())

    @property
    def concurrency(self) -> int:
        """Most requests that are served at once."""
        return min(self._requests.concurrency or len(self._requests), self.deployment.defaults.max_num_seqs)

    def predict(self, efficiency: Efficiency, residuals: Residuals | None = None) -> Prediction:
        """Serve the first replication with the roofline at these efficiencies."""
        return self._serve([_with(one, efficiency, residuals) for one in self._deployments])

    def as_deployed(self) -> Prediction:
        """Serve it with the scenario's own step times."""
        return self._serve(self._deployments)

    def _serve(self, deployments: Sequence[Deployment]) -> Prediction:
        loaded = self.point.loaded
        one = serve(loaded.scenario, deployments, self._requests, 0, loaded.base_dir)
        rows = metrics.finished(one)
        means = {name: float(getattr(metrics, name)(one, rows).mean()) for name in ("ttft", "tpot", "e2el")}
        seconds = float(one.last_token_ns[rows].max() - one.sent_ns[rows].min()) / NS_PER_S
        held = sum(float(one.counters[f"waiting_{what}_ns"].sum()) for what in ("seats", "blocks"))
        in_system = float(one.counters["system_ns"].sum())
        return Prediction(means | {"request_throughput": len(rows) / seconds}, held > SATURATED * in_system)


def data_of(benches: Sequence[Bench]) -> Data:
    """The points as rows to fit: each point's TTFT and TPOT, in turn."""

    def predict(efficiency: Efficiency) -> Floats:
        rows = []
        for bench in benches:
            means = bench.predict(efficiency).means
            rows += [means[name] for name in bench.point.fitted]
        return np.log(rows)

    names = [name for bench in benches for name in bench.point.fitted]
    measured = [value for bench in benches for value in bench.point.fitted.values()]
    return Data(predict, np.log(measured), np.array([SPREADS[name] for name in names]))


def _with(one: Deployment, efficiency: Efficiency, residuals: Residuals | None) -> Deployment:
    model = steptime.physics(one.model, one.gpu, one.layout, one.engine, one.defaults, efficiency)
    cost = model.cost(one.defaults.max_num_batched_tokens, one.defaults.max_num_seqs)
    return replace(one, step_time=model, cost=cost if residuals is None else corrected(cost, residuals))
