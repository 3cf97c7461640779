"""Routers: which replica serves a request. Each sees the fleet as it was at its last refresh, and its own choices."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray

from sim.kernel.probe import least
from sim.scenario import fleet as spec
from sim.scenario.fleet import Router as RouterSpec
from sim.units import NS_PER_MS
from sim.world import World

Loads = NDArray[np.int64]


class Router(Protocol):
    """Chooses among the replicas that serve one model."""

    def choose(self, request: int) -> int:
        """Index, among its members, of the replica for a request that arrives now; there must be one."""
        ...

    def change(self, members: NDArray[np.int32]) -> None:
        """Choose among these replicas from now on."""
        ...


class View:
    """What a router knows of its members: engine gauges, refreshed every `staleness_ms` (0: always exact).

    Between refreshes it adds what it has routed itself, and does not see what has ended.
    """

    def __init__(self, world: World, members: NDArray[np.int32], staleness_ms: float) -> None:
        self.engines = world.engines
        self.members = members
        state = world.engines.state
        self._gauges: dict[str, Loads] = {name: state.replicas[name] for name in ("running", "waiting", "free_blocks")}
        self._gauges["outstanding"] = state.outstanding
        self._everyone = len(state.replicas)
        self._all = len(members) == self._everyone
        self._world = world
        self._period = round(staleness_ms * NS_PER_MS)
        self._refreshing = False
        self._seen = self._now()

    def change(self, members: NDArray[np.int32]) -> None:
        """See these replicas from now on: those it knows as it knew them, new ones as they are."""
        before, known = self.members, self._seen
        self.members = members
        self._all = len(members) == self._everyone
        self._seen = self._now()
        _, new, old = np.intersect1d(members, before, assume_unique=True, return_indices=True)
        for name, values in known.items():
            self._seen[name][new] = values[old]

    def _now(self) -> dict[str, Loads]:
        return {name: gauge[self.members] for name, gauge in self._gauges.items()}

    def of(self, name: str) -> Loads:
        """A gauge of every member, as far as known: running, waiting, free_blocks or outstanding."""
        if self._period > 0:
            return self._seen[name]
        gauge = self._gauges[name]
        return gauge if self._all else gauge[self.members]

    def sent(self, index: int) -> None:
        """Count a request that was just routed to a member, until the next refresh."""
        if self._period > 0:
            self._seen["outstanding"][index] += 1
            self._seen["waiting"][index] += 1
            if not self._refreshing:
                self._refreshing = True
                self._world.process(self._refresh())

    def _refresh(self) -> Generator[simpy.Event, None, None]:
        """Refresh at multiples of the period until the members are idle: then nothing changes unseen."""
        while self._refreshing:
            yield self._world.timeout(self._period - int(self._world.now) % self._period)
            self._seen = self._now()
            self._refreshing = bool(self._seen["outstanding"].any())


class RoundRobin:
    """In turn."""

    def __init__(self, members: int) -> None:
        self._members = members
        self._turn = -1

    def choose(self, request: int) -> int:  # noqa: ARG002
        """The next one."""
        self._turn = (self._turn + 1) % self._members
        return self._turn

    def change(self, members: NDArray[np.int32]) -> None:
        """Go on in turn among these."""
        self._members = len(members)


class Random:
    """Uniformly at random."""

    def __init__(self, members: int, rng: np.random.Generator) -> None:
        self._members = members
        self._rng = rng

    def choose(self, request: int) -> int:  # noqa: ARG002
        """Any one."""
        return int(self._rng.integers(self._members))

    def change(self, members: NDArray[np.int32]) -> None:
        """Any of these."""
        self._members = len(members)


Score = Callable[[View], NDArray[Any]]


class LeastScore:
    """The member with the smallest score; ties in turn."""

    def __init__(self, view: View, score: Score) -> None:
        self._view = view
        self._score = score
        self._turn = 0

    def choose(self, request: int) -> int:  # noqa: ARG002
        """The best one; the scan starts one further each time."""
        index = int(least(self._score(self._view), self._turn))
        self._view.sent(index)
        self._turn += 1
        return index

    def change(self, members: NDArray[np.int32]) -> None:
        """The best of these."""
        self._view.change(members)


class PowerOfTwo:
    """The less loaded of two different random members (Mitzenmacher, IEEE TPDS 2001)."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        self._view = view
        self._rng = rng

    def choose(self, request: int) -> int:  # noqa: ARG002
        """The better of two."""
        loads = self._view.of("outstanding")
        first = int(self._rng.integers(len(loads)))
        second = int(self._rng.integers(len(loads) - 1)) if len(loads) > 1 else first
        second += second >= first and len(loads) > 1
        index = second if loads[second] < loads[first] else first
        self._view.sent(index)
        return index

    def change(self, members: NDArray[np.int32]) -> None:
        """Two of these."""
        self._view.change(members)


