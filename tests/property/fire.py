"""Random fleets under fire: all kinds of failures, markets, clients, starts and autoscalers at once.

A fleet is drawn from templates: dictionaries and lists in which some values are choices. A seed gives the same fleet
for ever.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.property.test_fleets import OTHER
from tests.unit.small_fleet import ENGINE, lengths

HOUR = 3600
LEFT_OUT = object()
Choice = Callable[[Random], Any]


def filled(template: Any, rng: Random) -> Any:
    """The template with every choice made."""
    if callable(template):
        return filled(template(rng), rng)
    if isinstance(template, dict):
        made = {key: filled(value, rng) for key, value in template.items()}
        return {key: value for key, value in made.items() if value is not LEFT_OUT}
    if isinstance(template, list):
        return [filled(value, rng) for value in template]
    return template


def of(*templates: Any) -> Choice:
    """One of them."""
    return lambda rng: rng.choice(templates)


def maybe(*templates: Any, share: float = 0.5) -> Choice:
    """One of them, or in the other cases no such key."""
    return lambda rng: rng.choice(templates) if rng.random() < share else LEFT_OUT


def up_to(most: int, template: Any) -> Choice:
    """A list of none to so many."""
    return lambda rng: [template] * rng.randint(0, most)


SECONDS = of(0.0, 0.3, 2.0)
DURATION = of(
    {"kind": "fixed", "s": SECONDS},
    {"kind": "exponential", "mean_s": 1.0},
    {"kind": "uniform", "low_s": 0.1, "high_s": 1.5},
)
TARGET = of("replica", "gpu", "node", "zone")
LIFE_HOURS = of(1 / HOUR, 5 / HOUR, 30 / HOUR)
"""Between failures of one target, or to a reclaim: runs take 5 to 60 s."""


def sometime(rng: Random) -> float:
    """While most runs last, s."""
    return rng.uniform(0, 15)


FAILURE = of(
    {"kind": "exponential", "of": TARGET, "mtbf_hours": LIFE_HOURS, "hang_share": maybe(0.4)},
    {"kind": "weibull", "of": TARGET, "scale_hours": LIFE_HOURS, "shape": of(0.5, 3.0)},
    {"kind": "drill", "of": TARGET, "at_s": sometime, "index": of(0, 1, 2, 3), "for_s": maybe(0.2, 4.0)},
    {"kind": "drill", "of": "replica", "at_s": sometime, "hang": True, "for_s": maybe(1.5)},
    {"kind": "drill", "of": "node", "at_s": sometime, "notice_s": SECONDS},
    {"kind": "trace", "path": "failures.csv"},
)
CLIENTS = {
    "timeout_s": maybe(0.05, 1.0, 3.0),
    "cancellation": of("engine", "none"),
    "retry": maybe(
        {
            "max_retries": of(1, 2, 4),
            "backoff_s": of(0.0, 0.1, 1.0),
            "jitter": of("full", "none"),
            "budget": maybe(0.0, 0.1, 1.0),
            "budget_burst": of(1, 5),
            "answer": of("same", "redrawn"),
        }
    ),
    "hedge": maybe({"after_s": of(0.01, 0.2, 1.0)}),
}
ADMISSION = {
    "queue_timeout_s": maybe(0.02, 0.5, share=0.3),
    "shed_above": maybe(1.0, 6.0, share=0.3),
    "spare_priority": maybe(0),
}
STARTUP = {stage: DURATION for stage in ("provision", "boot", "image", "process", "compile", "warm")} | {
    "cold": maybe(True, share=0.2),
    "cold_nodes": maybe(False),
    "store_gb_per_s": of(10.0, 1000.0),
    "node_gb_per_s": of(5.0, 1000.0),
    "disk_gb_per_s": of(10.0, 1000.0),
}
RECOVERY = {
    "node_grace_s": SECONDS,
    "toleration_s": SECONDS,
    "restart_s": SECONDS,
    "drain_s": SECONDS,
    "repair": maybe(DURATION),
    "repair_crews": maybe(1, 2),
    "health": {"period_s": of(0.1, 1.0), "failures": of(1, 3), "successes": of(1, 2), "probe": maybe("inference")},
}
ZONES = of(
    [],
    [{"zone": "x"}],
    [{"zone": "x", "usd_per_gpu_hour": 2.0}, {"zone": "y", "prices": [{"hour": 0.001, "usd_per_gpu_hour": 7.0}]}],
)
SPOT = {
    "reclaims": of(
        {
            "kind": "hazard",
            "mean_life_hours": LIFE_HOURS,
            "nodes_per_event": maybe(1.0, 2.5),
            "mean_outage_s": maybe(0.0, 3.0),
        },
        {"kind": "trace", "path": "market.csv", "format": "csv", "nodes": maybe(1, 2, 4)},
    ),
    "notice_s": SECONDS,
    "over_provision": maybe(1, 2),
}
BOUNDS = {"max_replicas": 4, "interval_s": of(0.5, 2.0), "scale_down_window_s": of(0.0, 3.0)}
AUTOSCALER = of(
    BOUNDS
    | {
        "kind": "schedule",
        "steps": [{"at_s": 2.0, "replicas": 3}, {"at_s": 6.0, "replicas": 1}],
        "period_s": maybe(9.0),
    },
    BOUNDS
    | {
        "kind": "target_tracking",
        "metric": of("running", "waiting", "outstanding", "kv_cache_usage", "requests_per_s"),
        "target": of(0.2, 3.0),
    },
    BOUNDS | {"kind": "queue", "waiting_per_replica": 2.0, "kv_cache_usage": maybe(0.5)},
    BOUNDS | {"kind": "predictive", "requests_per_s_per_replica": 5.0, "horizon_s": 2.0},
    {"kind": "fixed"},
)
COST = {"billed_by": of("gpu", "node"), "granularity_s": maybe(1.0, 60.0), "minimum_s": maybe(60.0)}
WIDTH = of(
    {},
    {},
    {"tensor_parallel_size": 2},
    {"tensor_parallel_size": 4},
    {"tensor_parallel_size": 8, "pipeline_parallel_size": 2},
)
ROUTER = of(
    {"kind": of("round_robin", "random")},
    {
        "kind": of("least_outstanding", "power_of_two", "vllm_dp", "kv_aware", "prefix_affinity"),
        "staleness_ms": of(0, 20, 1000),
    },
)
PRICE = {"gpu": "h100-sxm-80gb", "usd_per_gpu_hour": 3.0}


def pool(name: str, rng: Random, **more: Any) -> dict:
    """Some replicas on one kind of market."""
    market = rng.choice(["on_demand", "spot", "spot", "reserved", "owned"])
    made = PRICE | {"pool": name, "replicas": rng.randint(1, 3), "market": market, "zones": ZONES} | more
    if market == "spot" and rng.random() < 0.75:
        made["spot"] = SPOT
    return filled(made, rng)


def fleet_under_fire(seed: int) -> dict:
    """Workload and blocks of a scenario in which everything may happen."""
    rng = Random(seed)
    fleet = [pool("a", rng, **filled(WIDTH, rng))]
    classes: list[dict] = [{"name": "main", "share": 3, "priority": 1}]
    if rng.random() < 0.5:
        fleet.append(pool("b", rng, **filled(WIDTH, rng)))
    if rng.random() < 0.3:
        fleet.append(pool("c", rng, model=OTHER))
        classes.append({"name": "other", "share": 2, "model": OTHER})
    if fleet[0]["market"] == "spot" and rng.random() < 0.5:
        fleet.append(PRICE | {"pool": "f", "replicas": 0, "fallback_for": "a"})
    if rng.random() < 0.5:
        classes.append({"name": "long", "share": 1, "lengths": lengths(450, 100, 0.5), "priority": 0})
    arrivals = of({"kind": "poisson", "request_rate": of(3.0, 10.0, 60.0)}, {"kind": "closed_loop", "concurrency": 7})
    workload = {
        "num_prompts": of(20, 100),
        "arrivals": filled(arrivals, rng),
        "classes": classes,
        "lengths": lengths(100, 60, 0.8),
    }
    if workload["arrivals"]["kind"] == "poisson":
        workload["sessions"] = maybe({"turns": 3, "think_s": of(0, 1.0)})
    scaled = rng.sample([one["pool"] for one in fleet], rng.randint(0, min(2, len(fleet))))
    case = {
        "workload": workload,
        "fleet": fleet,
        "engine": ENGINE
        | {
            "max_num_seqs": of(2, 16),
            "num_gpu_blocks_override": of(40, 200),
            "max_num_queued_reqs": maybe(2, 8, share=0.3),
        },
        "router": ROUTER,
        "failures": up_to(4, FAILURE),
        "clients": CLIENTS,
        "admission": ADMISSION,
        "startup": STARTUP,
        "recovery": RECOVERY,
        "autoscalers": [filled(AUTOSCALER, rng) | {"pool": name} for name in scaled],
        "cost": COST,
        "frontend": of(True, False),
        "run": {"replications": 1, "seed": seed, "max_time_s": maybe(3.0, 60.0)},
    }
    made = filled(case, rng)
    if "max_time_s" not in made["run"] and "timeout_s" not in made["clients"]:  # else a hang lasts for ever
        made["recovery"]["health"]["probe"] = "inference"
    return made
