"""Which SLO each request class has, read from the resolved scenario."""

from collections.abc import Mapping, Sequence
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
    return class_objectives(run.scenario, run.replications[0].requests.classes)


def class_objectives(scenario: Mapping[str, Any], classes: Sequence[str]) -> tuple[Objective, ...]:
    """The same of a resolved scenario as JSON data, before it is run; `classes`: of its requests."""
    own = {one["name"]: one["slo"] for one in scenario["workload"].get("classes", ()) if one.get("slo")}
    return tuple(_objective(name, Slo.model_validate(own.get(name) or scenario["slo"])) for name in classes or ("all",))


def _objective(name: str, slo: Slo) -> Objective:
    limits = {metric: getattr(slo, f"{metric}_ms") for metric in SLO_LATENCIES}
    return Objective(name, {metric: ms for metric, ms in limits.items() if ms is not None}, slo.percentile)
