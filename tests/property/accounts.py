"""The accounts of a fleet under fire: requests, KV blocks, GPU-hours and USD, each counted anew from other records."""

import math
from collections import Counter

import numpy as np
import pytest

from sim.kernel.layout import PREEMPTED, RUNNING, WAITING
from sim.kernel.layout import State as Memory
from sim.metrics import answer_tokens
from sim.report import check_invariants, measured, warm_up
from sim.result import Ending, Outcome, State
from sim.units import NS_PER_S
from tests.unit.under_fire import Watched

HOUR = 3600
PER_NODE = 8
CAUSES = {
    Outcome.FAILED: {Ending.LOST, Ending.UNAVAILABLE},
    Outcome.SHED: {Ending.SHED, Ending.DROPPED},
    Outcome.TIMED_OUT: {Ending.CANCELLED, Ending.ABANDONED},
    Outcome.REJECTED: {Ending.REJECTED},
}
"""What the last try of a request ended in."""


def account_for(case: dict, seen: Watched) -> None:
    """Assert that nothing is lost and nothing counted twice."""
    check_invariants(seen.one)
    requests(case, seen)
    engines(seen)
    gpu_hours(case, seen)
    usd(case, seen)


def requests(case: dict, seen: Watched) -> None:
    """Every request has one outcome, which is what its tries came to."""
    one, n = seen.one, len(seen.one.requests)
    assert len(one.outcome) == n
    stopped = one.end_ns == round(case["run"].get("max_time_s", -1) * NS_PER_S)
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
                assert mine.keys() & CAUSES[settled]
                if "hedge" not in case["clients"]:
                    assert last[request] in CAUSES[settled]
    later = np.flatnonzero((one.requests.after >= 0) & ~unsent)
    before = one.requests.after[later]
    known = one.outcome[before] != Outcome.REJECTED
    assert (one.sent_ns[later] == one.ended_ns[before] + one.requests.arrival_ns[later])[known].all()
    assert (answer_tokens(one) >= 1).all()


def engines(seen: Watched) -> None:
    """No KV block, no unfinished request and no token leaks: all are counted anew, place by place."""
    state, fleet = seen.world.engines.state, seen.fleet
    rows = seen.world.engines.rows
    struck = set(seen.one.timeline.replica[seen.one.timeline.state >= State.HUNG].tolist())
    for place, replica in enumerate(state.replicas):
        held = seen.world.engines.held(place)
        free_queue(state, replica)
        mine = rows[rows["replica"] == place]
        assert len(held) == len(set(held.tolist())) == np.isin(mine["status"], (WAITING, RUNNING, PREEMPTED)).sum()
        elsewhere = sum(at == place for at in [*seen.gateway._on_the_way.values(), *seen.gateway._unheard.values()])
        assert state.outstanding[place] == len(held) + elsewhere
        computed, scheduled = replica["prefill_tokens"] + replica["decode_tokens"], mine["tokens"].sum()
        assert computed <= scheduled
        whole = not replica["executing"] and place not in struck  # a step that is cut off does not count
        assert computed == scheduled or not whole, "what steps computed was scheduled, and nothing else"
        if fleet.at(place) is None:
            assert not len(held), "nobody serves where no replica is"
    if not (seen.one.outcome == Outcome.IN_FLIGHT).any():
        assert seen.tries.open == 0
        assert seen.gateway.open == 0 or seen.tries.abandons


def free_queue(state: Memory, replica: np.void) -> None:
    """The blocks that no request uses, each once."""
    first, blocks = int(replica["first_block"]), int(replica["num_blocks"])
    free, at = [], int(state.blocks["next"][first])  # behind the null block
    while at != first and len(free) < blocks:
        free.append(at)
        at = int(state.blocks["next"][at])
    unused = first + np.flatnonzero(state.blocks["users"][first : first + blocks] == 0)
    assert sorted(free) == unused[unused != first].tolist()


def gpu_hours(case: dict, seen: Watched) -> None:
    """What was leased, from the timeline alone."""
    leases, by_node = seen.one.leases, case["cost"].get("billed_by") == "node"
    for number, pool in enumerate(case["fleet"]):
        mine = leases.pool == number
        leased = int((leases.gpus * (leases.end_ns - leases.start_ns))[mine].sum())
        gpus = pool.get("tensor_parallel_size", 1) * pool.get("pipeline_parallel_size", 1)
        if pool.get("market") in ("reserved", "owned"):  # there for the whole run
            nodes = (
                -(-pool["replicas"] // (PER_NODE // gpus))
                if gpus <= PER_NODE
                else pool["replicas"] * -(-gpus // PER_NODE)
            )
            assert leased == (nodes * PER_NODE if by_node else pool["replicas"] * gpus) * seen.one.end_ns
            continue
        runs, lives = _runs_and_lives(seen, number)
        if gpus > PER_NODE:  # of several nodes the timeline names the first only
            assert leased <= gpus * sum(end - start for _, start, end in lives)
            continue
        stays = [(node, max(start, runs[node]), end) for node, start, end in lives if runs.get(node, end) < end]
        if by_node:
            nodes = {node for node, _, _ in stays}
            assert leased == PER_NODE * sum(
                max(s[2] for s in stays if s[0] == node) - min(s[1] for s in stays if s[0] == node) for node in nodes
            )
        else:
            assert leased == gpus * sum(end - start for _, start, end in stays)


def _runs_and_lives(seen: Watched, pool: int) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """Since when each node of a pool has run; and node, first and last time of each of its replicas."""
    places, lines = seen.fleet._places.of_pool[pool], seen.one.timeline
    columns = (lines.time_ns, lines.replica, lines.node, lines.state)
    events = [event for event in zip(*(column.tolist() for column in columns), strict=True) if event[1] in places]
    runs: dict[int, int] = {}
    there: dict[int, tuple[int, int]] = {}
    lives = []
    for at, place, node, state in events:
        if state in (State.BOOTING, State.STARTING, State.READY):
            runs.setdefault(node, at)
        there.setdefault(place, (node, at))
        if state == State.GONE:
            lives.append((*there.pop(place), at))
    return runs, lives + [(*begun, seen.one.end_ns) for begun in there.values()]


def usd(case: dict, seen: Watched) -> None:
    """The bill is the sum of the leases', each at its zone's price when it was paid."""
    leases, terms, total = seen.one.leases, case["cost"], 0.0
    columns = (leases.pool, leases.zone, leases.gpus, leases.start_ns / NS_PER_S, leases.end_ns / NS_PER_S)
    for pool, zone, gpus, start, end in zip(*(column.tolist() for column in columns), strict=True):
        spec = case["fleet"][pool]
        place = (spec.get("zones") or [{}])[zone]
        price = place.get("usd_per_gpu_hour", spec["usd_per_gpu_hour"])
        point = (place.get("prices") or [{"hour": math.inf, "usd_per_gpu_hour": 0.0}])[0]
        turn, later = point["hour"] * HOUR, point["usd_per_gpu_hour"]
        billed = max(end - start, terms.get("minimum_s", 0))
        grain = terms.get("granularity_s", 0)
        if grain:
            billed = math.ceil(billed / grain - 1e-12) * grain
        spent = price * max(min(end, turn) - start, 0) + later * max(end - max(start, turn), 0)
        total += gpus * (spent + (later if end > turn else price) * (billed - (end - start))) / HOUR
    whole = measured(seen.run, seen.one, warm_up(seen.run, seen.one)).whole
    assert whole["usd_total"] == pytest.approx(total, rel=1e-6, abs=1e-9)
