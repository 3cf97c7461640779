"""Runs that are watched while they go: their fleet at every change, and what is left of it at the end."""

from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

import sim.run
from sim.fleet.fleet import Fleet
from sim.fleet.nodes import BROKEN, FREE
from sim.gateway import Gateway
from sim.kernel.layout import State as Memory
from sim.result import Cause, Replication, Run, State
from sim.run import simulate
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.tries import Tries
from sim.units import NS_PER_S
from sim.world import World
from tests.unit.small_fleet import scenario

AT_ONCE = {stage: {"kind": "fixed", "s": 0.0} for stage in ("provision", "boot", "image", "process", "compile", "warm")}
"""Starts that take no time but for reading the weights: 13.8 GB over links of 1e6 GB/s, 14 us."""
AT_ONCE |= dict.fromkeys(("store_gb_per_s", "node_gb_per_s", "disk_gb_per_s"), 1e6)
MOST_STEPS = 200_000


def stages(**seconds: float) -> dict:
    """A start whose stages take so many seconds, the others none."""
    return AT_ONCE | {stage: {"kind": "fixed", "s": s} for stage, s in seconds.items()}


@dataclass(frozen=True)
class Watched:
    """One replication, and the things that it was simulated with, as they are at its end."""

    run: Run
    one: Replication
    world: World
    fleet: Fleet
    tries: Tries

    @property
    def gateway(self) -> Gateway:
        return self.fleet.gateway

    def life(self, place: int = 0) -> list[tuple[float, State]]:
        """States of a place with their times in seconds, to the millisecond."""
        events = zip(self.one.timeline.time_ns, self.one.timeline.replica, self.one.timeline.state, strict=True)
        return [(round(at / NS_PER_S, 3), State(state)) for at, replica, state in events if replica == place]

    def entered(self, state: State, cause: Cause | None = None) -> list[float]:
        """When replicas entered a state (for a cause), seconds to the millisecond."""
        lines = self.one.timeline
        events = zip(lines.time_ns, lines.state, lines.cause, strict=True)
        return [round(at / NS_PER_S, 3) for at, was, why in events if was == state and cause in (None, why)]


def watch(case: Scenario, folder: Path = Path()) -> Watched:
    """Simulate the first replication, checking the fleet whenever it has changed; fails if it does not end."""
    kept: list[Watched] = []
    seen: list[tuple] = []

    class Guarded(World):
        steps = events = 0
        fleet: Fleet | None = None

        def step(self) -> None:
            super().step()
            self.steps += 1
            assert self.steps < MOST_STEPS, f"no end: at {self.now / NS_PER_S} s"
            if self.fleet is not None and len(self.fleet.events) != self.events:
                self.events = len(self.fleet.events)
                check(self.fleet)

    def building(world, *args):
        world.fleet = build_fleet(world, *args)
        return world.fleet

    def recording(world, deployments, requests, clients, tries, fleet, *args):
        one = record(world, deployments, requests, clients, tries, fleet, *args)
        seen.append((one, world, fleet, tries))
        return one

    build_fleet, record = sim.run.build_fleet, sim.run.record
    with (
        mock.patch.object(sim.run, "World", Guarded),
        mock.patch.object(sim.run, "build_fleet", building),
        mock.patch.object(sim.run, "record", recording),
    ):
        made = simulate(Loaded(case, folder / "small.yaml", (), ""), progress=lambda done, of: None)
    kept = [Watched(made, *each) for each in seen]
    return kept[0]


def fire(workload: dict | None = None, folder: Path = Path(), **blocks: object) -> Watched:
    """Watch a small fleet."""
    return watch(scenario(workload or {}, **blocks), folder)


def check(fleet: Fleet) -> None:
    """Between any two events: who holds which KV block and which GPU, and whom the gateway believes in."""
    for place in range(len(fleet.world.engines.state.replicas)):
        count_blocks(fleet.world.engines.state, place)
    there = {replica.place: replica for replica in fleet.replicas}
    assert len(there) == len(fleet.replicas), "two replicas at one place"
    held = dict.fromkeys(there, 0)
    for node in fleet.nodes:
        assert sorted(one.place for one in node.replicas) == sorted(
            set(node.gpus) - {FREE, BROKEN} | {one.place for one in node.replicas if one.state is State.DEAD}
        ), "GPUs of a node are held by the replicas on it"
        for holder in node.gpus:
            if holder not in (FREE, BROKEN):
                held[holder] += 1
    for place, replica in there.items():
        lacking = fleet._gpus[replica.pool] - held[place]
        assert lacking == 0 or (lacking > 0 and replica.state is State.DEAD), "who is not dead has its GPUs"
        assert all(node in fleet.nodes for node in replica.nodes), "a replica stands on a node that is given up"
        assert not (replica.doomed and replica.state in (State.READY, State.HUNG)), "who is doomed serves no more"
        if replica.state in (State.READY, State.DRAINING, State.HUNG):
            assert all(node.alive for node in replica.nodes), "who serves has its nodes"
        if replica.state in (State.BOOTING, State.IMAGE, State.STARTING, State.LOADING, State.COMPILING):
            assert replica.process is not None, "who starts has a process that brings it up"
    for members in fleet.gateway._members:
        for place in members:
            assert place in there, "the gateway routes to nobody"
            assert there[place].state not in (State.DRAINING, State.REQUESTED, State.BOOTING, State.IMAGE)


def count_blocks(state: Memory, place: int) -> None:
    """Each KV block has as many users as tables of running requests have it; those without any are free."""
    replica = state.replicas[place]
    first, blocks = int(replica["first_block"]), int(replica["num_blocks"])
    running = state.running[replica["first_seat"] :][: replica["running"]]
    tables = [state.table[seat][: state.seats["owned"][seat]] - first for seat in running]
    users = np.bincount(np.concatenate([*tables, np.empty(0, np.int64)]).astype(np.int64), minlength=blocks)
    assert len(users) == blocks, "a block of another replica"
    null = 0
    assert not users[null]
    assert (users[1:] == state.blocks["users"][first + 1 : first + blocks]).all()
    assert np.count_nonzero(users == 0) - 1 == replica["free_blocks"]
