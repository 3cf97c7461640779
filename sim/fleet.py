"""The fleet: replicas behind one router a model, and the API server's admission rule."""

from collections.abc import Sequence

import numpy as np

from sim import router
from sim.deployment import Deployment
from sim.engine import Engines
from sim.errors import InputError
from sim.request import Requests
from sim.scenario.scenario import Scenario
from sim.scenario.workload import RequestClass, Synthetic
from sim.units import seconds_to_ns
from sim.world import World


class Fleet:
    """Takes requests from clients and hands them to replicas."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        deployments: Sequence[Deployment],
        requests: Requests,
        rng: np.random.Generator,
    ) -> None:
        """Build the routers; replicas are numbered pool by pool, in the scenario's order."""
        self._world = world
        self._engines = world.engines
        self._members: list[list[int]] = []
        self._longest: list[int] = []
        self._routers: list[router.Router] = []
        pools = np.repeat(np.arange(len(deployments)), [one.pool.replicas for one in deployments])
        self._max_model_len = [deployments[pool].defaults.max_model_len for pool in pools.tolist()]
        self._frontend_ns = [seconds_to_ns(deployments[pool].step_time.frontend_s) for pool in pools.tolist()]
        serving = serving_pools(scenario, deployments, requests)
        for chosen in serving.values():
            members = np.flatnonzero(np.isin(pools, chosen)).astype(np.int32)
            self._members.append(members.tolist())
            self._longest.append(max(self._max_model_len[member] for member in members))
            self._routers.append(router.build(scenario.router, world, members, rng))
        models = list(serving)
        asked = class_models(scenario, requests)
        self._router_of_class = [models.index(model) for model in asked]
        self._requests = requests
        self.rejected = np.zeros(len(requests), np.bool_)
        self.in_frontend = 0
        """Requests that are routed but have not reached their engine's queue."""

    def send(self, request: int, watched: bool) -> bool:
        """Route a request; False if the API server refuses it: prompt + max_tokens exceed max_model_len (HTTP 400).

        It is routed, or refused, when it is sent, and reaches the engine's queue as much later as the front end takes.
        """
        requests = self._requests
        group = self._router_of_class[requests.klass[request]]
        length = int(requests.prompt_tokens[request]) + int(requests.max_tokens[request])
        if length > self._longest[group]:  # refused by the API server, before any engine is chosen
            self.rejected[request] = True
            return False
        replica = self._members[group][self._routers[group].choose(request)]
        if length > self._max_model_len[replica]:
            self.rejected[request] = True
            return False
        delay = self._frontend_ns[replica]
        if delay > 0:
            self._pass_frontend(replica, request, delay, watched=watched)
        else:
            self._engines.enqueue(replica, request, int(self._world.now), watched=watched)
        return True

    def _pass_frontend(self, replica: int, request: int, delay: int, *, watched: bool) -> None:
        """Queue a request after `delay` ns; routers count it as outstanding from now on."""
        self.in_frontend += 1
        self._engines.state.outstanding[replica] += 1
        way = self._world.timeout(delay)
        assert way.callbacks is not None
        way.callbacks.append(lambda _: self._queue(replica, request, watched=watched))

    def _queue(self, replica: int, request: int, *, watched: bool) -> None:
        self.in_frontend -= 1
        self._engines.state.outstanding[replica] -= 1  # the engine counts it itself
        self._engines.enqueue(replica, request, int(self._world.now), watched=watched)


def class_models(scenario: Scenario, requests: Requests) -> list[str]:
    """Which model each request class asks for."""
    named = {klass.name: klass for klass in _classes(scenario)}
    return [(named[name].model if name in named else None) or scenario.model for name in requests.classes]


def serving_pools(scenario: Scenario, deployments: Sequence[Deployment], requests: Requests) -> dict[str, list[int]]:
    """Indices of the pools that serve each model which some class asks for.

    Raises:
        InputError: no pool serves one of them.
    """
    served = [one.pool.model or scenario.model for one in deployments]
    asked = sorted(set(class_models(scenario, requests)))
    pools = {model: [index for index, one in enumerate(served) if one == model] for model in asked}
    for model, serving in pools.items():
        if not serving:
            known = ", ".join(sorted(set(served)))
            raise InputError(f"workload: no pool of the fleet serves model {model}, expected one of {known}")
    return pools


def class_priorities(scenario: Scenario, requests: Requests) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Priority of each request (int32[n]); 0 where its class states none."""
    named = {klass.name: klass.priority or 0 for klass in _classes(scenario)}
    return np.array([named.get(name, 0) for name in requests.classes], np.int32)[requests.klass]


def _classes(scenario: Scenario) -> tuple[RequestClass, ...]:
    return scenario.workload.classes if isinstance(scenario.workload, Synthetic) else ()


def build_engines(scenario: Scenario, deployments: Sequence[Deployment], requests: Requests) -> Engines:
    """Engines of all replicas, pool by pool."""
    kinds = [kind for kind, one in enumerate(deployments) for _ in range(one.pool.replicas)]
    return Engines(
        [one.limits for one in deployments],
        kinds,
        [one.cost for one in deployments],
        [one.work.weight_bytes for one in deployments],
        requests,
        class_priorities(scenario, requests),
    )