@dataclass(slots=True)
class PrefixAffinity:
    """The member that holds most of the prompt, unless it is `max_imbalance` requests above the least loaded one.

    Its knowledge of the caches is exact; that of the loads is as old as its view.
    """

    view: View
    max_imbalance: float
    turn: int = 0

    def choose(self, request: int) -> int:
        """The one that knows the prompt, or the least loaded."""
        loads = self.view.of("outstanding")
        hits = self.view.engines.cached_blocks(self.view.members, request)
        # most cached blocks first, then least loaded
        index = int(least(loads - hits * (int(loads.max()) + 1), self.turn))
        if loads[index] > loads.min() + self.max_imbalance:
            index = int(least(loads, self.turn))
        self.view.sent(index)
        self.turn += 1
        return index

    def change(self, members: NDArray[np.int32]) -> None:
        """Among these."""
        self.view.change(members)


class Several:
    """Routers side by side, as API servers are: requests come to them in turn."""

    def __init__(self, routers: Sequence[Router]) -> None:
        self._routers = routers
        self._turn = 0

    def choose(self, request: int) -> int:
        """What the next of them chooses."""
        self._turn += 1
        return self._routers[(self._turn - 1) % len(self._routers)].choose(request)

    def change(self, members: NDArray[np.int32]) -> None:
        """Tell them all."""
        for one in self._routers:
            one.change(members)


def _vllm_dp_score(view: View) -> NDArray[np.float64]:
    """Data-parallel score of vLLM 0.32, of one API server (vllm/v1/engine/core_client.py:1642-1697)."""
    waiting, running = view.of("waiting"), view.of("running")
    used = 1 - view.of("free_blocks") / view.engines.kv_blocks(view.members)
    load = np.maximum(view.of("outstanding"), waiting + running)
    return np.asarray(load + np.where(waiting > 0, waiting * 6 * np.maximum(0.0, used - 0.5), 0.0))


def _fewest_outstanding(view: View) -> Loads:
    return view.of("outstanding")


def _kv_pressure(view: View) -> NDArray[np.float64]:
    """Used share of the KV blocks, plus one for each waiting request: those will want blocks first."""
    free = view.of("free_blocks") / view.engines.kv_blocks(view.members)
    return np.asarray(view.of("waiting") + 1 - free)


def build(router: RouterSpec, world: World, members: NDArray[np.int32], rng: np.random.Generator) -> Router:
    """The router of a scenario, before the replicas `members` (int32)."""
    if isinstance(router, spec.RoundRobin):
        return RoundRobin(len(members))
    if isinstance(router, spec.Random):
        return Random(len(members), rng)
    several = [_informed(router, View(world, members, router.staleness_ms), rng) for _ in range(router.routers)]
    return several[0] if len(several) == 1 else Several(several)


def _informed(router: spec.Informed, view: View, rng: np.random.Generator) -> Router:
    if isinstance(router, spec.PowerOfTwo):
        return PowerOfTwo(view, rng)
    if isinstance(router, spec.PrefixAffinity):
        return PrefixAffinity(view, router.max_imbalance)
    scores: dict[str, Score] = {
        "least_outstanding": _fewest_outstanding,
        "vllm_dp": _vllm_dp_score,
        "kv_aware": _kv_pressure,
    }
    return LeastScore(view, scores[router.kind])
