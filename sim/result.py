"""What a run leaves behind: columns by request, counters by replica, gauges by time. Reports compute from these."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sim.request import Int32s, Int64s, Requests


class Outcome(IntEnum):
    """How a request ended; every request has exactly one."""

    IN_FLIGHT = 0
    """Sent, unfinished when the clock stopped; perhaps still in the front end."""
    FINISHED = 1
    REJECTED = 2
    """Refused by the API server: prompt + max_tokens exceeds max_model_len (HTTP 400)."""
    NOT_SENT = 3
    """The clock stopped before the client sent it."""
    FAILED = 4
    """Its last try was lost with its replica, or no replica was ready (HTTP 503)."""
    SHED = 5
    """Its last try was turned away or dropped by admission (HTTP 503)."""
    TIMED_OUT = 6
    """The client gave up waiting for its last try."""
    FORGOTTEN = 7
    """The batcher dropped its last try from the queue (engine.batching, drop_underfilled)."""


class Ending(IntEnum):
    """How one try of a request ended."""

    OPEN = 0
    """Not yet."""
    ANSWERED = 1
    LOST = 2
    """The replica died under it, or the connection was refused."""
    UNAVAILABLE = 3
    """No replica was ready (HTTP 503)."""
    SHED = 4
    """Turned away: queue cap or load shedding (HTTP 503)."""
    DROPPED = 5
    """Waited for longer than admission.queue_timeout_s."""
    CANCELLED = 6
    """The client went away, and the engine aborted it."""
    ABANDONED = 7
    """The client went away, and the engine was not told."""
    REJECTED = 8
    """Refused by the API server (HTTP 400), as it would be again."""
    FORGOTTEN = 9
    """Dropped by the engine's batcher; the client notices at once, which is kinder than waiting for ever."""


class State(IntEnum):
    """Where a replica is in its life."""

    REQUESTED = 0
    BOOTING = 1
    IMAGE = 2
    STARTING = 3
    """The process: Python, imports."""
    LOADING = 4
    COMPILING = 5
    WARMING = 6
    READY = 7
    DRAINING = 8
    """Finishes what it has and gets nothing new."""
    HUNG = 9
    """Passes liveness checks, serves nothing."""
    DEAD = 10
    """Failed, and not noticed or not yet started again."""
    GONE = 11


class Cause(IntEnum):
    """Why a replica changed its state."""

    PLAN = 0
    """The next stage of its life."""
    SCALING = 1
    CRASH = 2
    HANG = 3
    GPU = 4
    NODE = 5
    ZONE = 6
    SPOT = 7
    """Notice of a reclaim, or the reclaim."""


FAILURES = (Cause.CRASH, Cause.HANG, Cause.GPU, Cause.NODE, Cause.ZONE, Cause.SPOT)


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """What a replica is."""

    pool: str
    model: str
    gpu: str
    gpus: int
    usd_per_gpu_hour: float | None
    """None where neither the scenario nor the catalogue has a price."""
    block_size: int
    num_gpu_blocks: int
    """As vLLM logs it; one of them is the null block."""
    peak_flops: float
    """Of all its GPUs, dense, in the precision of the weights' GEMMs."""
    hbm_bytes_per_s: float
    """Of all its GPUs."""
    step_time_label: str
    kv_share: float | None = None
    """KV pool's share of the HBM; None in runs saved before it was recorded."""


COUNTERS = np.dtype(
    [
        ("steps", np.int64),  # engine steps that scheduled tokens
        ("busy_ns", np.int64),  # time inside such steps
        ("device_fs", np.float64),  # device part of it, femtoseconds
        ("comm_fs", np.float64),  # collectives, femtoseconds
        ("flops", np.float64),  # floating-point operations that the model needs, without padding
        ("bytes", np.float64),  # HBM bytes read: weights touched and KV
        ("prefill_tokens", np.int64),
        ("decode_tokens", np.int64),
        ("sampled", np.int64),
        ("preemptions", np.int64),
        ("prefix_queries", np.int64),  # prompt tokens looked up, first admissions only (vllm:prefix_cache_queries)
        ("prefix_hits", np.int64),
        ("peak_running", np.int64),
        ("peak_step_tokens", np.int64),  # largest step
        ("block_ns", np.float64),  # integral of used KV blocks over time
        ("system_ns", np.float64),  # integral of running and waiting requests over time
        ("waiting_ns", np.float64),  # integral of waiting requests over time
        ("waiting_seats_ns", np.float64),  # the part of it while max_num_seqs blocked the head of the queue
        ("waiting_blocks_ns", np.float64),  # ... while KV blocks did
        ("waiting_budget_ns", np.float64),  # ... while the token budget did (the rest: joins at the next step)
        ("ready_ns", np.int64),  # time in which the replica served: ready, draining or hung
    ]
)


