"""Run a scenario: draw the requests, build the world, let it go, freeze the records."""

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim import calibration
from sim.clients import Clients
from sim.deployment import Deployment, deploy, extrapolations, overreaches
from sim.fleet.build import build_fleet
from sim.fleet.fleet import Fleet
from sim.gateway import Gateway
from sim.places import build_engines, places
from sim.provenance import provenance
from sim.recorder import GaugeRecorder, record
from sim.report import check_invariants, check_paid, measured, warm_up
from sim.request import Requests
from sim.result import Draw, Replication, Run
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.scenario.steptime import Calibrated
from sim.streams import stream
from sim.tries import Tries
from sim.units import seconds_to_ns
from sim.workload.draw import draw
from sim.world import Over, World

Progress = Callable[[int, int], None]
"""Called with replications done and replications in all, those of the calibration's draws included."""


def simulate(loaded: Loaded, *, progress: Progress) -> Run:
    """Simulate every replication of a scenario; the same scenario and seed give the same run.

    With a calibration, each of its posterior draws then serves the requests of one replication once more.

    Raises:
        InputError: the scenario cannot be built (unknown model, does not fit, missing trace, ...).
    """
    scenario = loaded.scenario
    deployments = deploy(scenario, loaded.base_dir)
    pools = places(scenario).pools
    in_all = scenario.run.replications + _draws(loaded)
    replications = []
    with warnings.catch_warnings(record=True) as reservations:
        warnings.simplefilter("always", UserWarning)
        for index in range(scenario.run.replications):
            progress(index, in_all)
            replications.append(_replicate(loaded, deployments, index))
    said = [str(one.message) for one in reservations if one.category is UserWarning]
    run = Run(
        scenario=scenario.model_dump(mode="json"),
        provenance=provenance(loaded.sha256, deployments, _warnings(said, deployments, pools, replications)),
        replicas=tuple(deployments[pool].replica_info() for pool in pools),
        replications=tuple(replications),
    )
    run = replace(run, draws=tuple(_serve_draws(loaded, run, in_all, progress)))
    progress(in_all, in_all)
    return run


def serve(
    scenario: Scenario, deployments: Sequence[Deployment], requests: Requests, index: int, base_dir: Path
) -> Replication:
    """Simulate requests that were drawn for replication `index`, with that replication's random streams.

    Raises:
        InputError: no pool serves a model that is asked for, the engine would preempt without end, or a preset or file
            of what happens to the fleet is wrong.
    """
    rng = partial(stream, scenario.run.seed, index)
    stand = places(scenario)
    world = World(build_engines(scenario, deployments, stand, requests))
    gateway = Gateway(world, scenario, deployments, stand, requests, rng("router"))
    tries = Tries(world, scenario, requests, gateway, rng("clients"))
    clients = Clients(world, requests, tries.send)
    fleet = build_fleet(world, scenario, deployments, stand, gateway, base_dir, rng)
    _connect(world, gateway, tries, clients, fleet)
    gauges = GaugeRecorder(world, fleet.serving)
    stopped = _run(world, scenario)
    result = record(world, deployments, requests, clients, tries, fleet, gauges, stopped)
    check_invariants(result)
    check_paid(result, [deployments[pool].replica_info() for pool in stand.pools])
    return result


def _connect(world: World, gateway: Gateway, tries: Tries, clients: Clients, fleet: Fleet) -> None:
    """Tell everyone what they must hear of."""

    def ended(row: int) -> None:
        fleet.left(int(world.engines.state.requests["replica"][row]))
        tries.answered(row)

    def settled(request: int) -> None:
        clients.settled(request)
        if tries.abandons and world.over:
            world.stop()

    def all_sent() -> None:
        if tries.abandons:
            tries.watch_all()

    world.on_end = ended
    world.at_work = lambda: clients.to_send > 0 or tries.open > 0
    gateway.left = fleet.left
    tries.on_settled = clients.on_refused = settled
    clients.on_all_sent = all_sent


def _run(world: World, scenario: Scenario) -> int | None:
    """Let the world go; returns when it was stopped with something left to do."""
    stop_ns = None if scenario.run.max_time_s is None else seconds_to_ns(scenario.run.max_time_s)
    with _no_garbage_collection():  # events make no cycles, and looking for them takes a tenth of the time
        try:
            world.run(until=stop_ns)
        except Over:
            return int(world.now)
    return None if world.over else stop_ns


def _replicate(loaded: Loaded, deployments: Sequence[Deployment], index: int) -> Replication:
    requests = draw(loaded.scenario, loaded.scenario.run.seed, index, loaded.base_dir)
    return serve(loaded.scenario, deployments, requests, index, loaded.base_dir)


def _draws(loaded: Loaded) -> int:
    """How many posterior draws to simulate: as many as are asked for, and none twice."""
    step_time = loaded.scenario.step_time
    if not isinstance(step_time, Calibrated):
        return 0
    drawn = calibration.load(step_time.calibration, loaded.base_dir).draws
    return 0 if drawn is None else min(step_time.draws, len(drawn.rows))


def _serve_draws(loaded: Loaded, run: Run, in_all: int, progress: Progress) -> Iterator[Draw]:
    """Serve the replications in turn, one a draw; only the numbers are kept, for a million requests are many columns.

    Warm-up is cut where it is cut at the best estimate, so that both measure the same requests.
    """
    done = len(run.replications)
    cuts = [warm_up(run, one) for one in run.replications] if in_all > done else []
    for number in range(in_all - done):
        progress(done + number, in_all)
        index = number % done
        deployments = deploy(loaded.scenario, loaded.base_dir, number)
        one = serve(loaded.scenario, deployments, run.replications[index].requests, index, loaded.base_dir)
        yield Draw(number, index, measured(run, one, cuts[index]))


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
    said: Sequence[str],
    deployments: tuple[Deployment, ...],
    pools: NDArray[np.int32],
    replications: Sequence[Replication],
) -> list[str]:
    """Each distinct reservation once: what reading the traffic said, then what had to be extrapolated."""
    beyond = extrapolations(deployments, *(one.requests for one in replications))
    return list(dict.fromkeys([*said, *beyond, *overreaches(deployments, pools, replications)]))
