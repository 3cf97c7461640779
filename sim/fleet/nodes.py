"""Nodes: GPUs of one machine, rented or owned, with the replicas that stand on them; and what is paid for."""

from dataclasses import dataclass, field

import simpy

from sim.result import State

FREE, BROKEN = -1, -2
"""What holds a GPU, if it is no replica."""


@dataclass(slots=True, eq=False)
class Replica:
    """One replica's life at a place in the fleet."""

    place: int
    pool: int
    state: State
    nodes: list["Node"] = field(default_factory=list)
    process: simpy.Process | None = None
    """Its start, while it starts."""
    doomed: bool = False
    """A node of it has notice of a reclaim, or it is scaled in."""
    life: int = 0
    """Counts its states, so that what was planned for one of them is dropped with it."""
    downs: int = 0
    """How often it died."""
    crashed_ns: int | None = None
    crashes: int = 0
    """In a row, each within ten minutes of the one before."""


@dataclass(slots=True, eq=False)
class Node:
    """One machine."""

    number: int
    pool: int
    zone: int
    gpus: list[int]
    """Of each GPU the place of the replica on it, or FREE, or BROKEN."""
    ready: simpy.Event
    """Fires when it takes containers."""
    alive: bool = True
    has_weights: bool = False
    noticed: bool = False
    """It will be reclaimed."""
    bought: bool = False
    """The spot market has sold it."""
    paid: bool = False
    """It runs, and is paid for."""
    replicas: list[Replica] = field(default_factory=list)
    process: simpy.Process | None = None
    """Its start."""
    losses: int = 0
    """How often it fell silent."""
    runs: int = 0
    """How often it began to run: first, and after repairs."""
    mended: dict[int, int] = field(default_factory=dict)
    """How often each GPU was replaced."""

    @property
    def free(self) -> int:
        """GPUs that work and hold no replica."""
        return self.gpus.count(FREE)

    def age(self, gpu: int | None) -> tuple[int, int]:
        """What changes when the node, or this GPU of it, begins to run anew."""
        return self.runs, 0 if gpu is None else self.mended.get(gpu, 0)

    def seat(self, replica: Replica, gpus: int) -> None:
        """Put a replica on so many free GPUs."""
        for index, holder in enumerate(self.gpus):
            if gpus and holder == FREE:
                self.gpus[index] = replica.place
                gpus -= 1
        self.replicas.append(replica)
        replica.nodes.append(self)

    def unseat(self, replica: Replica) -> None:
        """Free its GPUs, broken ones apart."""
        self.gpus = [FREE if holder == replica.place else holder for holder in self.gpus]
        self.replicas.remove(replica)


@dataclass(slots=True, eq=False)
class Lease:
    """GPUs of a node that are paid for; open until `end_ns` is known."""

    node: int
    pool: int
    zone: int
    gpus: int
    start_ns: int
    end_ns: int | None = None


class Ledger:
    """All leases of a run."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []
        self._open: dict[tuple[int, int], Lease] = {}

    def begin(self, node: Node, holder: int, gpus: int, now: int) -> None:
        """Pay for `gpus` of a node from now on; `holder`: the place whose GPUs they are, FREE for the node's own."""
        lease = Lease(node.number, node.pool, node.zone, gpus, now)
        self._open[node.number, holder] = lease
        self.leases.append(lease)

    def end(self, node: Node, holder: int, now: int) -> None:
        """Pay no more; nothing happens if nothing was paid."""
        lease = self._open.pop((node.number, holder), None)
        if lease is not None:
            lease.end_ns = now