PADDING = np.dtype(
    [
        ("tokens", np.int64),  # computed for nothing: seats beyond a prompt or behind an answer
        ("flops", np.float64),  # likewise
        ("kv_reserved_ns", np.float64),  # integral over time of the tokens for which KV is reserved
        ("kv_held_ns", np.float64),  # ... of those that it holds
    ]
)


@dataclass(frozen=True, slots=True)
class Gauges:
    """State of the fleet at regular instants; columns of equal length, sums over replicas."""

    time_ns: Int64s
    running: Int32s
    waiting: Int32s
    kv_cache_usage: NDArray[np.float64]
    """Used share of the KV blocks of the replicas that serve, 0 to 1."""
    ready: Int32s
    """Replicas that serve."""


@dataclass(frozen=True, slots=True)
class Tries:
    """Every try of every request, in the order of sending; without any where each request had one that nobody ended.

    Columns of equal length; times are ns since the start, -1 where the event never came.
    """

    request: Int32s
    sent_ns: Int64s
    queued_ns: Int64s
    """When an engine queued it."""
    left_ns: Int64s
    """When it left the engine: answered, lost, aborted, or finished though nobody waited."""
    replica: Int32s
    """-1 if it reached none."""
    ending: NDArray[np.int8]
    """Ending, as the client saw it."""
    tokens: Int64s
    """That the engine computed for it: prompt, answer, and again after preemptions."""
    produced: Int32s
    """Output tokens."""
    cached_tokens: Int32s

    def __len__(self) -> int:
        """Number of tries."""
        return len(self.request)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to the fleet: changes of replicas' states, in their order. Columns of equal length."""

    time_ns: Int64s
    replica: Int32s
    """Index into `Run.replicas`: a place in the fleet, which several replicas may fill one after another."""
    node: Int32s
    """-1 before it has one."""
    state: NDArray[np.int8]
    """State that it enters."""
    cause: NDArray[np.int8]
    """Cause"""


@dataclass(frozen=True, slots=True)
class Leases:
    """Nodes that were paid for, from `start_ns` to `end_ns`. Columns of equal length."""

    node: Int32s
    pool: Int32s
    """Index into the scenario's fleet."""
    zone: Int32s
    """Index into the pool's zones; 0 without any."""
    gpus: Int32s
    """That are billed: see `cost.billed_by`."""
    start_ns: Int64s
    end_ns: Int64s


@dataclass(frozen=True, slots=True)
class Replication:
    """One simulated run of the traffic. Times are ns since the start, -1 where the event never came."""

    requests: Requests
    outcome: NDArray[np.int8]
    sent_ns: Int64s
    queued_ns: Int64s
    """When the engine queued it (vLLM's QUEUED): as much later than `sent_ns` as the front end takes.

    Of a request with several tries, this and the columns that follow are those of the try that was answered, else of
    the last one that reached an engine; `sent_ns` is the first sending."""
    first_scheduled_ns: Int64s
    last_scheduled_ns: Int64s
    """Most recent admission, differs from the first after a preemption; vLLM's queue time ends at the first."""
    first_token_ns: Int64s
    answer_token_ns: Int64s
    """First token after the reasoning."""
    last_token_ns: Int64s
    cached_tokens: Int32s
    """Prefix-cache hit at the first admission."""
    preemptions: Int32s
    replica: Int32s
    """Index into `replicas`, -1 if it reached none."""
    itl_ns: NDArray[np.integer]
    """Inter-token latencies with multiplicity `itl_count`: one entry serves a whole batch."""
    itl_count: NDArray[np.integer]
    counters: NDArray[np.void]
    """COUNTERS[replicas]"""
    gauges: Gauges
    ended_ns: Int64s
    """When the client had its answer or gave up for good; -1: neither, or rejected at once."""
    tries: Tries
    timeline: Timeline
    leases: Leases
    end_ns: int
    """When the last event happened."""
    padding: NDArray[np.void] | None = None
    """PADDING[replicas], of engines that pad."""


Measures = dict[str, float | None]
"""Numbers by name; one that does not exist (the mean of nothing) is None."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One replication in numbers; keys as in sim/report/measure.py."""

    whole: Measures
    classes: tuple[Measures, ...]
    """Of each request class, in the order of `Requests.classes`."""
    pools: tuple[Measures, ...]
    """Of each pool of replicas, in the order of the scenario."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A replication simulated once more with a posterior draw of the calibration: its numbers, not its columns."""

    number: int
    """Of the draw."""
    replication: int
    """Index of the replication at the best estimate that served the same requests with the same random streams."""
    measured: Measured


@dataclass(frozen=True, slots=True)
class Run:
    """All replications of one scenario, with provenance."""

    scenario: dict[str, object]
    """The resolved scenario, as JSON data."""
    provenance: dict[str, str]
    """version, commit, scenario_sha256, catalogue_sha256, step_time label, warnings ..."""
    replicas: tuple[ReplicaInfo, ...]
    replications: tuple[Replication, ...]
    """At the best estimate of the step times."""
    draws: tuple[Draw, ...] = ()
    """How far the calibration leaves the numbers open; none unless the step time is calibrated."""
