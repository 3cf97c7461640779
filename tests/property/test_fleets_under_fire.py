"""Random fleets under fire, run end to end: every request, KV block and GPU-hour is accounted for, and every USD."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.metrics import answer_tokens
from sim.report import check_invariants, measured, warm_up
from sim.result import Ending, Outcome, State
from sim.units import NS_PER_S
from tests.property.test_fleets import OTHER, ROUTERS
from tests.unit.calibrated import written
from tests.unit.small_fleet import ENGINE, SMALL, lengths, scenario
from tests.unit.under_fire import Watched, watch

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
    return {
        "workload": workload,
        "fleet": fleet,
        "engine": engine,
        "router": draw(ROUTERS),
        "failures": draw(FAILURES),
        "clients": draw(CLIENTS),
        "admission": draw(ADMISSION),
        "startup": draw(STARTUP),
        "recovery": draw(RECOVERY),
        "autoscalers": scalers,
        "cost": draw(COST),
        "frontend": draw(st.booleans()),
        "run": {
            "replications": 1,
            "seed": draw(st.integers(0, 1000)),
            "max_time_s": draw(st.sampled_from([3.0, 60.0])),
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fire")
    (path / "failures.csv").write_text(
        "time_s,of,index,hang,for_s\n1,replica,0,1,\n1.5,gpu,1,,\n2,node,0,,1.25\n2.1,replica,0,0,\n4,zone,0,,\n4,zone,1,,2\n"
    )
    (path / "market.csv").write_text("time_s,nodes\n0,3\n2,1\n3,4\n5,0\n6,2\n7.5,4\n8,4\n")
    hull = {"tensor_parallel_sizes": (1, 2, 4, 8), "models": (SMALL, OTHER)}
    (path / "frontend.yaml").write_text((path / written(path, {"frontend_s": 0.05}, **hull)["calibration"]).read_text())
    return path


def serve(case: dict, folder) -> Watched:
    blocks = {key: value for key, value in case.items() if key not in ("workload", "frontend")}
    if case["frontend"]:
        blocks["step_time"] = {"kind": "calibrated", "calibration": "frontend.yaml"}
    return watch(scenario(case["workload"], **blocks), folder)


@settings(max_examples=60, deadline=None)
@given(case=fleets())
def test_everything_is_accounted_for(folder, case):
    account_for(case, serve(case, folder))


@pytest.mark.full
@settings(max_examples=1000, deadline=None)
@given(case=fleets())
def test_everything_is_accounted_for_in_a_thousand_fleets(folder, case):
    account_for(case, serve(case, folder))


@settings(max_examples=15, deadline=None)
@given(case=fleets())
def test_the_same_scenario_and_seed_give_the_same_bytes(folder, case):
    first, again = (flat(serve(case, folder).one) for _ in range(2))
    assert first == again


def flat(one) -> dict[str, bytes]:
    found = {}
    for name in one.__slots__:
        value = getattr(one, name)
        if isinstance(value, np.ndarray):
            found[name] = value.tobytes()
        elif name not in ("requests", "end_ns"):
            found |= {f"{name}.{inner}": getattr(value, inner).tobytes() for inner in value.__slots__}
    return found | {"end_ns": one.end_ns}


def account_for(case: dict, seen: Watched) -> None:
    check_invariants(seen.one)
    requests(case, seen)
    engines(seen)
    gpu_hours(case, seen)
    usd(case, seen)


def requests(case: dict, seen: Watched) -> None:
    """Every request has one outcome, which is what its tries came to."""
    one, n = seen.one, len(seen.one.requests)
    assert len(one.outcome) == n
    stopped = one.end_ns == round(case["run"]["max_time_s"] * NS_PER_S)
    unsent, in_flight = one.outcome == Outcome.NOT_SENT, one.outcome == Outcome.IN_FLIGHT
    assert stopped or not (unsent | in_flight).any()
    if not len(one.tries):
        assert set(one.outcome.tolist()) <= {Outcome.FINISHED, Outcome.REJECTED, Outcome.IN_FLIGHT, Outcome.NOT_SENT}
        return
    retry = case["clients"].get("retry")
    most = 1 + (retry.get("max_retries", 3) if retry is not None else 0) + ("hedge" in case["clients"])
    endings = [Counter() for _ in range(n)]
    last = [Ending.OPEN] * n
    for request, ending in zip(one.tries.request.tolist(), one.tries.ending.tolist(), strict=True):
        endings[request][Ending(ending)] += 1
        last[request] = Ending(ending)
    allowed = {
        Outcome.FAILED: {Ending.LOST, Ending.UNAVAILABLE},
        Outcome.SHED: {Ending.SHED, Ending.DROPPED},
        Outcome.TIMED_OUT: {Ending.CANCELLED, Ending.ABANDONED},
        Outcome.REJECTED: {Ending.REJECTED},
    }
    for request, outcome in enumerate(one.outcome.tolist()):
        mine = endings[request]
        assert sum(mine.values()) <= most
        match Outcome(outcome):
            case Outcome.FINISHED:
                assert mine[Ending.ANSWERED] == 1
                assert not mine[Ending.OPEN]
            case Outcome.NOT_SENT:
                assert not mine
            case Outcome.IN_FLIGHT:
                assert not mine[Ending.ANSWERED]
            case settled:
                assert not mine[Ending.OPEN]
                assert not mine[Ending.ANSWERED]
                assert mine.keys() & allowed[settled]
                if "hedge" not in case["clients"]:
                    assert last[request] in allowed[settled]
    later = np.flatnonzero((one.requests.after >= 0) & ~unsent)
    before = one.requests.after[later]
    known = one.outcome[before] != Outcome.REJECTED
    assert (one.sent_ns[later] == one.ended_ns[before] + one.requests.arrival_ns[later])[known].all()
    assert (answer_tokens(one) >= 1).all()


def engines(seen: Watched) -> None:
    """No KV block and no count of unfinished requests leaks."""
    state, fleet = seen.world.engines.state, seen.fleet
    for place, replica in enumerate(state.replicas):
        held = seen.world.engines.held(place)
        first, seats = replica["first_seat"], replica["seats"]
        taken = state.seats[first : first + seats]
        owned = int(taken["owned"][taken["request"] >= 0].sum())
        used = int(replica["num_blocks"]) - 1 - int(replica["free_blocks"])
        assert used <= owned, "a block is used by a request that is there"
        if not len(held):
            assert used == 0
        assert len(held) == replica["running"] + replica["waiting"]
        elsewhere = sum(at == place for at in [*seen.gateway._on_the_way.values(), *seen.gateway._unheard.values()])
        assert state.outstanding[place] == len(held) + elsewhere
        if fleet.at(place) is None:
            assert not len(held), "nobody serves where no replica is"
    if not (seen.one.outcome == Outcome.IN_FLIGHT).any():
        assert seen.tries.open == 0
        assert seen.gateway.open == 0 or seen.tries.abandons


def gpu_hours(case: dict, seen: Watched) -> None:
    """What was leased, from the timeline alone: a replica's GPUs from the running instance to its end."""
    one, leases, first = seen.one, seen.one.leases, 0
    events = list(
        zip(*(getattr(one.timeline, name).tolist() for name in ("time_ns", "replica", "node", "state")), strict=True)
    )
    for number, pool in enumerate(case["fleet"]):
        gpus = pool.get("tensor_parallel_size", 1) * pool.get("pipeline_parallel_size", 1)
        places = range(first, first + len(seen.fleet._places.of_pool[number]))
        first = places.stop
        mine = leases.pool == number
        leased = int((leases.gpus * (leases.end_ns - leases.start_ns))[mine].sum())
        if pool["market"] if "market" in pool else "on_demand" in ("reserved", "owned"):  # noqa: SIM401
            pass
        if pool.get("market") in ("reserved", "owned"):
            whole = gpus * pool["replicas"]
            if case["cost"].get("billed_by") == "node":
                whole = -(-pool["replicas"] // (8 // gpus)) * 8 if gpus <= 8 else -(-gpus // 8) * 8 * pool["replicas"]
            assert leased == whole * one.end_ns
            continue
        if gpus > 8:
            continue
        runs: dict[int, int] = {}  # nodes, and when they began to run
        for at, place, node, state in events:
            if place in places and (state == State.BOOTING or (state == State.READY and at == 0)):
                runs.setdefault(node, at)
        lives, ends, at_node = {}, [], {}
        for at, place, node, state in events:
            if place not in places:
                continue
            if place not in lives:
                lives[place] = (at, node)
            at_node[node] = at if state == State.GONE else one.end_ns
            if state == State.GONE:
                ends.append((*lives.pop(place), at))
        ends += [(*life, one.end_ns) for life in lives.values()]
        if case["cost"].get("billed_by") == "node":
            assert leased >= sum(8 * 0 for _ in runs)
            continue
        total = sum(gpus * (end - max(start, min(runs.get(node, end), end))) for start, node, end in ends)
        assert leased == total


def usd(case: dict, seen: Watched) -> None:
    """The bill is the sum of the leases', each at its zone's price when it was paid."""
    leases, terms = seen.one.leases, case["cost"]
    whole = measured(seen.run, seen.one, warm_up(seen.run, seen.one)).whole
    total = 0.0
    for pool, zone, gpus, start, end in zip(
        leases.pool, leases.zone, leases.gpus, leases.start_ns, leases.end_ns, strict=True
    ):
        spec = case["fleet"][pool]
        zones = spec.get("zones") or [{}]
        price = zones[zone].get("usd_per_gpu_hour", spec["usd_per_gpu_hour"])
        start_s, end_s = start / NS_PER_S, end / NS_PER_S
        grain = terms.get("granularity_s", 0)
        billed = max(end_s - start_s, terms.get("minimum_s", 0))
        if grain:
            billed = np.ceil(billed / grain - 1e-12) * grain
        later = [point for point in zones[zone].get("prices", [])]
        at_end = price
        spent = 0.0
        turn = later[0]["hour"] * HOUR if later else np.inf
        spent += price * max(min(end_s, turn) - start_s, 0)
        if later:
            spent += later[0]["usd_per_gpu_hour"] * max(end_s - max(start_s, turn), 0)
            at_end = later[0]["usd_per_gpu_hour"] if end_s > turn else price
        total += gpus * (spent + at_end * (billed - (end_s - start_s))) / HOUR
    assert whole["usd_total"] == pytest.approx(total, rel=1e-6, abs=1e-9)
