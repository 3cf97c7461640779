"""Spot markets: they take nodes back, after a notice, and may have none to sell."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path

import numpy as np
import simpy

from sim import catalog
from sim.fleet.capacity import Capacity, capacity
from sim.fleet.fleet import Fleet
from sim.fleet.nodes import Node
from sim.fleet.reclaim import reclaim
from sim.scenario.market import HazardReclaims, Spot, TracedReclaims
from sim.units import NS_PER_S, seconds_to_ns

_NS_PER_HOUR = 3600 * NS_PER_S


class Reclaims(ABC):
    """What both markets do: know their nodes, and make buyers wait."""

    def __init__(self, fleet: Fleet, pool: int, spec: Spot) -> None:
        self.fleet = fleet
        self.world = fleet.world
        self.pool = pool
        self.zones = max(len(fleet.pools[pool].zones), 1)
        self.notice_ns = seconds_to_ns(spec.notice_s)
        self._changed = self.world.event()
        fleet.sellers[pool] = self._sell

    @abstractmethod
    def open_zones(self) -> list[int]:
        """Zones that have a node to sell now."""

    def nodes(self) -> list[Node]:
        """Nodes of the pool that the market has sold and given no notice, oldest first."""
        mine = (one for one in self.fleet.nodes if one.pool == self.pool and (one.paid or one.bought))
        return [one for one in mine if one.alive and not one.noticed]

    def wake_buyers(self) -> None:
        """There may be nodes again."""
        waiting, self._changed = self._changed, self.world.event()
        waiting.succeed()

    def _sell(self, node: Node) -> Generator[simpy.Event, None, None]:
        while True:
            zones = self.open_zones()
            if zones:
                node.zone = self.fleet.sparsest(self.pool, zones)
                node.bought = True
                return
            yield self._changed


class HazardMarket(Reclaims):
    """Reclaims at random.

    Each node draws when it triggers one, of mean life x nodes an event, so that its own mean life is as stated while
    there are enough others in its zone to be taken along.
    """

    def __init__(self, fleet: Fleet, pool: int, spec: Spot, reclaims: HazardReclaims, rng: np.random.Generator) -> None:
        super().__init__(fleet, pool, spec)
        preset = None if reclaims.preset is None else catalog.spot_preset(reclaims.preset)
        life_hours = preset.mean_life_hours if preset else reclaims.mean_life_hours
        assert life_hours is not None
        self._together = reclaims.nodes_per_event or (preset.nodes_per_event if preset else 1.0)
        outage_s = reclaims.mean_outage_s
        self._outage_ns = (outage_s if outage_s is not None else preset.mean_outage_s if preset else 0.0) * NS_PER_S
        self._mean_ns = life_hours * _NS_PER_HOUR * self._together
        self._closed_until = [0] * self.zones
        self._rng = rng
        fleet.on_node.append(self._watch)

    def open_zones(self) -> list[int]:
        """All but those that were just reclaimed from."""
        return [zone for zone in range(self.zones) if self._closed_until[zone] <= self.fleet.now]

    def _watch(self, node: Node, gpu: int | None) -> None:
        if node.pool != self.pool or gpu is not None:
            return
        age = node.age(None)
        wake = self.world.timeout(int(min(self._rng.exponential(self._mean_ns), float(1 << 62))))
        assert wake.callbacks is not None
        wake.callbacks.append(lambda _: self._trigger(node) if node.age(None) == age else None)

    def _trigger(self, node: Node) -> None:
        if self.world.over or not node.alive or node.noticed or node not in self.fleet.nodes:
            return
        others = [one for one in self.nodes() if one.zone == node.zone and one is not node]
        more = min(int(self._rng.geometric(1 / self._together)) - 1, len(others))
        taken = [others[i] for i in sorted(self._rng.choice(len(others), more, replace=False))] if more else []
        self._close(node.zone)
        for one in [node, *taken]:
            reclaim(self.fleet, one, self.notice_ns)

    def _close(self, zone: int) -> None:
        if self._outage_ns <= 0:
            return
        outage = int(self._rng.exponential(self._outage_ns))
        self._closed_until[zone] = max(self._closed_until[zone], self.fleet.now + outage)
        wake = self.world.timeout(outage)
        assert wake.callbacks is not None
        wake.callbacks.append(lambda _: self.wake_buyers())


class TracedMarket(Reclaims):
    """The market has as many nodes as a recording says; what is too much gets notice in time."""

    def __init__(self, fleet: Fleet, pool: int, spec: Spot, has: Capacity, rng: np.random.Generator) -> None:
        super().__init__(fleet, pool, spec)
        self._has = has
        self._rng = rng
        self.world.process(self._replay())

    def open_zones(self) -> list[int]:
        """All, or none where the market's nodes are taken, or will be by the end of a notice."""
        mine = [one for one in self.fleet.nodes if one.pool == self.pool and (one.paid or one.bought)]
        staying = sum(not one.noticed for one in mine)
        now = self.fleet.now
        left = min(self._at(now) - len(mine), self._at(now + self.notice_ns) - staying)
        return list(range(self.zones)) if left > 0 else []

    def _at(self, time_ns: int) -> int:
        turn = time_ns % self._has.period_ns
        return int(self._has.nodes[np.searchsorted(self._has.times_ns, turn, side="right") - 1])

    def _replay(self) -> Generator[simpy.Event, None, None]:
        """Follow the recording, a notice ahead of it and at its own time."""
        self._trim(0, self._at(0))
        changes = [int(at) for at in self._has.times_ns]
        moments = sorted({*changes, *((at - self.notice_ns) % self._has.period_ns for at in changes)})
        start = 0
        while True:
            for moment in moments:
                yield self.world.timeout(max(start + moment - self.fleet.now, 0))
                if self.world.over:
                    return
                self._trim(self.notice_ns, self._at(self.fleet.now + self.notice_ns))
                self.wake_buyers()
            start += self._has.period_ns

    def _trim(self, within_ns: int, nodes: int) -> None:
        """Give notice to random nodes until so many stay."""
        there = self.nodes()
        excess = max(len(there) - nodes, 0)
        for index in sorted(self._rng.choice(len(there), excess, replace=False)) if excess else ():
            reclaim(self.fleet, there[index], within_ns)


def open_market(fleet: Fleet, pool: int, base_dir: Path, rng: np.random.Generator) -> None:
    """Put a pool on the spot market that it states, if it states one.

    Raises:
        InputError: unknown preset or trace, or a bad recording.
    """
    spec = fleet.pools[pool].spot
    if spec is None:
        return
    if isinstance(spec.reclaims, TracedReclaims):
        TracedMarket(fleet, pool, spec, capacity(spec.reclaims, base_dir), rng)
    else:
        HazardMarket(fleet, pool, spec, spec.reclaims, rng)
