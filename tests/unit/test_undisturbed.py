"""A fleet to which nothing happens gives the same bytes as the engine without one, of which the hashes are kept.

They are those of the last commit before the fleet (see the file): there `digest` runs as it does here.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sim.result import Run
from tests.unit.small_fleet import lengths, run, scenario

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "undisturbed.json").read_text())["sha256"]

H100 = {"pool": "a", "gpu": "h100-sxm-80gb"}
CASES: dict[str, tuple[dict, dict]] = {
    "open loop": ({}, {}),
    "sessions, two pools, classes": (
        {
            "sessions": {"turns": 3, "think_s": 0.2},
            "shared_prefix": {"tokens": 100, "prompts": 2},
            "classes": [
                {"name": "x", "share": 1, "priority": 1},
                {"name": "y", "share": 2, "lengths": lengths(450, 100, 0.5)},
            ],
        },
        {
            "fleet": [H100 | {"replicas": 2}, {"pool": "b", "gpu": "a100-sxm-80gb"}],
            "router": {"kind": "prefix_affinity"},
        },
    ),
    "closed loop": (
        {"arrivals": {"kind": "closed_loop", "concurrency": 30}},
        {"router": {"kind": "power_of_two", "staleness_ms": 20}},
    ),
    "starved and stopped": (
        {"num_prompts": 200, "arrivals": {"kind": "poisson", "request_rate": 300.0}},
        {
            "engine": {
                "max_model_len": 512,
                "num_gpu_blocks_override": 50,
                "max_num_seqs": 16,
                "max_num_batched_tokens": 128,
            },
            "run": {"replications": 2, "max_time_s": 3.0},
        },
    ),
    "vllm_dp": (
        {"num_prompts": 300, "arrivals": {"kind": "gamma", "request_rate": 200.0, "burstiness": 0.3}},
        {"router": {"kind": "vllm_dp"}, "fleet": [H100 | {"replicas": 5}], "slo": {"ttft_ms": 100, "tpot_ms": 30}},
    ),
}
COLUMNS = (
    "outcome",
    "sent_ns",
    "queued_ns",
    "first_scheduled_ns",
    "last_scheduled_ns",
    "first_token_ns",
    "answer_token_ns",
    "last_token_ns",
    "cached_tokens",
    "preemptions",
    "replica",
    "itl_ns",
    "itl_count",
)

NEVER_S = 1e6
NOTHING = {"failures": [], "autoscalers": [{"kind": "fixed", "pool": "a"}], "cost": {"billed_by": "node"}}
NEVER = {
    "failures": [
        {"kind": "exponential", "of": "node", "mtbf_hours": 1e9},
        {"kind": "weibull", "of": "gpu", "scale_hours": 1e9, "shape": 3.0},
        {"kind": "drill", "of": "replica", "at_s": NEVER_S},
    ],
    "recovery": {"health": {"period_s": 0.1, "probe": "inference"}},
    "clients": {
        "timeout_s": NEVER_S,
        "retry": {"max_retries": 3, "answer": "redrawn", "budget": 0.1},
        "hedge": {"after_s": NEVER_S},
    },
    "admission": {"queue_timeout_s": NEVER_S, "shed_above": 1e6},
}
"""Everything is armed, and nothing is ever due."""


def digest(made: Run) -> str:
    """Of all that a run without failures records; of its places, those at which a replica stood."""
    whole = hashlib.sha256()
    for one in made.replications:
        for name in COLUMNS:
            whole.update(np.ascontiguousarray(getattr(one, name)).tobytes())
        counters = one.counters
        names = [name for name in counters.dtype.names or () if name != "ready_ns"]
        stood = counters["ready_ns"] > 0 if len(names) < len(counters.dtype) else np.ones(len(counters), bool)
        for name in names:
            whole.update(np.ascontiguousarray(counters[name][stood]).tobytes())
        for name in ("time_ns", "running", "waiting", "kv_cache_usage"):
            whole.update(getattr(one.gauges, name).tobytes())
        whole.update(str(one.end_ns).encode())
    return whole.hexdigest()


def simulated(name: str, **blocks: object) -> str:
    workload, mine = CASES[name]
    return digest(run(scenario(workload, **(mine | blocks))))


@pytest.mark.parametrize("name", CASES)
def test_the_bytes_are_those_of_the_engine_without_a_fleet(name):
    assert simulated(name) == GOLDEN[name]


@pytest.mark.parametrize("blocks", [NOTHING, NEVER], ids=["nothing", "never"])
@pytest.mark.parametrize("name", CASES)
def test_what_can_do_nothing_changes_nothing(name, blocks):
    assert simulated(name, **blocks) == GOLDEN[name]


@pytest.mark.parametrize("name", [name for name in CASES if "two pools" not in name])
def test_a_calm_market_and_an_autoscaler_without_room_change_nothing(name):
    (pool,) = CASES[name][1].get("fleet", [H100 | {"replicas": 2}])
    calm = {"reclaims": {"kind": "hazard", "mean_life_hours": 1e9, "mean_outage_s": 60.0}}
    size = pool["replicas"]
    scaler = {"kind": "target_tracking", "pool": "a", "metric": "waiting", "target": 1.0, "interval_s": 0.5}
    assert GOLDEN[name] == simulated(
        name,
        fleet=[pool | {"market": "spot", "usd_per_gpu_hour": 2.0, "spot": calm}],
        autoscalers=[scaler | {"min_replicas": size, "max_replicas": size}],
    )


def test_a_hash_sees_a_disturbance():
    crash = {"kind": "drill", "of": "replica", "at_s": 1.0}
    assert simulated("open loop", failures=[crash]) != GOLDEN["open loop"]
