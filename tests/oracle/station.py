"""The product's engine behind its own world and clients, with step times and limits that make it a textbook queue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.clients import Clients
from sim.engine import EngineLimits, Engines
from sim.request import Requests
from sim.steptime.cost import StepCost
from sim.units import FS_PER_NS
from sim.world import World

SECOND = 10**9
"""ns"""


def limits(seats: int, **others: object) -> EngineLimits:
    """Limits of which only max_num_seqs binds: a KV block for every request, one token of budget a seat."""
    ample: dict[str, object] = {
        "max_num_batched_tokens": seats,
        "max_model_len": 10**7,
        "block_size": 10**7,
        "num_gpu_blocks": seats + 1,
        "enable_prefix_caching": False,
        "async_scheduling": False,
    }
    return EngineLimits(max_num_seqs=seats, **(ample | others))


def cost(decode_ns: ArrayLike, mixed_ns: ArrayLike = (0,)) -> StepCost:
    """Step times by decode sequences, and by tokens where some request has more than one."""
    decode, mixed = (np.asarray(table, np.int64) * FS_PER_NS for table in (decode_ns, mixed_ns))
    none = np.zeros(len(decode), np.int64)
    flat = np.zeros((len(decode), 1), np.int64)
    return StepCost(mixed, decode, np.zeros(1, np.int64), flat, flat, 0, none, none, False, np.zeros_like(mixed), none)


def requests(
    arrival_ns: ArrayLike,
    prompt: ArrayLike = 1,
    output: ArrayLike = 1,
    *,
    after: Sequence[int] | None = None,
    own_stream: Sequence[int] | None = None,
    concurrency: int | None = None,
) -> Requests:
    """Columns of requests without shared prefixes; scalars hold for all."""
    arrival = np.asarray(arrival_ns, np.int64)
    n = len(arrival)
    output_tokens = np.broadcast_to(output, n).astype(np.int32)
    return Requests(
        arrival_ns=arrival,
        prompt_tokens=np.broadcast_to(prompt, n).astype(np.int32),
        output_tokens=output_tokens,
        max_tokens=output_tokens,
        klass=np.zeros(n, np.int16),
        reasoning_tokens=np.zeros(n, np.int32),
        own_stream=np.arange(n, dtype=np.int64) if own_stream is None else np.array(own_stream, np.int64),
        after=np.full(n, -1, np.int32) if after is None else np.array(after, np.int32),
        segment_offset=np.zeros(n + 1, np.int64),
        segment_stream=np.zeros(0, np.int64),
        segment_end=np.zeros(0, np.int32),
        classes=("all",),
        concurrency=concurrency,
    )


def engines(kind: EngineLimits, step: StepCost, drawn: Requests, replicas: int = 1) -> Engines:
    """Equal replicas."""
    weights = np.zeros(kind.max_num_batched_tokens + 1)
    return Engines([kind], [0] * replicas, [step], [weights], drawn, np.zeros(len(drawn), np.int32))


@dataclass(frozen=True, slots=True)
class Station:
    """A queue: one replica, its traffic, and how many requests may be inside."""

    limits: EngineLimits
    cost: StepCost
    draw: Callable[[np.random.Generator, int], Requests]
    """Draws so many requests."""
    room: int | None = None
    """Further requests are refused, and lost."""


@dataclass(frozen=True, slots=True)
class Served:
    """What became of the requests, in order of their index. Times in seconds."""

    sent: NDArray[np.float64]
    scheduled: NDArray[np.float64]
    ended: NDArray[np.float64]
    lost: NDArray[np.bool_]
    busy: float
    """Share of the time from 0 to the last end in which steps ran."""
    batch: float
    """Requests a step."""
    peak_running: int

    @property
    def wait(self) -> NDArray[np.float64]:
        return self.scheduled - self.sent

    @property
    def latency(self) -> NDArray[np.float64]:
        return self.ended - self.sent

    def running(self, first: int) -> NDArray[np.float64]:
        """Requests in service at whole seconds, from the arrival of request `first` to the last."""
        at = np.arange(np.ceil(self.sent[first]), self.sent[-1])
        return np.searchsorted(self.scheduled, at, side="right") - np.searchsorted(
            np.sort(self.ended), at, side="right"
        ).astype(np.float64)


def serve(station: Station, drawn: Requests) -> Served:
    """Send the requests and wait for the last to end."""
    world = World(engines(station.limits, station.cost, drawn))
    inside = world.engines.state.outstanding
    lost = np.zeros(len(drawn), np.bool_)

    def send(request: int, watched: bool) -> bool:
        lost[request] = station.room is not None and inside[0] >= station.room
        if not lost[request]:
            world.engines.enqueue(0, request, int(world.now), watched=watched)
        return not lost[request]

    clients = Clients(world, drawn, send)
    world.run()
    rows = world.engines.state.requests
    replica = world.engines.state.replicas[0]
    assert world.engines.unfinished == clients.to_send == 0
    waited = (rows["first_scheduled_ns"] - rows["arrival_ns"])[~lost].sum()
    assert replica["waiting_ns"] == waited  # Little's law for the queue: both sides are exact
    return Served(
        sent=clients.sent_ns / SECOND,
        scheduled=rows["first_scheduled_ns"] / SECOND,
        ended=rows["last_token_ns"] / SECOND,
        lost=lost,
        busy=int(replica["busy_ns"]) / int(rows["last_token_ns"].max()),
        batch=int(replica["sampled"]) / int(replica["steps"]),
        peak_running=int(replica["peak_running"]),
    )
