"""Which SLO each request class has, read from the resolved scenario."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.metrics import SLO_LATENCIES
from sim.result import Run
from sim.scenario.slo import Slo


@dataclass(frozen=True, slots=True)
class Objective:
    """The SLO of one class."""

    name: str
    limits_ms: Mapping[str, float]
    percentile: float


def objectives(run: Run) -> tuple[Objective, ...]:
    """Return the SLO of each class of the run's requests, in the order of their indices.

    A class of the scenario with its own `slo` keeps to that alone; all others to the scenario's.
    """
    scenario: dict[str, Any] = run.scenario
    own = {one["name"]: one["slo"] for one in scenario["workload"].get("classes", ()) if one.get("slo")}
    names = run.replications[0].requests.classes or ("all",)
    return tuple(_objective(name, Slo.model_validate(own.get(name) or scenario["slo"])) for name in names)


def _objective(name: str, slo: Slo) -> Objective:
    limits = {metric: getattr(slo, f"{metric}_ms") for metric in SLO_LATENCIES}
    return Objective(name, {metric: ms for metric, ms in limits.items() if ms is not None}, slo.percentile)
