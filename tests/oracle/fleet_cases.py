"""Fleets that are textbook systems, and what theory says of each: k of n, machine repair, renewal processes.

All times are in seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.result import Cause, Replication, State
from sim.scenario.scenario import Scenario
from tests.oracle import fleet_theory as theory
from tests.oracle.fleet_station import AT_ONCE, QUICK, entered, exponential, fixed, hours, pool, scenario, shares
from tests.oracle.station import SECOND


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet, how long it is watched, and what theory says of it."""

    name: str
    fleet: Scenario
    seconds: float
    claims: dict[str, tuple[Callable[[Replication], float], float, float]]
    """By name: of a replication, its exact expectation, and the precision that an interval must have."""


def at_least(k: int, n: int, exact: np.ndarray, precision: float):
    return lambda one: float(shares(one, n)[k:].sum()), float(exact[k:].sum()), precision


def exactly(k: int, n: int, exact: np.ndarray, precision: float):
    return lambda one: float(shares(one, n)[k]), float(exact[k]), precision


def rate(state: State, *causes: Cause):
    """Of how often replicas enter a state, 1/s."""
    return lambda one: len(entered(one, state, *causes)) / (0.9 * one.end_ns / SECOND)


def failing(of: str, life_s: float) -> dict:
    return {"kind": "exponential", "of": of, "mtbf_hours": hours(life_s)}


def _k_of_n() -> Case:
    exact = theory.up(6, theory.up_share(10, 1))
    fleet = scenario(fleet=pool(6), failures=[failing("node", 10)], recovery=QUICK | {"repair": exponential(1)})
    claims = {f"P({k} or more of 6 up)": at_least(k, 6, exact, 0.03) for k in (4, 5)}
    claims["P(all 6 up)"] = at_least(6, 6, exact, 0.08)
    return Case("k of n, exponential repair", fleet, 200, claims)


def _slow_start() -> Case:
    """Availability knows only the means of repairs, and a failure during the start costs a whole cycle."""
    exact = theory.up(5, theory.up_share(4, 1, start=1))
    fleet = scenario(
        fleet=pool(5),
        failures=[failing("node", 4)],
        recovery=QUICK | {"repair": fixed(1)},
        startup=AT_ONCE | {"process": fixed(0.6), "compile": fixed(0.4)},
    )
    claims = {f"P({k} or more of 5 up)": at_least(k, 5, exact, 0.07) for k in (2, 3)}
    return Case("k of n, fixed repair, a slow start", fleet, 150, claims)


def _replaced() -> Case:
    """Rented nodes: pods are evicted after 0.35 s, a new node comes 0.4 s later, and some are lost as they boot."""
    exact = theory.up(4, theory.up_share(2, 0.35 + 0.4, start=0.5))
    fleet = scenario(
        fleet=pool(4, "on_demand"),
        failures=[failing("node", 2)],
        startup=AT_ONCE | {"provision": fixed(0.4), "boot": fixed(0.3), "image": fixed(0.2)},
    )
    claims = {f"P({k} or more of 4 up)": at_least(k, 4, exact, 0.08) for k in (2, 3)}
    return Case("k of n, rented nodes", fleet, 200, claims)


def _crews() -> Case:
    exact = theory.machine_repair(6, 2, 10, 4)
    recovery = QUICK | {"repair": exponential(4), "repair_crews": 2}
    fleet = scenario(fleet=pool(6), failures=[failing("node", 10)], recovery=recovery)
    claims = {f"P({k} of 6 up)": exactly(k, 6, exact, 0.25) for k in range(2, 7)}
    return Case("machine repair, 2 crews", fleet, 600, claims)


def _causes() -> Case:
    """Two blocks of failures: each strikes at its own rate, GPUs eight times a node."""
    fleet = scenario(
        fleet=pool(4),
        failures=[failing("node", 10), failing("gpu", 40)],
        recovery=QUICK | {"repair": fixed(0)},
    )
    claims = {
        "node failures a second": (rate(State.DEAD, Cause.NODE), 4 / 10, 0.2),
        "GPU failures a second": (rate(State.DEAD, Cause.GPU), 32 / 40, 0.2),
    }
    return Case("causes add up", fleet, 150, claims)


def _spot() -> Case:
    """One node lives for 1 s, the first 0.2 s it starts; the market is closed for 0.5 s, and takes 0.1 s more."""
    life, down, boot = 1.0, 0.5 + 0.1, 0.2
    reclaims = {"kind": "hazard", "mean_life_hours": hours(life), "mean_outage_s": 0.5}
    fleet = scenario(
        fleet=pool(1, "spot", spot={"reclaims": reclaims, "notice_s": 0.0}),
        startup=AT_ONCE | {"provision": fixed(0.1), "boot": fixed(0.15), "process": fixed(0.05)},
    )
    lost = rate(State.GONE, Cause.SPOT, Cause.PLAN)
    claims = {
        "availability": at_least(1, 1, theory.up(1, theory.up_share(life, down, boot)), 0.05),
        "reclaims a second": (lost, 1 / (life + down), 0.05),
    }
    return Case("renewal spot process", fleet, 300, claims)


def _together(nodes: int, seconds: float) -> Case:
    """Reclaims of three nodes at a time on average; what is taken is bought again at once.

    Nodes that drain with nothing to finish are gone by plan.
    """
    life, mean = 20.0, 3.0
    reclaims = {"kind": "hazard", "mean_life_hours": hours(life), "nodes_per_event": mean}
    fleet = scenario(fleet=pool(nodes, "spot", spot={"reclaims": reclaims, "notice_s": 0.0}))

    def events(one: Replication) -> float:
        return len(np.unique(entered(one, State.GONE, Cause.SPOT, Cause.PLAN))) / (0.9 * one.end_ns / SECOND)

    claims = {
        "reclaims of a node in its mean life": (
            lambda one: life / nodes * rate(State.GONE, Cause.SPOT, Cause.PLAN)(one),
            life * theory.reclaim_rate(life, mean, nodes),
            0.2,
        ),
        "events a second": (events, nodes / (life * mean), 0.15),
    }
    return Case(f"correlated reclaims, {nodes} nodes", fleet, seconds, claims)


CASES = (
    _k_of_n(),
    _slow_start(),
    _replaced(),
    _crews(),
    _causes(),
    _spot(),
    _together(40, 100),
    _together(3, 1200),
)
