"""Scenarios for the workload tests, and named streams."""

from functools import partial
from pathlib import Path

from sim.request import Requests
from sim.scenario.scenario import Scenario
from sim.streams import stream
from sim.workload.draw import draw

CHAT = {"kind": "separate", "input": {"kind": "fixed", "tokens": 100}, "output": {"kind": "fixed", "tokens": 50}}


def streams(seed=0, replication=0):
    return partial(stream, seed, replication)


def scenario(**workload):
    return Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "case",
            "model": "any",
            "fleet": [{"pool": "a", "gpu": "any"}],
            "workload": workload,
        }
    )


def synthetic(num_prompts, seed=0, replication=0, base_dir=Path(), **workload) -> Requests:
    workload = {"arrivals": {"kind": "poisson", "request_rate": 10.0}, "lengths": CHAT, **workload}
    case = scenario(kind="synthetic", num_prompts=num_prompts, **workload)
    return draw(case, seed, replication, base_dir)


def replayed(base_dir=Path(), seed=0, replication=0, **trace) -> Requests:
    return draw(scenario(kind="trace", **trace), seed, replication, base_dir)
