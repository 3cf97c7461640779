"""The gateway: admission, one router a model, and the API servers of the replicas behind it."""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from sim import router
from sim.classes import class_models, class_priorities, serving_pools
from sim.deployment import Deployment
from sim.places import Places
from sim.request import Requests
from sim.result import Ending
from sim.scenario.scenario import Scenario
from sim.units import seconds_to_ns
from sim.world import World

Rows = Iterable[int]


class Door(Enum):
    """What becomes of a try that is handed to a replica."""

    OPEN = "served"
    REFUSING = "connection refused: the node is there, the process is not"
    SILENT = "no answer at all: the node is gone"


class Gateway:
    """Takes tries (rows of the engines) from clients and hands them to replicas; it routes to those it believes in."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        deployments: Sequence[Deployment],
        places: Places,
        requests: Requests,
        rng: np.random.Generator,
    ) -> None:
        """Build the routers; places that are filled at 0 s are routed to from the start, unless the start is cold."""
        self._world = world
        self._engines = world.engines
        self._requests = requests
        pools = places.pools
        self._max_model_len = [deployments[pool].defaults.max_model_len for pool in pools]
        self._frontend_ns = [seconds_to_ns(deployments[pool].step_time.frontend_s) for pool in pools]
        self._cap = [deployments[pool].engine.max_num_queued_reqs for pool in pools]
        self._shed_above = scenario.admission.shed_above
        self._spared = _spared(scenario, requests)
        serving = serving_pools(scenario, deployments, requests)
        self._router_of_class = [list(serving).index(model) for model in class_models(scenario, requests)]
        self._group = np.full(len(pools), -1, np.int32)
        self._longest: list[int] = []
        self._shortest: list[int] = []
        self._members: list[list[int]] = []
        self._routers: list[router.Router] = []
        for group, chosen in enumerate(serving.values()):
            self._group[np.isin(pools, chosen)] = group
            lengths = [deployments[pool].defaults.max_model_len for pool in chosen]
            self._longest.append(max(lengths))
            self._shortest.append(min(lengths))
            filled = [] if scenario.startup.cold else [place for pool in chosen for place in places.first(pool)]
            self._members.append(filled)
            self._routers.append(router.build(scenario.router, world, np.array(filled, np.int32), rng))
        self._door = [Door.OPEN] * len(pools)
        self._draining: set[int] = set()
        self._on_the_way: dict[int, int] = {}
        self._unheard: dict[int, int] = {}
        self.arrivals = [0] * len(serving)
        """Tries that came in for each model."""
        self.lost: Callable[[list[int]], None] = _ignore
        """Called with tries whose connection broke."""
        self.left: Callable[[int], None] = _ignore
        """Called with a place when a try there was cancelled."""

    @property
    def open(self) -> int:
        """Tries that are routed and in no engine: on their way through the front end, or on a node that is gone."""
        return len(self._on_the_way) + len(self._unheard)

    def group(self, place: int) -> int:
        """Index of the model that is served at a place; -1 if no request asks for it."""
        return int(self._group[place])

    def room(self, request: int) -> int:
        """Longest answer to a request that every replica can give."""
        shortest = self._shortest[self._router_of_class[self._requests.klass[request]]]
        return int(shortest - self._requests.prompt_tokens[request])

    def send(self, row: int, request: int, *, watched: bool) -> Ending | None:
        """Route a try; returns how it ended if it is refused at once, else None.

        It is routed, or refused, when it is sent, and reaches the engine's queue as much later as the front end takes.
        """
        requests = self._requests
        group = self._router_of_class[requests.klass[request]]
        self.arrivals[group] += 1
        length = int(requests.prompt_tokens[request]) + int(requests.max_tokens[request])
        if length > self._longest[group]:  # refused by the API server, before any engine is chosen
            return Ending.REJECTED
        members = self._members[group]
        if not members:
            return Ending.UNAVAILABLE
        if self._shed_above is not None and not self._spared[request] and self._load(members) > self._shed_above:
            return Ending.SHED
        place = members[self._routers[group].choose(row)]
        refused = self._refusal(place, length)
        if refused is not None:
            return refused
        delay = self._frontend_ns[place]
        if delay > 0:
            self._pass_frontend(place, row, delay, watched=watched)
        else:
            self._hand_over(place, row, watched=watched)
        return None

    def _refusal(self, place: int, length: int) -> Ending | None:
        """Why the API server of a replica does not take a request of so many tokens, if it does not."""
        if self._door[place] is Door.REFUSING:
            return Ending.LOST
        if length > self._max_model_len[place]:
            return Ending.REJECTED
        cap = self._cap[place]
        if cap is not None and self._engines.state.outstanding[place] >= cap:
            return Ending.SHED
        return None

    def cancel(self, row: int) -> None:
        """The client went away and says so: nothing goes on for this try."""
        place = self._on_the_way.pop(row, None)
        if place is None:
            place = self._unheard.pop(row, None)
        if place is not None:
            self._engines.state.outstanding[place] -= 1
        elif self._engines.abort(row, int(self._world.now)):
            place = int(self._engines.state.requests["replica"][row])
        if place is not None:
            self.left(place)

    def listen(self, place: int) -> None:
        """The replica there takes connections (again)."""
        self._door[place] = Door.OPEN

    def admit(self, place: int) -> None:
        """Route to a place (again)."""
        group = self.group(place)
        if group >= 0 and place not in self._members[group]:
            self._members[group].append(place)
            self._change(group)

    def eject(self, place: int) -> None:
        """Route there no more; tries that nobody heard of again fail now."""
        group = self.group(place)
        if group >= 0 and place in self._members[group]:
            self._members[group].remove(place)
            self._change(group)
        unheard = [row for row, at in self._unheard.items() if at == place]
        if self._door[place] is Door.SILENT:
            unheard += [row for row, at in self._on_the_way.items() if at == place]
        self._lose(unheard)

    def drain(self, place: int) -> None:
        """Route there no more, and follow what is there to its end."""
        self._draining.add(place)
        self.eject(place)
        for row in self._engines.held(place).tolist():
            self._engines.watch(row)

    def fail(self, place: int, door: Door) -> None:
        """The replica there is dead: its engine is emptied. Behind a refusing door clients notice at once."""
        self._door[place] = door
        self._draining.discard(place)
        rows = self._engines.evict(place, int(self._world.now)).tolist()
        if door is Door.REFUSING:
            outside = {**self._on_the_way, **self._unheard}
            self._lose([*rows, *(row for row, at in outside.items() if at == place)])
            return
        self._engines.state.outstanding[place] += len(rows)
        self._unheard |= dict.fromkeys(rows, place)

    def _lose(self, rows: list[int]) -> None:
        for row in rows:
            place = self._on_the_way.pop(row, None)
            if place is None:
                place = self._unheard.pop(row, None)
            if place is not None:
                self._engines.state.outstanding[place] -= 1
        if rows:
            self.lost(rows)

    def _change(self, group: int) -> None:
        self._members[group].sort()
        self._routers[group].change(np.array(self._members[group], np.int32))

    def _load(self, members: list[int]) -> float:
        return float(self._engines.state.outstanding[members].mean())

    def _pass_frontend(self, place: int, row: int, delay: int, *, watched: bool) -> None:
        """Queue a try after `delay` ns; routers count it as outstanding from now on."""
        self._on_the_way[row] = place
        self._engines.state.outstanding[place] += 1
        way = self._world.timeout(delay)
        assert way.callbacks is not None
        way.callbacks.append(lambda _: self._arrive(row, watched=watched))

    def _arrive(self, row: int, *, watched: bool) -> None:
        place = self._on_the_way.pop(row, None)
        if place is not None:  # not cancelled or lost meanwhile
            self._engines.state.outstanding[place] -= 1  # the engine counts it itself
            since = bool(self._engines.state.requests["watched"][row])
            self._hand_over(place, row, watched=watched or since or place in self._draining)

    def _hand_over(self, place: int, row: int, *, watched: bool) -> None:
        if self._door[place] is Door.SILENT:
            self._engines.state.outstanding[place] += 1
            self._unheard[row] = place
        else:
            self._engines.enqueue(place, row, int(self._world.now), watched=watched)


def _spared(scenario: Scenario, requests: Requests) -> NDArray[np.bool_]:
    """Requests that are never shed (bool[n])."""
    limit = scenario.admission.spare_priority
    if limit is None:
        return np.zeros(len(requests), np.bool_)
    return np.asarray(class_priorities(scenario, requests) <= limit)


def _ignore(_: object) -> None:
    """Nobody listens."""
