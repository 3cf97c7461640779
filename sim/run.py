"""Run a scenario: draw the requests, build the world, let it go, freeze the records."""

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version

from sim import catalog
from sim.clients import Clients
from sim.deployment import Deployment, deploy
from sim.fleet import Fleet, build_engines
from sim.recorder import GaugeRecorder, record
from sim.report import check_invariants
from sim.result import Replication, Run
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.streams import stream
from sim.units import seconds_to_ns
from sim.workload.draw import draw
from sim.world import World

Progress = Callable[[int, int], None]
"""Called with replications done and replications in all."""


def simulate(loaded: Loaded, *, progress: Progress) -> Run:
    """Simulate every replication of a scenario; the same scenario and seed give the same run.

    Raises:
        InputError: the scenario cannot be built (unknown model, does not fit, missing trace, ...).
    """
    scenario = loaded.scenario
    deployments = deploy(scenario, loaded.base_dir)
    replications = []
    for index in range(scenario.run.replications):
        progress(index, scenario.run.replications)
        replications.append(_replicate(loaded, deployments, index))
    progress(scenario.run.replications, scenario.run.replications)
    return Run(
        scenario=scenario.model_dump(mode="json"),
        provenance=_provenance(loaded, deployments),
        replicas=tuple(one.replica_info() for one in deployments for _ in range(one.pool.replicas)),
        replications=tuple(replications),
    )


def _replicate(loaded: Loaded, deployments: Sequence[Deployment], index: int) -> Replication:
    scenario = loaded.scenario
    seed = scenario.run.seed
    requests = draw(scenario, seed, index, loaded.base_dir)
    world = World(build_engines(scenario, deployments, requests))
    fleet = Fleet(world, scenario, deployments, requests, stream(seed, index, "router"))
    clients = Clients(world, requests, fleet.send)
    gauges = GaugeRecorder(world, clients)
    stop_ns = _stop(scenario)
    world.run(until=stop_ns)
    stopped = clients.to_send > 0 or world.engines.unfinished > 0
    result = record(world, deployments, requests, clients, fleet, gauges, stop_ns if stopped else None)
    check_invariants(result)
    return result


def _stop(scenario: Scenario) -> int | None:
    return None if scenario.run.max_time_s is None else seconds_to_ns(scenario.run.max_time_s)


def _provenance(loaded: Loaded, deployments: Sequence[Deployment]) -> dict[str, str]:
    labels = sorted({one.step_time.label for one in deployments})
    return {
        "trilemma_version": version("trilemma"),
        "scenario_sha256": loaded.sha256,
        "catalogue_sha256": catalog.catalogue_sha256(),
        "step_time": "; ".join(labels),
        "step_cost_sha256": _cost_hash(deployments),
    }


def _cost_hash(deployments: Sequence[Deployment]) -> str:
    digest = hashlib.sha256()
    for one in deployments:
        for part in one.cost:
            digest.update(getattr(part, "tobytes", lambda part=part: repr(part).encode())())
    return digest.hexdigest()
