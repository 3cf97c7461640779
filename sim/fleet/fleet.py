"""The fleet: which replicas there are, on which nodes, and in which state; it brings them up and lets them go."""

import heapq
from collections.abc import Callable, Generator, Sequence

import simpy

from sim.deployment import Deployment
from sim.fleet.nodes import FREE, Ledger, Node, Replica
from sim.fleet.startup import StartTimes
from sim.gateway import Door, Gateway
from sim.places import Places
from sim.result import Cause, State
from sim.scenario.fleet import Pool
from sim.scenario.scenario import Scenario
from sim.units import seconds_to_ns
from sim.world import World

Seller = Callable[[Node], Generator[simpy.Event, None, None]]
"""Waits until the market gives a node, and says in which zone."""

SERVING = (State.READY, State.DRAINING, State.HUNG)
_RENTED = ("on_demand", "spot")


class Fleet:
    """Keeps each pool at the number of replicas that is wanted."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        deployments: Sequence[Deployment],
        places: Places,
        gateway: Gateway,
        starts: StartTimes,
        admission_ns: Callable[[], int],
    ) -> None:
        """Lay out an empty fleet; `begin` fills it.

        Args:
            world: the clock and the engines.
            scenario: pools and billing.
            deployments: one a pool.
            places: where replicas can stand.
            gateway: is told whom to route to.
            starts: how long starts take.
            admission_ns: draws the time from ready to the health check that lets a replica in.
        """
        self.world = world
        self.gateway = gateway
        self.pools: tuple[Pool, ...] = scenario.fleet
        self.replicas: list[Replica] = []
        """Those that are not gone."""
        self.nodes: list[Node] = []
        """Those that are there, or asked for, or lost and not given up."""
        self.wanted = list(places.begin)
        """Replicas that each pool should have; what it adds as a fallback comes on top."""
        self.events: list[tuple[int, int, int, State, Cause]] = []
        """Time, place, node, state, cause."""
        self.ledger = Ledger()
        self.sellers: dict[int, Seller] = {}
        """Of pools whose market may have no node to sell."""
        self.on_ready: list[Callable[[Replica], None]] = []
        self.on_node: list[Callable[[Node, int | None], None]] = []
        """Called with nodes that begin to run, or with one GPU of them that was replaced."""
        self._places = places
        self._free = [list(one) for one in places.of_pool]
        self._gpus = [one.layout.gpus for one in deployments]
        self._per_node = [one.gpu.gpus_per_node for one in deployments]
        self._by_node = scenario.cost.billed_by == "node"
        self._cold = scenario.startup.cold
        self._nodes_there = not (self._cold and scenario.startup.cold_nodes)
        self._drain_ns = seconds_to_ns(scenario.recovery.drain_s)
        self._starts = starts
        self._admission_ns = admission_ns
        self._numbers = 0
        self._at: dict[int, Replica] = {}

    @property
    def now(self) -> int:
        """The clock, ns."""
        return int(self.world.now)

    def begin(self) -> None:
        """Fill the fleet: ready at once, or, with a cold start, asked for now. Owned nodes are there in any case."""
        for pool, spec in enumerate(self.pools):
            if spec.market not in _RENTED:
                self._own(pool)
            for _ in range(self.wanted[pool]):
                self._add(pool, warm=not self._cold)
        self._nodes_there = False
        for pool in range(len(self.pools)):
            self.reconcile(pool)

    def at(self, place: int) -> Replica | None:
        """The replica that stands at a place."""
        return self._at.get(place)

    def serving(self) -> list[int]:
        """Places whose replicas serve."""
        return [one.place for one in self.replicas if one.state in SERVING]

    def of(self, pool: int) -> list[Replica]:
        """Replicas of a pool that count: the others drain or are about to be taken away."""
        return [one for one in self.replicas if one.pool == pool and not one.doomed]

    def is_whole(self, replica: Replica) -> bool:
        """Whether a replica has all its GPUs."""
        return sum(node.gpus.count(replica.place) for node in replica.nodes) == self._gpus[replica.pool]

    def first_place(self, pool: int) -> int:
        """The first place of a pool."""
        return self._places.of_pool[pool][0]

    def target(self, pool: int) -> int:
        """Replicas that a pool should have, without what it over-provisions."""
        spot = self.pools[pool].spot
        return self.wanted[pool] - (spot.over_provision if spot else 0)

    def want(self, pool: int, replicas: int) -> None:
        """Change the number that a pool should have (what it over-provisions comes on top)."""
        spot = self.pools[pool].spot
        self.wanted[pool] = replicas + (spot.over_provision if spot else 0)
        self.reconcile(pool)

    def reconcile(self, pool: int) -> None:
        """Add what is missing, or let go what is too much; then mind the pools that stand in for this one."""
        there = self.of(pool)
        missing = self.wanted[pool] + self._standing_in(pool) - len(there)
        while missing > 0 and self._add(pool, warm=False):
            missing -= 1
        while missing < 0 and len(there := self.of(pool)) > self.wanted[pool] + self._standing_in(pool):
            self.drain(min(there, key=self._dispensable), Cause.SCALING, self._drain_ns)
        for other, spec in enumerate(self.pools):
            if spec.fallback_for == self.pools[pool].pool:
                self.reconcile(other)

    def _standing_in(self, pool: int) -> int:
        """SkyServe's dynamic fallback: min(N, N + extra - ready spot replicas), never below 0 (arXiv 2411.01438)."""
        name = self.pools[pool].fallback_for
        if name is None:
            return 0
        spot = next(index for index, one in enumerate(self.pools) if one.pool == name)
        ready = sum(one.state is State.READY for one in self.of(spot))
        return min(self.target(spot), max(0, self.wanted[spot] - ready))

    def _dispensable(self, replica: Replica) -> tuple[bool, int, int]:
        """Those that serve nothing first, then those with least to finish, the newest among equals."""
        outstanding = int(self.world.engines.state.outstanding[replica.place])
        return replica.state is State.READY, outstanding, -replica.place

    # Replicas

    def enter(self, replica: Replica, state: State, cause: Cause = Cause.PLAN) -> None:
        """A replica changes its state."""
        replica.state = state
        replica.life += 1
        self._note(replica, state, cause)

    def _note(self, replica: Replica, state: State, cause: Cause) -> None:
        number = replica.nodes[0].number if replica.nodes else -1
        self.events.append((self.now, replica.place, number, state, cause))

    def _add(self, pool: int, *, warm: bool) -> bool:
        """Give a pool one more replica; False if there is no place or, on owned nodes, no room."""
        if not self._free[pool] or not self._has_room(pool):
            return False
        replica = Replica(heapq.heappop(self._free[pool]), pool, State.REQUESTED)
        self.replicas.append(replica)
        self._at[replica.place] = replica
        self._seat(replica)
        if warm:
            for node in replica.nodes:
                node.has_weights = True
            self.enter(replica, State.READY)
            for hook in self.on_ready:
                hook(replica)
        else:
            self.enter(replica, State.REQUESTED, Cause.SCALING)
            self.start(replica)
        return True

    def start(self, replica: Replica) -> None:
        """Bring a replica up on its nodes, as soon as they are ready."""
        replica.process = self.world.process(self._start(replica))

    def _start(self, replica: Replica) -> Generator[simpy.Event, None, None]:
        starts, through = self._starts, None
        try:
            for node in list(replica.nodes):
                if not node.ready.triggered:
                    yield node.ready
            self.enter(replica, State.STARTING)
            yield self.world.timeout(starts.process())
            self.enter(replica, State.LOADING)
            if all(node.has_weights for node in replica.nodes):
                yield self.world.timeout(starts.from_disk(replica.pool))
            else:
                through = starts.store.transfer(starts.weights[replica.pool], starts.node_bytes_per_s)
                yield through
                for node in replica.nodes:
                    node.has_weights = True
            self.enter(replica, State.COMPILING)
            yield self.world.timeout(starts.compile())
            self.enter(replica, State.WARMING)
            yield self.world.timeout(starts.warm())
        except simpy.Interrupt:
            if through is not None:
                starts.store.cancel(through)
            return
        replica.process = None
        self.ready(replica, self._admission_ns())

    def ready(self, replica: Replica, admission_ns: int) -> None:
        """A replica can serve; a gateway that does not believe in it learns that after a time."""
        self.enter(replica, State.READY)
        self.gateway.listen(replica.place)
        self.later(admission_ns, replica, lambda: self.gateway.admit(replica.place))
        for hook in self.on_ready:
            hook(replica)
        self.reconcile(replica.pool)

    def later(self, delay_ns: int, replica: Replica, act: Callable[[], None]) -> None:
        """Act after a time, unless the replica has changed its state by then."""
        life = replica.life
        wake = self.world.timeout(delay_ns)
        assert wake.callbacks is not None
        wake.callbacks.append(lambda _: act() if replica.life == life and not self.world.over else None)

    def drain(self, replica: Replica, cause: Cause, within_ns: int) -> None:
        """Let a replica finish what it has, within a time; one that does not serve goes at once."""
        if replica.doomed:
            return
        replica.doomed = True
        if replica.state is not State.READY:
            self.let_go(replica, cause)
            return
        self.enter(replica, State.DRAINING, cause)
        self.gateway.drain(replica.place)
        self.later(within_ns, replica, lambda: self.let_go(replica, cause))
        self.left(replica.place)

    def left(self, place: int) -> None:
        """A try has left a place: if it was the last of a draining replica, that is gone."""
        replica = self._at.get(place)
        if replica is None or replica.state is not State.DRAINING:
            return
        if self.world.engines.state.outstanding[place] == 0:
            self.let_go(replica, Cause.PLAN)

    def let_go(self, replica: Replica, cause: Cause) -> None:
        """A replica is no more: what it still held is lost, its GPUs are free, its place too."""
        if replica.state is State.GONE:
            return
        self.stop(replica)
        self.enter(replica, State.GONE, cause)
        self.gateway.fail(replica.place, Door.REFUSING)
        self.gateway.eject(replica.place)
        self.replicas.remove(replica)
        del self._at[replica.place]
        heapq.heappush(self._free[replica.pool], replica.place)
        for node in replica.nodes:
            node.unseat(replica)
            if not self._by_node and self.pools[replica.pool].market in _RENTED:
                self.ledger.end(node, replica.place, self.now)
            if not node.replicas and self.pools[node.pool].market in _RENTED:
                self.give_up(node)
        self.reconcile(replica.pool)

    def stop(self, replica: Replica) -> None:
        """Interrupt its start."""
        if replica.process is not None and replica.process.is_alive:
            replica.process.interrupt()
        replica.process = None

    # Nodes

    def _own(self, pool: int) -> None:
        """The nodes of a pool that is owned or reserved: they are there and paid for from 0 s on."""
        gpus, per_node, replicas = self._gpus[pool], self._per_node[pool], self.pools[pool].replicas
        fit = per_node // gpus
        if fit:
            used = [gpus * min(fit, replicas - done) for done in range(0, replicas, fit)]
        else:
            used = [min(per_node, gpus - done) for _ in range(replicas) for done in range(0, gpus, per_node)]
        for count in used:
            node = self._node(pool, per_node if self._by_node or not fit else count)
            node.ready.succeed()
            node.paid = True
            self.ledger.begin(node, FREE, per_node if self._by_node else count, self.now)
            self._runs(node)

    def _room(self, pool: int) -> Node | None:
        gpus = min(self._gpus[pool], self._per_node[pool])  # of several nodes a replica takes whole ones
        able = (one for one in self.nodes if one.pool == pool and one.alive and not one.noticed)
        return next((one for one in able if one.free >= gpus), None)

    def _has_room(self, pool: int) -> bool:
        if self.pools[pool].market in _RENTED:
            return True
        gpus, per_node = self._gpus[pool], self._per_node[pool]
        if gpus <= per_node:
            return self._room(pool) is not None
        whole = [one for one in self.nodes if one.pool == pool and one.alive and one.free == per_node]
        return len(whole) * per_node >= gpus

    def _seat(self, replica: Replica) -> None:
        """Put a replica on nodes that have room, or on new ones."""
        pool, left = replica.pool, self._gpus[replica.pool]
        while left > 0:
            take = min(left, self._per_node[pool])
            node = self._room(pool)
            if node is None:
                node = self._node(pool, self._per_node[pool])
                if self._nodes_there:
                    node.ready.succeed()
                    self._rent(node)
                else:
                    node.process = self.world.process(self._bring_up(node))
            node.seat(replica, take)
            if node.paid and not self._by_node and self.pools[pool].market in _RENTED:
                self.ledger.begin(node, replica.place, take, self.now)
            left -= take

    def _node(self, pool: int, gpus: int) -> Node:
        node = Node(self._numbers, pool, self.sparsest(pool), [FREE] * gpus, self.world.event())
        self._numbers += 1
        self.nodes.append(node)
        return node

    def sparsest(self, pool: int, zones: Sequence[int] | None = None) -> int:
        """The zone, of these or all, with the fewest nodes of a pool."""
        mine = [one.zone for one in self.nodes if one.pool == pool]
        return min(range(max(len(self.pools[pool].zones), 1)) if zones is None else zones, key=mine.count)

    def _bring_up(self, node: Node) -> Generator[simpy.Event, None, None]:
        """From the request to a node that takes containers; its replicas show how far it is."""
        try:
            if node.pool in self.sellers:
                yield from self.sellers[node.pool](node)
            yield self.world.timeout(self._starts.provision())
            self._rent(node)
            for state, draw in ((State.BOOTING, self._starts.boot), (State.IMAGE, self._starts.image)):
                for replica in node.replicas:
                    if replica.process is not None:  # it has not died meanwhile, with another of its nodes
                        self.enter(replica, state)
                yield self.world.timeout(draw())
        except simpy.Interrupt:
            return
        node.ready.succeed()

    def _rent(self, node: Node) -> None:
        """The instance runs: from now on it is paid for, and may fail."""
        node.paid = True
        if self._by_node:
            self.ledger.begin(node, FREE, len(node.gpus), self.now)
        else:
            for replica in node.replicas:
                self.ledger.begin(node, replica.place, node.gpus.count(replica.place), self.now)
        self._runs(node)

    def _runs(self, node: Node) -> None:
        node.runs += 1
        for hook in self.on_node:
            hook(node, None)

    def repaired(self, node: Node) -> None:
        """A node works again, and takes containers."""
        node.alive = True
        if not node.ready.triggered:
            node.ready.succeed()
        self._runs(node)
        self.reconcile(node.pool)

    def replaced(self, node: Node, gpu: int) -> None:
        """A GPU of a node works again."""
        node.mended[gpu] = node.mended.get(gpu, 0) + 1
        for hook in self.on_node:
            hook(node, gpu)
        self.reconcile(node.pool)

    def lose(self, node: Node) -> None:
        """A node falls silent; if it was still on its way up, it stays where it is."""
        node.alive = False
        node.losses += 1
        if node.process is not None and node.process.is_alive:
            node.process.interrupt()

    def give_up(self, node: Node) -> None:
        """Return a rented node."""
        if node not in self.nodes:
            return
        self.lose(node)
        self.nodes.remove(node)
        if self.pools[node.pool].market in _RENTED:
            self.ledger.end(node, FREE, self.now)
