"""Which model each request class asks for, who serves it, and how urgent it is."""

from collections.abc import Sequence

import numpy as np

from sim.deployment import Deployment
from sim.errors import InputError
from sim.request import Requests
from sim.scenario.scenario import Scenario
from sim.scenario.workload import RequestClass, Synthetic


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
