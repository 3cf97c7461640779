"""The recorder: gauges while a run goes on, and its records when it ends."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import simpy

from sim.clients import Clients
from sim.deployment import Deployment
from sim.fleet import Fleet
from sim.kernel.layout import FINISHED, UNSENT
from sim.request import Requests
from sim.result import COUNTERS, Gauges, Outcome, Replication
from sim.units import NS_PER_MS
from sim.world import World

MOST_SAMPLES = 1024


class GaugeRecorder:
    """Samples the fleet at regular instants: every 50 ms at first; twice as far apart whenever 1,024 are full."""

    def __init__(self, world: World, at_work: Callable[[], bool]) -> None:
        """Sample until the world is no longer `at_work`."""
        self._world = world
        self._at_work = at_work
        self._period = 50 * NS_PER_MS
        self._rows: list[tuple[int, int, int, float]] = []
        blocks = world.engines.state.replicas["num_blocks"] - 1
        self._blocks = int(blocks.sum())
        world.process(self._sample())

    def _sample(self) -> Generator[simpy.Event, None, None]:
        while True:
            replicas = self._world.engines.state.replicas
            used = 1.0 - int(replicas["free_blocks"].sum()) / self._blocks
            now = int(self._world.now)
            self._rows.append((now, int(replicas["running"].sum()), int(replicas["waiting"].sum()), used))
            if not self._at_work():
                return
            if len(self._rows) == MOST_SAMPLES:
                self._rows = self._rows[::2]
                self._period *= 2
            yield self._world.timeout(self._rows[-1][0] + self._period - now)

    def gauges(self, end_ns: int) -> Gauges:
        """The samples up to the end of the run; the first one is taken at 0."""
        rows = [row for row in self._rows if row[0] <= end_ns]
        time_ns, running, waiting, usage = zip(*rows, strict=True)
        return Gauges(
            np.array(time_ns, np.int64), np.array(running, np.int32), np.array(waiting, np.int32), np.array(usage)
        )


def record(
    world: World,
    deployments: Sequence[Deployment],
    requests: Requests,
    clients: Clients,
    fleet: Fleet,
    gauges: GaugeRecorder,
    stopped_ns: int | None,
) -> Replication:
    """Freeze a finished run. `stopped_ns`: when the clock was stopped, None if everything ended by itself."""
    rows = world.engines.state.requests
    outcome = np.full(len(requests), Outcome.IN_FLIGHT, np.int8)
    outcome[clients.sent_ns < 0] = Outcome.NOT_SENT
    outcome[rows["status"] == FINISHED] = Outcome.FINISHED
    outcome[fleet.rejected] = Outcome.REJECTED
    end_ns = stopped_ns if stopped_ns is not None else int(max(rows["last_token_ns"].max(), clients.sent_ns.max()))
    world.engines.settle(end_ns)
    itl_ns, itl_count = world.engines.take_itl()
    return Replication(
        requests=requests,
        outcome=outcome,
        sent_ns=clients.sent_ns,
        queued_ns=np.where(rows["status"] == UNSENT, -1, rows["arrival_ns"]),
        first_scheduled_ns=rows["first_scheduled_ns"],
        last_scheduled_ns=rows["last_scheduled_ns"],
        first_token_ns=rows["first_token_ns"],
        answer_token_ns=rows["answer_token_ns"],
        last_token_ns=rows["last_token_ns"],
        cached_tokens=rows["cached_tokens"],
        preemptions=rows["preemptions"],
        replica=rows["replica"],
        itl_ns=itl_ns,
        itl_count=itl_count,
        counters=_counters(world, deployments),
        gauges=gauges.gauges(end_ns),
        end_ns=end_ns,
    )


def _counters(world: World, deployments: Sequence[Deployment]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    replicas = world.engines.state.replicas
    counters = np.zeros(len(replicas), COUNTERS)
    for name in COUNTERS.names or ():
        if name in (replicas.dtype.names or ()):
            counters[name] = replicas[name]
    for row, replica in zip(counters, replicas, strict=True):
        work = deployments[replica["cost"]].work
        tokens = replica["prefill_tokens"] + replica["decode_tokens"]
        row["flops"] = (
            work.flops_per_token * tokens
            + work.flops_per_pair * replica["prefill_pairs"]
            + work.flops_per_context * replica["context_tokens"]
            + work.flops_per_sampled * replica["sampled"]
        )
        row["bytes"] = (
            replica["weight_bytes"]
            + work.bytes_per_context * replica["context_tokens"]
            + work.bytes_per_decode * replica["decode_tokens"]
        )
    return counters
