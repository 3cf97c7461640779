"""Random fleets under fire: all kinds of failures, markets, clients, starts and autoscalers at once."""

from hypothesis import strategies as st

from tests.property.test_fleets import OTHER, ROUTERS
from tests.unit.small_fleet import ENGINE, SMALL, lengths

HOUR = 3600
SECONDS = st.sampled_from([0.0, 0.3, 2.0])
DURATIONS = st.one_of(
    SECONDS.map(lambda s: {"kind": "fixed", "s": s}),
    st.just({"kind": "exponential", "mean_s": 1.0}),
    st.just({"kind": "uniform", "low_s": 0.1, "high_s": 1.5}),
)
TARGETS = st.sampled_from(["replica", "gpu", "node", "zone"])
LIVES = st.sampled_from([1.0, 5.0, 30.0])
"""Seconds between failures of one target, or to a reclaim: runs take 5 to 60 s."""


def some(strategy):
    """The strategy's, or none."""
    return st.none() | strategy


def block(required=None, **optional):
    """A block of a scenario, with some of its optional keys."""
    return st.fixed_dictionaries(required or {}, optional=optional)


def kind(name, /, **keys):
    return {"kind": st.just(name)} | keys


FAILURES = st.lists(
    block(kind("exponential", of=TARGETS, mtbf_hours=LIVES.map(lambda s: s / HOUR)), hang_share=st.just(0.4))
    | block(kind("weibull", of=TARGETS, scale_hours=LIVES.map(lambda s: s / HOUR), shape=st.sampled_from([0.5, 3.0])))
    | block(
        kind("drill", of=TARGETS, at_s=st.floats(0, 15), index=st.integers(0, 3)), for_s=st.sampled_from([0.2, 4.0])
    )
    | block(kind("drill", of=st.just("replica"), at_s=st.floats(0, 15), hang=st.just(True)), for_s=st.just(1.5))
    | block(kind("drill", of=st.just("node"), at_s=st.floats(0, 15), notice_s=SECONDS))
    | block(kind("trace", path=st.just("failures.csv"))),
    max_size=4,
)
CLIENTS = block(
    timeout_s=st.sampled_from([0.05, 0.5, 3.0]),
    cancellation=st.sampled_from(["engine", "none"]),
    retry=block(
        max_retries=st.integers(1, 4),
        backoff_s=st.sampled_from([0.0, 0.1, 1.0]),
        jitter=st.sampled_from(["full", "none"]),
        budget=st.sampled_from([0.0, 0.1, 1.0]),
        budget_burst=st.integers(1, 5),
        answer=st.sampled_from(["same", "redrawn"]),
    ),
    hedge=block({"after_s": st.sampled_from([0.01, 0.2, 1.0])}),
)
ADMISSION = block(
    queue_timeout_s=st.sampled_from([0.02, 0.5]),
    shed_above=st.sampled_from([1.0, 6.0]),
    spare_priority=st.just(0),
)
STARTUP = block(
    cold=st.booleans(),
    cold_nodes=st.booleans(),
    provision=DURATIONS,
    boot=DURATIONS,
    image=DURATIONS,
    process=DURATIONS,
    compile=DURATIONS,
    warm=DURATIONS,
    store_gb_per_s=st.sampled_from([10.0, 1000.0]),
    node_gb_per_s=st.sampled_from([5.0, 1000.0]),
    disk_gb_per_s=st.sampled_from([10.0, 1000.0]),
).map(
    lambda chosen: (
        dict.fromkeys(("provision", "boot", "image", "process", "compile", "warm"), {"kind": "fixed", "s": 0.2})  # noqa: RUF024
        | chosen
    )
)
RECOVERY = block(
    node_grace_s=SECONDS,
    toleration_s=SECONDS,
    restart_s=SECONDS,
    drain_s=SECONDS,
    repair=DURATIONS,
    repair_crews=st.integers(1, 2),
    health=block(
        {"period_s": st.sampled_from([0.1, 1.0])},
        failures=st.integers(1, 3),
        successes=st.integers(1, 2),
        probe=st.sampled_from(["liveness", "inference"]),
    ),
)
ZONES = st.sampled_from(
    [
        [],
        [{"zone": "x"}],
        [{"zone": "x", "usd_per_gpu_hour": 2.0}, {"zone": "y", "prices": [{"hour": 0.001, "usd_per_gpu_hour": 7.0}]}],
    ]
)
SPOT = block(
    {
        "reclaims": block(
            kind("hazard", mean_life_hours=LIVES.map(lambda s: s / HOUR)),
            nodes_per_event=st.sampled_from([1.0, 2.5]),
            mean_outage_s=st.sampled_from([0.0, 3.0]),
        )
        | block(kind("trace", path=st.just("market.csv"), format=st.just("csv")), nodes=st.integers(1, 4))
    },
    notice_s=SECONDS,
    over_provision=st.integers(0, 2),
)
AUTOSCALERS = st.one_of(
    block(
        kind(
            "schedule",
            max_replicas=st.just(4),
            steps=st.just([{"at_s": 2.0, "replicas": 3}, {"at_s": 6.0, "replicas": 1}]),
        ),
        period_s=st.just(9.0),
    ),
    block(
        kind(
            "target_tracking",
            max_replicas=st.just(4),
            metric=st.sampled_from(["running", "waiting", "outstanding", "kv_cache_usage", "requests_per_s"]),
            target=st.sampled_from([0.2, 3.0]),
        )
    ),
    block(kind("queue", max_replicas=st.just(4), waiting_per_replica=st.just(2.0)), kv_cache_usage=st.just(0.5)),
    block(kind("predictive", max_replicas=st.just(5), requests_per_s_per_replica=st.just(5.0), horizon_s=st.just(2.0))),
    block(kind("fixed")),
)
COST = block(
    billed_by=st.sampled_from(["gpu", "node"]), granularity_s=st.sampled_from([1.0, 60.0]), minimum_s=st.just(60.0)
)


