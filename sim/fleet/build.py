"""Everything that happens to a fleet while it serves: its life, failures, the spot market, autoscalers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sim.deployment import Deployment
from sim.fleet.autoscale import autoscale
from sim.fleet.failures import Striker
from sim.fleet.fleet import Fleet
from sim.fleet.recovery import Noticing, Repairs
from sim.fleet.spot import open_market
from sim.fleet.startup import StartTimes
from sim.gateway import Gateway
from sim.places import Places
from sim.scenario.scenario import Scenario
from sim.world import World


def build_fleet(
    world: World,
    scenario: Scenario,
    deployments: Sequence[Deployment],
    places: Places,
    gateway: Gateway,
    base_dir: Path,
    rng: Callable[[str], np.random.Generator],
) -> Fleet:
    """Build a fleet that begins now, with all that may happen to it.

    Args:
        world: the clock and the engines.
        scenario: what to build.
        deployments: one a pool.
        places: where replicas can stand.
        gateway: in front of them.
        base_dir: where relative paths start.
        rng: the random stream of a name.

    Raises:
        InputError: an unknown preset, or a file that is missing or bad.
    """
    starts = StartTimes(world, scenario.startup, deployments, base_dir, rng("startup"))
    noticing = Noticing(scenario.recovery.health, rng("health"))
    fleet = Fleet(world, scenario, deployments, places, gateway, starts, noticing.in_ns)
    repairs = Repairs(fleet, scenario.recovery, noticing, rng("repair"))
    Striker(fleet, repairs, scenario, base_dir, rng)
    for pool, spec in enumerate(scenario.fleet):
        open_market(fleet, pool, base_dir, rng(f"spot/{spec.pool}"))
    for scaler in scenario.autoscalers:
        autoscale(fleet, scaler)
    fleet.begin()
    return fleet
