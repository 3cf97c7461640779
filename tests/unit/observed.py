"""An autoscaler's block, and what it wishes when it sees an idle pool but for what the test says."""

from dataclasses import replace

from pydantic import TypeAdapter

from sim.fleet.control import Observation
from sim.scenario.autoscaler import Autoscaler

S = 1_000_000_000
IDLE = Observation(
    now_ns=0,
    replicas=1,
    ready=1,
    starting=0,
    running=0.0,
    waiting=0.0,
    outstanding=0.0,
    kv_cache_usage=0.0,
    requests_per_s=0.0,
)


def autoscaler(kind, **keys):
    block = {"kind": kind, "pool": "a", "max_replicas": 1000, "scale_down_window_s": 0.0} | keys
    return TypeAdapter(Autoscaler).validate_python(block)


def wish(controller, **seen):
    return controller.act(replace(IDLE, **seen)).replicas
