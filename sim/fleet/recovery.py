"""Failures as they strike, and how they are noticed and mended: health checks, Kubernetes, repair."""

from collections.abc import Callable

import numpy as np
import simpy

from sim.fleet.durations import sampler
from sim.fleet.fleet import SERVING, Fleet
from sim.fleet.nodes import BROKEN, FREE, Node, Replica
from sim.gateway import Door
from sim.result import Cause, State
from sim.scenario.recovery import Health, Recovery
from sim.units import NS_PER_S, seconds_to_ns

_BACKOFF_NS, _LONGEST_BACKOFF_NS, _FORGIVEN_NS = 10 * NS_PER_S, 300 * NS_PER_S, 600 * NS_PER_S
"""kubelet's CrashLoopBackOff: 10 s, doubled up to 300 s, forgotten after 10 minutes without a crash (Kubernetes
documentation, Pod Lifecycle, "Container restarts")."""


class Noticing:
    """When the router's health checks see something; their phase is drawn for each replica."""

    def __init__(self, health: Health, rng: np.random.Generator) -> None:
        self._health = health
        self._rng = rng

    def out_ns(self) -> int:
        """From a failure to the check after which the replica is out."""
        return self._until(self._health.failures)

    def in_ns(self) -> int:
        """From ready to the check after which the replica is in."""
        return self._until(self._health.successes)

    @property
    def sees_hangs(self) -> bool:
        """Whether a hung engine fails the checks."""
        return self._health.probe == "inference"

    def _until(self, checks: int) -> int:
        return seconds_to_ns(self._health.period_s * (checks - self._rng.random()))


