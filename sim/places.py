"""Places in the fleet: a replica stands at one, and after it another may; engines are laid out for all places."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim import batching
from sim.classes import class_priorities
from sim.deployment import Deployment
from sim.engine import Engines
from sim.engine.padded import PaddedEngines
from sim.request import Requests
from sim.scenario.fleet import Pool
from sim.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Places:
    """Every pool's places, numbered pool by pool in the scenario's order."""

    of_pool: tuple[range, ...]
    begin: tuple[int, ...]
    """Replicas that each pool has at 0 s."""

    @property
    def pools(self) -> NDArray[np.int32]:
        """Pool of each place (int32[places])."""
        return np.repeat(np.arange(len(self.of_pool), dtype=np.int32), [len(one) for one in self.of_pool])

    def first(self, pool: int) -> range:
        """Places that a pool fills at 0 s."""
        return self.of_pool[pool][: self.begin[pool]]


def places(scenario: Scenario) -> Places:
    """As many as can be filled at once. Where replicas come and go, those that drain stand beside their successors."""
    of_pool, begin, at = [], [], 0
    for pool in scenario.fleet:
        most = _most(scenario, pool)
        count = 2 * most if _comes_and_goes(scenario, pool) else most
        of_pool.append(range(at, at + count))
        begin.append(_wanted(pool))
        at += count
    return Places(tuple(of_pool), tuple(begin))


def build_engines(scenario: Scenario, deployments: Sequence[Deployment], places: Places, requests: Requests) -> Engines:
    """Engines of all places, pool by pool."""
    layout = (
        [one.limits for one in deployments],
        [int(pool) for pool in places.pools],
        [one.cost for one in deployments],
        [one.work.weight_bytes for one in deployments],
        requests,
        class_priorities(scenario, requests),
    )
    policies = [batching.build(one.engine.batching, requests) for one in deployments if one.engine.batching is not None]
    return PaddedEngines(*layout, policies) if policies else Engines(*layout)


def is_scaled(scenario: Scenario, pool: Pool) -> bool:
    """Whether an autoscaler decides over a pool."""
    return any(one.pool == pool.pool and one.kind != "fixed" for one in scenario.autoscalers)


def _wanted(pool: Pool) -> int:
    return pool.replicas + (pool.spot.over_provision if pool.spot else 0)


def _most(scenario: Scenario, pool: Pool) -> int:
    extra = pool.spot.over_provision if pool.spot else 0
    most = pool.replicas
    for one in scenario.autoscalers:
        if one.pool == pool.pool and one.kind != "fixed":
            most = max(most, one.max_replicas)
    for spot in scenario.fleet:
        if spot.pool == pool.fallback_for:
            most += _most(scenario, spot)
    return most + extra


def _comes_and_goes(scenario: Scenario, pool: Pool) -> bool:
    return pool.spot is not None or pool.fallback_for is not None or is_scaled(scenario, pool)
