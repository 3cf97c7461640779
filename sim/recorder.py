"""The recorder: gauges while a run goes on, and its records when it ends."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import simpy
from numpy.typing import NDArray

from sim.clients import Clients
from sim.deployment import Deployment
from sim.fleet.fleet import SERVING, Fleet
from sim.fleet.nodes import Lease
from sim.kernel.layout import FINISHED, UNSENT
from sim.request import Requests
from sim.result import COUNTERS, PADDING, Ending, Gauges, Leases, Outcome, Replication, State, Timeline
from sim.result import Tries as TryColumns
from sim.steptime.work import StepWork
from sim.tries import Tries
from sim.units import NS_PER_MS
from sim.world import World

MOST_SAMPLES = 1024


class GaugeRecorder:
    """Samples the fleet at regular instants: every 50 ms at first; twice as far apart whenever 1,024 are full."""

    def __init__(self, world: World, serving: Callable[[], Sequence[int]]) -> None:
        """Sample until the world is over; `serving` gives the places whose replicas serve."""
        self._world = world
        self._serving = serving
        self._period = 50 * NS_PER_MS
        self._rows: list[tuple[int, int, int, float, int]] = []
        self._blocks = world.engines.state.replicas["num_blocks"] - 1
        world.process(self._sample())

    def _sample(self) -> Generator[simpy.Event, None, None]:
        while True:
            self._rows.append(self._row())
            if self._world.over:
                return
            if len(self._rows) == MOST_SAMPLES:
                self._rows = self._rows[::2]
                self._period *= 2
            yield self._world.timeout(self._rows[-1][0] + self._period - int(self._world.now))

    def _row(self) -> tuple[int, int, int, float, int]:
        replicas = self._world.engines.state.replicas
        serving = self._serving()
        blocks = int(self._blocks[list(serving)].sum())
        free = int(replicas["free_blocks"].sum()) - (int(self._blocks.sum()) - blocks)
        used = 1.0 - free / blocks if blocks else 0.0
        running, waiting = int(replicas["running"].sum()), int(replicas["waiting"].sum())
        return int(self._world.now), running, waiting, used, len(serving)

    def gauges(self, end_ns: int) -> Gauges:
        """The samples up to the end of the run; the first one is taken at 0."""
        rows = [row for row in self._rows if row[0] <= end_ns]
        time_ns, running, waiting, usage, ready = zip(*rows, strict=True)
        whole = (np.array(column, np.int32) for column in (running, waiting, ready))
        return Gauges(np.array(time_ns, np.int64), next(whole), next(whole), np.array(usage), next(whole))


def record(
    world: World,
    deployments: Sequence[Deployment],
    requests: Requests,
    clients: Clients,
    tries: Tries,
    fleet: Fleet,
    gauges: GaugeRecorder,
    stopped_ns: int | None,
) -> Replication:
    """Freeze a finished run. `stopped_ns`: when the clock was stopped, None if everything ended by itself."""
    rows = world.engines.rows
    ending = _endings(tries, rows)
    chosen = _standing_for(tries, rows, ending)
    outcome, ended_ns = _outcomes(clients, tries, rows, ending, chosen)
    end_ns = stopped_ns
    if end_ns is None:
        end_ns = int(max(rows["last_token_ns"].max(), clients.sent_ns.max(), ended_ns.max()))
    world.engines.settle(end_ns)
    itl_ns, itl_count = world.engines.take_itl()
    timeline = _timeline(fleet, end_ns)
    mine = rows if len(rows) == len(requests) else rows[chosen]
    return Replication(
        requests=requests,
        outcome=outcome,
        sent_ns=clients.sent_ns,
        queued_ns=np.where(mine["status"] == UNSENT, -1, mine["arrival_ns"]),
        first_scheduled_ns=mine["first_scheduled_ns"],
        last_scheduled_ns=mine["last_scheduled_ns"],
        first_token_ns=mine["first_token_ns"],
        answer_token_ns=mine["answer_token_ns"],
        last_token_ns=mine["last_token_ns"],
        cached_tokens=mine["cached_tokens"],
        preemptions=mine["preemptions"],
        replica=mine["replica"],
        itl_ns=itl_ns,
        itl_count=itl_count,
        counters=_counters(world, deployments, timeline, end_ns),
        gauges=gauges.gauges(end_ns),
        ended_ns=ended_ns,
        tries=_tries(clients, tries, rows, ending),
        timeline=timeline,
        leases=_leases(fleet.ledger.leases, end_ns),
        end_ns=end_ns,
        padding=_padding(world, deployments),
    )


def _endings(tries: Tries, rows: NDArray[np.void]) -> NDArray[np.int8]:
    """How each row ended; one that nobody watched is known to be answered by its engine alone."""
    ending = np.frombuffer(tries.ending, np.int8).copy()
    ending[(ending == Ending.OPEN) & (rows["status"] == FINISHED)] = Ending.ANSWERED
    return ending


def _standing_for(tries: Tries, rows: NDArray[np.void], ending: NDArray[np.int8]) -> NDArray[np.int64]:
    """Row of each request that was answered, else the last one that reached an engine, else its first."""
    request = np.frombuffer(tries.further_request, np.int32)
    n = len(rows) - len(request)
    chosen = np.arange(n)
    further = np.arange(n, len(rows))
    reached, answered = rows["status"][n:] != UNSENT, ending[n:] == Ending.ANSWERED
    chosen[request[reached]] = further[reached]
    chosen[request[answered]] = further[answered]
    at_first = np.flatnonzero(ending[:n] == Ending.ANSWERED)
    chosen[at_first] = at_first
    return chosen


def _outcomes(
    clients: Clients, tries: Tries, rows: NDArray[np.void], ending: NDArray[np.int8], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """What each request came to, and when its client knew."""
    outcome = np.full(len(chosen), Outcome.IN_FLIGHT, np.int8)
    outcome[clients.sent_ns < 0] = Outcome.NOT_SENT
    done = ending[chosen] == Ending.ANSWERED
    outcome[done] = Outcome.FINISHED
    ended_ns = np.where(done, rows["last_token_ns"][chosen], -1)
    for request, (what, when) in tries.settled.items():
        outcome[request] = what
        ended_ns[request] = -1 if what is Outcome.REJECTED else when
    return outcome, ended_ns


def _tries(clients: Clients, tries: Tries, rows: NDArray[np.void], ending: NDArray[np.int8]) -> TryColumns:
    request = np.frombuffer(tries.further_request, np.int32)
    n = len(rows) - len(request)
    undisturbed = np.isin(ending, (Ending.OPEN, Ending.ANSWERED, Ending.REJECTED)) & (rows["left_ns"] < 0)
    calm = len(rows) == n and undisturbed.all()
    sent_ns = np.concatenate([clients.sent_ns, np.frombuffer(tries.further_sent_ns, np.int64)])
    kept = np.flatnonzero((sent_ns >= 0) & (not calm))
    kept = kept[np.argsort(sent_ns[kept], kind="stable")]
    mine, status = rows[kept], rows["status"][kept]
    return TryColumns(
        request=np.concatenate([np.arange(n, dtype=np.int32), request])[kept],
        sent_ns=sent_ns[kept],
        queued_ns=np.where(status == UNSENT, -1, mine["arrival_ns"]),
        left_ns=np.where(status == FINISHED, mine["last_token_ns"], mine["left_ns"]),
        replica=mine["replica"].copy(),
        ending=ending[kept],
        tokens=mine["tokens"].astype(np.int64),
        produced=mine["produced"].copy(),
        cached_tokens=mine["cached_tokens"].copy(),
    )


def _timeline(fleet: Fleet, end_ns: int) -> Timeline:
    events = [event for event in fleet.events if event[0] <= end_ns]
    time_ns, place, node, state, cause = (np.array(column, np.int64) for column in zip(*events, strict=True))
    return Timeline(
        time_ns, place.astype(np.int32), node.astype(np.int32), state.astype(np.int8), cause.astype(np.int8)
    )


def _leases(leases: Sequence[Lease], end_ns: int) -> Leases:
    paid = [one for one in leases if one.start_ns < end_ns]
    columns = {
        name: np.array([getattr(one, name) for one in paid], np.int32) for name in ("node", "pool", "zone", "gpus")
    }
    ends = (end_ns if one.end_ns is None else min(one.end_ns, end_ns) for one in paid)
    return Leases(
        **columns, start_ns=np.array([one.start_ns for one in paid], np.int64), end_ns=np.fromiter(ends, np.int64)
    )


def _ready_ns(timeline: Timeline, places: int, end_ns: int) -> NDArray[np.int64]:
    """How long each place had a replica that served."""
    total, since = np.zeros(places, np.int64), np.full(places, -1, np.int64)
    for at, place, state in zip(timeline.time_ns, timeline.replica, timeline.state, strict=True):
        if since[place] >= 0:
            total[place] += at - since[place]
        since[place] = at if State(state) in SERVING else -1
    return total + np.where(since >= 0, end_ns - since, 0)


def _counters(
    world: World, deployments: Sequence[Deployment], timeline: Timeline, end_ns: int
) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    replicas = world.engines.state.replicas
    counters = np.zeros(len(replicas), COUNTERS)
    for name in COUNTERS.names or ():
        if name in (replicas.dtype.names or ()):
            counters[name] = replicas[name]
    counters["ready_ns"] = _ready_ns(timeline, len(replicas), end_ns)
    for row, replica in zip(counters, replicas, strict=True):
        work = deployments[replica["cost"]].work
        row["flops"] = _flops(work, replica)
        row["bytes"] = replica["weight_bytes"] + _kv_bytes(work, replica)
    if world.engines.padded is not None:
        for row, padded, replica in zip(counters, world.engines.padded, replicas, strict=True):
            row["bytes"] += _kv_bytes(deployments[replica["cost"]].work, padded)
    return counters


def _padding(world: World, deployments: Sequence[Deployment]) -> NDArray[np.void] | None:
    engines = world.engines
    if engines.padded is None:
        return None
    padding = np.zeros(len(engines.padded), PADDING)
    for row, padded, replica in zip(padding, engines.padded, engines.state.replicas, strict=True):
        row["tokens"] = padded["prefill_tokens"] + padded["decode_tokens"]
        row["flops"] = _flops(deployments[replica["cost"]].work, padded)
        for name in ("kv_reserved_ns", "kv_held_ns"):
            row[name] = padded[name]
    return padding


def _flops(work: StepWork, sums: np.void) -> float:
    """FLOPs of steps with these sums; without padding unless they are sums of padding."""
    return float(
        work.flops_per_token * (sums["prefill_tokens"] + sums["decode_tokens"])
        + work.flops_per_pair * sums["prefill_pairs"]
        + work.flops_per_context * sums["context_tokens"]
        + work.flops_per_sampled * sums["sampled"]
    )


def _kv_bytes(work: StepWork, sums: np.void) -> float:
    return float(work.bytes_per_context * sums["context_tokens"] + work.bytes_per_decode * sums["decode_tokens"])