class Repairs:
    """Replicas crash and hang, GPUs break, nodes vanish; each is noticed and mended in its own way."""

    def __init__(self, fleet: Fleet, spec: Recovery, noticing: Noticing, rng: np.random.Generator) -> None:
        """`rng` draws the times of repairs."""
        self._fleet = fleet
        self._world = fleet.world
        self._noticing = noticing
        self._eviction_ns = seconds_to_ns(spec.node_grace_s + spec.toleration_s)
        self._restart_ns = seconds_to_ns(spec.restart_s)
        self._repair_ns = None if spec.repair is None else sampler(spec.repair, rng)
        self._crews = simpy.Resource(self._world, spec.repair_crews) if spec.repair_crews else None

    def crash(self, replica: Replica, for_ns: int | None = None, cause: Cause = Cause.CRASH) -> None:
        """The engine process dies: its connections break at once, and kubelet starts it again on the spot."""
        if replica.state is State.DRAINING:
            self._fleet.let_go(replica, cause)
            return
        self._down(replica, Door.REFUSING, cause)
        if for_ns is not None:
            self._fleet.later(for_ns, replica, lambda: self._back(replica))
        else:
            self._fleet.later(self._restart_ns + self._backoff_ns(replica), replica, lambda: self._restart(replica))

    def hang(self, replica: Replica, for_ns: int | None = None) -> None:
        """The engine serves nothing more and says that it is well."""
        self._world.engines.halt(replica.place, self._fleet.now)
        if replica.doomed:  # it never comes to its end, but the time to drain does
            return
        self._fleet.enter(replica, State.HUNG, Cause.HANG)
        if for_ns is not None:
            self._fleet.later(for_ns, replica, lambda: self._back(replica))
        elif self._noticing.sees_hangs:
            self._fleet.later(self._noticing.out_ns(), replica, lambda: self._kill(replica))

    def break_gpu(self, node: Node, gpu: int, for_ns: int | None = None) -> None:
        """A GPU is lost, and with it the replica that stands on it; the rest of the node goes on."""
        replica = self._fleet.at(node.gpus[gpu])
        if replica is not None and for_ns is not None and not replica.doomed:
            self._down(replica, Door.REFUSING, Cause.GPU)
            self._fleet.later(for_ns, replica, lambda: self._back(replica))
            return
        node.gpus[gpu] = BROKEN
        if for_ns is not None or self._repair_ns is not None:
            self._world.process(self._mend_gpu(node, gpu, for_ns))
        if replica is None:
            return
        if replica.doomed:
            self._fleet.let_go(replica, Cause.GPU)
            return
        self._down(replica, Door.REFUSING, Cause.GPU)
        self._fleet.later(self._noticing.out_ns(), replica, lambda: self._fleet.let_go(replica, Cause.GPU))

    def lose(self, node: Node, cause: Cause, for_ns: int | None = None) -> None:
        """A node falls silent, with all that stands on it: clients hear nothing until somebody notices."""
        self._fleet.lose(node)
        for replica in list(node.replicas):
            if replica.doomed:
                self._fleet.let_go(replica, cause)
            else:
                self._down(replica, Door.SILENT, cause)
        if for_ns is not None:
            self._world.process(self._return(node, for_ns))
        else:
            self._world.process(self._replace(node, cause))
            if self._repair_ns is not None:
                self._world.process(self._mend(node))

    # What follows a failure

    def _kill(self, replica: Replica) -> None:
        """A hang is noticed: out of the routers with it, and a new process."""
        self._fleet.gateway.eject(replica.place)
        self.crash(replica, cause=Cause.HANG)

    def _down(self, replica: Replica, door: Door, cause: Cause) -> None:
        """A replica is dead, and the health checks will see it."""
        self._fleet.stop(replica)
        self._fleet.enter(replica, State.DEAD, cause)
        self._fleet.gateway.fail(replica.place, door)
        replica.downs += 1
        wake = self._world.timeout(self._noticing.out_ns())
        assert wake.callbacks is not None
        downs = replica.downs  # a process that starts fails its checks too: not `Fleet.later`
        wake.callbacks.append(lambda _: self._out(replica) if replica.downs == downs else None)

    def _out(self, replica: Replica) -> None:
        """The checks have failed: the gateway believes in a replica no more, and what stands in for it is asked for."""
        if not self._world.over and self._fleet.at(replica.place) is replica and replica.state not in SERVING:
            self._fleet.gateway.eject(replica.place)
            self._fleet.reconcile(replica.pool)

    def _restart(self, replica: Replica) -> None:
        self._fleet.gateway.fail(replica.place, Door.REFUSING)  # on a node that was silent, connections break now
        self._fleet.start(replica)

    def _back(self, replica: Replica) -> None:
        """A drill is over: ready, and known to be."""
        self._fleet.gateway.eject(replica.place)
        self._fleet.gateway.fail(replica.place, Door.REFUSING)
        self._fleet.gateway.admit(replica.place)
        self._fleet.ready(replica, 0)

    def _backoff_ns(self, replica: Replica) -> int:
        now, before = self._fleet.now, replica.crashed_ns
        replica.crashes = replica.crashes + 1 if before is not None and now - before < _FORGIVEN_NS else 0
        replica.crashed_ns = now
        return min(_BACKOFF_NS << (replica.crashes - 1), _LONGEST_BACKOFF_NS) if replica.crashes else 0

    def _return(self, node: Node, for_ns: int) -> simpy.events.ProcessGenerator:
        """A drill on a node is over: everything on it is as before."""
        yield self._world.timeout(for_ns)
        self._revive(node, self._back)

    def _replace(self, node: Node, cause: Cause) -> simpy.events.ProcessGenerator:
        """Kubernetes: the node is noticed after the grace period, its pods are evicted after the toleration."""
        losses = node.losses
        yield self._world.timeout(self._eviction_ns)
        if self._world.over or node.alive or node.losses != losses:
            return
        for replica in list(node.replicas):
            self._fleet.let_go(replica, cause)

    def _mend(self, node: Node) -> simpy.events.ProcessGenerator:
        """A node is repaired: what still waits on it starts again, else it has room for others."""
        yield from self._repair()
        self._revive(node, self._restart)

    def _revive(self, node: Node, bring: Callable[[Replica], None]) -> None:
        """A node is there again; of the nodes of one replica, the last brings it back, unless a GPU broke meanwhile."""
        if self._world.over or node not in self._fleet.nodes:
            return
        waiting = list(node.replicas)
        self._fleet.repaired(node)
        for replica in waiting:
            if replica.state is not State.DEAD or not all(one.alive for one in replica.nodes):
                continue
            if self._fleet.is_whole(replica):
                bring(replica)
            else:
                self._fleet.let_go(replica, Cause.GPU)

    def _mend_gpu(self, node: Node, gpu: int, for_ns: int | None) -> simpy.events.ProcessGenerator:
        if for_ns is not None:
            yield self._world.timeout(for_ns)
        else:
            yield from self._repair()
        if self._world.over or node not in self._fleet.nodes:
            return
        if node.gpus[gpu] == BROKEN:
            node.gpus[gpu] = FREE
        self._fleet.replaced(node, gpu)

    def _repair(self) -> simpy.events.ProcessGenerator:
        """Wait for a crew, then for it to finish."""
        assert self._repair_ns is not None
        if self._crews is None:
            yield self._world.timeout(self._repair_ns())
            return
        with self._crews.request() as turn:
            yield turn
            yield self._world.timeout(self._repair_ns())


def can_fail(replica: Replica) -> bool:
    """Whether there is a process that could crash or hang."""
    return replica.state in SERVING and replica.state is not State.HUNG