@st.composite
def pools(draw, name, model):
    """A pool of one or several replicas, on one kind of market."""
    market = draw(st.sampled_from(["on_demand", "spot", "spot", "reserved", "owned"]))
    wide = draw(
        st.sampled_from(
            [
                {},
                {},
                {"tensor_parallel_size": 2},
                {"tensor_parallel_size": 4},
                {"tensor_parallel_size": 8, "pipeline_parallel_size": 2},
            ]
        )
    )
    pool = {
        "pool": name,
        "gpu": "h100-sxm-80gb",
        "replicas": draw(st.integers(1, 3)),
        "market": market,
        "usd_per_gpu_hour": 3.0,
        "zones": draw(ZONES),
    }
    if model == SMALL:
        pool |= wide
    else:
        pool["model"] = model
    if market == "spot" and draw(st.integers(0, 3)):
        pool["spot"] = draw(SPOT)
    return pool


@st.composite
def fleets(draw) -> dict:
    """Workload and blocks of a scenario in which everything may happen."""
    fleet = [draw(pools("a", SMALL))]
    classes = [{"name": "main", "share": 3, "priority": 1}]
    if draw(st.booleans()):
        fleet.append(draw(pools("b", SMALL)))
    if draw(st.booleans()):
        fleet.append(draw(pools("c", OTHER)))
        classes.append({"name": "other", "share": 2, "model": OTHER})
    if fleet[0]["market"] == "spot" and draw(st.booleans()):
        fleet.append({"pool": "f", "gpu": "h100-sxm-80gb", "replicas": 0, "fallback_for": "a", "usd_per_gpu_hour": 5.0})
    if draw(st.booleans()):
        classes.append({"name": "long", "share": 1, "lengths": lengths(450, 100, 0.5), "priority": 0})
    rate = draw(st.sampled_from([3.0, 10.0, 60.0]))
    arrivals = draw(
        st.sampled_from([{"kind": "poisson", "request_rate": rate}, {"kind": "closed_loop", "concurrency": 7}])
    )
    workload = {
        "num_prompts": draw(st.sampled_from([10, 60])),
        "arrivals": arrivals,
        "classes": classes,
        "lengths": lengths(100, 60, 0.8),
    }
    if arrivals["kind"] == "poisson" and draw(st.booleans()):
        workload["sessions"] = {"turns": 3, "think_s": draw(st.sampled_from([0, 1.0]))}
    scaled = draw(st.lists(st.sampled_from([pool["pool"] for pool in fleet]), unique=True, max_size=2))
    scalers = [draw(AUTOSCALERS) | {"pool": name} for name in scaled]
    for one in scalers:
        if one["kind"] != "fixed":
            one |= {
                "interval_s": draw(st.sampled_from([0.5, 2.0])),
                "scale_down_window_s": draw(st.sampled_from([0.0, 3.0])),
            }
    engine = ENGINE | {
        "max_num_seqs": draw(st.sampled_from([2, 16])),
        "num_gpu_blocks_override": draw(st.sampled_from([40, 200])),
    }
    cap = draw(some(st.sampled_from([2, 8])))
    if cap:
        engine["max_num_queued_reqs"] = cap
    clients, recovery = draw(CLIENTS), draw(RECOVERY)
    run: dict = {"replications": 1, "seed": draw(st.integers(0, 1000))}
    if draw(st.booleans()):
        run["max_time_s"] = draw(st.sampled_from([3.0, 60.0]))
    elif "timeout_s" not in clients:  # else a hang lasts for ever
        recovery["health"] = recovery.get("health", {}) | {"probe": "inference"}
    return {
        "workload": workload,
        "fleet": fleet,
        "engine": engine,
        "router": draw(ROUTERS),
        "failures": draw(FAILURES),
        "clients": clients,
        "admission": draw(ADMISSION),
        "startup": draw(STARTUP),
        "recovery": recovery,
        "autoscalers": scalers,
        "cost": draw(COST),
        "frontend": draw(st.booleans()),
        "run": {
            "replications": 1,
            "seed": draw(st.integers(0, 1000)),
            "max_time_s": draw(st.sampled_from([3.0, 60.0])),
        },
    }
