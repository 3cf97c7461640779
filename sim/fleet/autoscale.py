"""The control loop: at every tick a controller sees its pool and says how many replicas it should have."""

from collections.abc import Generator

import numpy as np
import simpy

from sim.fleet.control import Controller, Observation, build, interval_ns
from sim.fleet.fleet import Fleet
from sim.result import State
from sim.scenario.autoscaler import Autoscaler
from sim.units import NS_PER_S


def autoscale(fleet: Fleet, spec: Autoscaler) -> None:
    """Let a scenario's autoscaler decide over its pool; the first decision comes one interval after the start."""
    interval = interval_ns(spec)
    if interval is not None:
        pool = next(index for index, one in enumerate(fleet.pools) if one.pool == spec.pool)
        fleet.world.process(_decide(fleet, pool, build(spec), interval))


def _decide(fleet: Fleet, pool: int, controller: Controller, interval: int) -> Generator[simpy.Event, None, None]:
    arrived = 0
    while True:
        yield fleet.world.timeout(interval)
        if fleet.world.over:
            return
        arrivals = _arrivals(fleet, pool)
        rate = (arrivals - arrived) / (interval / NS_PER_S)
        arrived = arrivals
        fleet.want(pool, controller.act(_observe(fleet, pool, rate)).replicas)


def _observe(fleet: Fleet, pool: int, requests_per_s: float) -> Observation:
    there = fleet.of(pool)
    ready = np.array([one.place for one in there if one.state is State.READY], np.intp)
    state = fleet.world.engines.state
    replicas = state.replicas[ready]
    usage = 1 - replicas["free_blocks"] / (replicas["num_blocks"] - 1)
    return Observation(
        now_ns=fleet.now,
        replicas=fleet.target(pool),
        ready=len(ready),
        starting=sum(State.REQUESTED <= one.state < State.READY for one in there),
        running=float(replicas["running"].sum()),
        waiting=float(replicas["waiting"].sum()),
        outstanding=float(state.outstanding[ready].sum()),
        kv_cache_usage=float(usage.mean()) if len(ready) else 0.0,
        requests_per_s=requests_per_s,
    )


def _arrivals(fleet: Fleet, pool: int) -> int:
    place = fleet.first_place(pool)
    group = fleet.gateway.group(place)
    return fleet.gateway.arrivals[group] if group >= 0 else 0
