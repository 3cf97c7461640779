"""The product's fleet, run as `trilemma run` runs it, with what makes it a textbook system.

Either nobody asks anything of it and only nodes come and go, within seconds instead of months. Or its engines take
constant steps and serve requests of one prompt token, so that a service is as many steps as the answer has tokens.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sim.deployment import Deployment, deploy
from sim.result import Replication, State, Timeline
from sim.run import serve
from sim.scenario.scenario import Scenario
from sim.stats import t_interval
from tests.oracle.station import SECOND, cost, requests

REPLICATIONS = 20
WIDER = stats.t.ppf(0.9995, REPLICATIONS - 1) / stats.t.ppf(0.975, REPLICATIONS - 1)
"""Of a 99.9 % interval against the 95 % one."""

AT_ONCE = {stage: {"kind": "fixed", "s": 0.0} for stage in ("provision", "boot", "image", "process", "compile", "warm")}
AT_ONCE |= {"store_gb_per_s": 1e9, "node_gb_per_s": 1e9, "disk_gb_per_s": 1e9}
"""A start takes no time: 14 ns for the weights."""


def fixed(s: float) -> dict:
    return {"kind": "fixed", "s": s}


def exponential(mean_s: float) -> dict:
    return {"kind": "exponential", "mean_s": mean_s}


QUICK = {"node_grace_s": 0.05, "toleration_s": 0.3, "health": {"period_s": 1e-6, "failures": 1}}
"""Failures are noticed at once, and pods evicted after 0.35 s."""


def hours(s: float) -> float:
    return s / 3600


def pool(nodes: int, market: str = "owned", **others: object) -> list[dict]:
    """A replica on each node."""
    whole = {"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 8, "replicas": nodes, "market": market}
    return [whole | others]


def scenario(seats: int = 1, **blocks: object) -> Scenario:
    """DeepSeek-LLM-7B in BF16 with only max_num_seqs binding; the traffic is drawn elsewhere."""
    one = {"kind": "fixed", "tokens": 1}
    base = {
        "schema_version": 1,
        "name": "textbook",
        "model": "deepseek-llm-7b",
        "workload": {
            "kind": "synthetic",
            "num_prompts": 1,
            "arrivals": {"kind": "poisson", "request_rate": 1.0},
            "lengths": {"kind": "separate", "input": one, "output": one},
        },
        "engine": {
            "max_num_seqs": seats,
            "max_num_batched_tokens": seats,
            "num_gpu_blocks_override": 300 * (seats + 1),  # a whole max_model_len of 4,096 tokens for each
            "enable_prefix_caching": False,
            "async_scheduling": False,
        },
        "fleet": pool(1),
        "startup": AT_ONCE,
        "recovery": QUICK,
        "run": {"replications": 1},
    }
    engine = base["engine"] | blocks.pop("engine", {})
    return Scenario.model_validate(base | blocks | {"engine": engine})


def stepped(case: Scenario, step_ns: int) -> list[Deployment]:
    """Deployments whose every step takes `step_ns`."""
    return [replace(one, cost=cost(np.full(one.defaults.max_num_seqs + 1, step_ns))) for one in deploy(case, Path())]


def quiet(case: Scenario, s: float, replications: int) -> list[Replication]:
    """Replications of a fleet of which nobody asks anything; a request after the end keeps the clock going."""
    stops = case.model_copy(update={"run": case.run.model_copy(update={"max_time_s": s})})
    deployments, never_sent = deploy(case, Path()), requests([round((s + 1) * SECOND)])
    return [serve(stops, deployments, never_sent, index, Path()) for index in range(replications)]


def ready(timeline: Timeline) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times, and how many replicas are ready from then on."""
    order = np.argsort(timeline.replica, kind="stable")
    is_ready = (timeline.state[order] == State.READY).astype(np.int64)
    same = np.append(False, timeline.replica[order][1:] == timeline.replica[order][:-1])
    change = np.empty_like(is_ready)
    change[order] = is_ready - np.where(same, np.roll(is_ready, 1), 0)
    return timeline.time_ns, change.cumsum()


def shares(one: Replication, most: int, since: float = 0.1) -> NDArray[np.float64]:
    """Share of the time, from that share of the run on, in which 0 .. most replicas are ready."""
    times, counts = ready(one.timeline)
    start = since * one.end_ns
    edges = np.clip(np.append(times, one.end_ns), start, one.end_ns)
    return np.bincount(counts, np.diff(edges), most + 1) / (one.end_ns - start)


def entered(one: Replication, state: State, *causes: int, since: float = 0.1) -> NDArray[np.int64]:
    """When replicas entered a state through one of the causes, ns, from that share of the run on."""
    timeline = one.timeline
    chosen = (timeline.state == state) & np.isin(timeline.cause, causes)
    times = timeline.time_ns[chosen]
    return times[times >= since * one.end_ns]


def check(values: list[float], exact: float, precision: float, name: str = "") -> None:
    """Hold a 99.9 % interval against theory; it must be narrower than that share of it, to either side."""
    found = t_interval(values)
    half = found.half_width * WIDER
    assert abs(found.mean - exact) <= half, f"{name}: {found.mean} +- {half}, theory {exact}"
    assert half <= precision * exact, f"{name}: {half} says little about {exact}"
