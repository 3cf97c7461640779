"""Run a scenario: draw the requests, build the world, let it go, freeze the records."""

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sim.clients import Clients
from sim.deployment import Deployment, deploy, extrapolations
from sim.fleet import Fleet, build_engines
from sim.provenance import provenance
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
    with warnings.catch_warnings(record=True) as reservations:
        warnings.simplefilter("always", UserWarning)
        for index in range(scenario.run.replications):
            progress(index, scenario.run.replications)
            replications.append(_replicate(loaded, deployments, index))
    progress(scenario.run.replications, scenario.run.replications)
    said = [str(one.message) for one in reservations if one.category is UserWarning]
    return Run(
        scenario=scenario.model_dump(mode="json"),
        provenance=provenance(loaded.sha256, deployments, _warnings(said, deployments, replications)),
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
    with _no_garbage_collection():  # events make no cycles, and looking for them takes a tenth of the time
        world.run(until=stop_ns)
    stopped = clients.to_send > 0 or world.engines.unfinished > 0
    result = record(world, deployments, requests, clients, fleet, gauges, stop_ns if stopped else None)
    check_invariants(result)
    return result


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _warnings(
    said: Sequence[str], deployments: tuple[Deployment, ...], replications: Sequence[Replication]
) -> list[str]:
    """Each distinct reservation once: what reading the traffic said, then what had to be extrapolated."""
    beyond = [one for each in replications for one in extrapolations(deployments, each.requests)]
    return list(dict.fromkeys([*said, *beyond]))


def _stop(scenario: Scenario) -> int | None:
    return None if scenario.run.max_time_s is None else seconds_to_ns(scenario.run.max_time_s)
