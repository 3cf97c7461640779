"""How the compiled engine lies in memory: record arrays, one row an entity, shared by all replicas of a fleet.

Replica r owns the blocks first_block .. first_block + num_blocks, the seats first_seat .. first_seat + seats and the
hash buckets first_bucket .. first_bucket + bucket_mask + 1 of the common arrays. A seat is one place in `running`
(`max_num_seqs` of them); it holds what a request only has while it runs. Indices of requests, seats and blocks are
global. NIL (-1) is no index.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.experimental import structref
from numpy.typing import NDArray

from sim.kernel.jit import entry

NIL = -1
NEVER = np.int64(2**62)
"""A time that never comes."""

# request status; from FINISHED on no engine has anything to do with it
UNSENT, WAITING, RUNNING, PREEMPTED, FINISHED, GONE = 0, 1, 2, 3, 4, 5
# what holds the head of the waiting queue
NOTHING, SEATS, BLOCKS, BUDGET = 0, 1, 2, 3

REQUEST = np.dtype(
    [
        ("arrival_ns", np.int64),
        ("first_scheduled_ns", np.int64),
        ("last_scheduled_ns", np.int64),
        ("first_token_ns", np.int64),
        ("answer_token_ns", np.int64),
        ("last_token_ns", np.int64),
        ("left_ns", np.int64),  # when it was aborted or evicted, NIL if it was not
        ("tokens", np.int64),  # scheduled for it in all: prompt, output, recomputation
        ("content", np.int32),  # the drawn request whose tokens it has; rows beyond those are further tries
        ("prompt_tokens", np.int32),
        ("output_tokens", np.int32),
        ("max_tokens", np.int32),
        ("answer_at", np.int32),  # number of the output token that is the first of the answer
        ("produced", np.int32),  # output tokens delivered
        ("seat", np.int32),
        ("next", np.int32),  # in the waiting queue
        ("previous", np.int32),
        ("replica", np.int32),
        ("cached_tokens", np.int32),
        ("preemptions", np.int32),
        ("priority", np.int32),
        ("status", np.int8),
        ("watched", np.int8),  # the world wants to know when it ends
    ]
)

SEAT = np.dtype(
    [
        ("request", np.int32),
        ("computed", np.int32),  # num_computed_tokens, advanced when scheduled
        ("placeholders", np.int32),  # num_output_placeholders, async scheduling only
        ("owned", np.int32),  # KV blocks in its block table
        ("hashed", np.int32),  # leading ones of them in the prefix cache (num_cached_block)
    ]
)

BLOCK = np.dtype(
    [
        ("key", np.int64),  # content key, 0 if it is not in the prefix cache
        ("users", np.int32),  # ref_cnt
        ("next", np.int32),  # free queue; the null block, which vLLM never hands out, is its sentinel
        ("previous", np.int32),
        ("chain_next", np.int32),  # hash chain, oldest first
        ("chain_previous", np.int32),
    ]
)

PLAN = np.dtype(
    [
        ("entries", np.int32),
        ("tokens", np.int32),
        ("preempted", np.int32),
        ("loads", np.int64),  # admitted requests that load KV blocks from an index service
        ("loaded_blocks", np.int64),
        ("duration_ns", np.int64),
        ("device_fs", np.int64),
        ("prefill_tokens", np.int64),  # the step's sums: see sim.steptime.shape
        ("prefill_pairs", np.int64),
        ("decode_seqs", np.int64),
        ("context_tokens", np.int64),
        ("sampled", np.int64),
    ]
)

ENTRY = np.dtype([("request", np.int32), ("tokens", np.int32), ("samples", np.int32)])

REPLICA = np.dtype(
    [
        # limits, fixed
        ("block_size", np.int64),
        ("first_block", np.int64),
        ("num_blocks", np.int64),
        ("first_bucket", np.int64),
        ("bucket_mask", np.int64),
        ("first_seat", np.int64),
        ("seats", np.int64),
        ("budget", np.int64),
        ("max_model_len", np.int64),
        ("long_prefill", np.int64),
        ("watermark_blocks", np.int64),
        ("by_priority", np.int64),
        ("chunked", np.int64),
        ("caching", np.int64),
        ("reserve_full", np.int64),
        ("asynchronous", np.int64),
        ("cost", np.int64),
        ("index_ppm", np.int64),  # share of a prompt's full blocks that an index service has, in millionths
        # state
        ("free_blocks", np.int64),
        ("running", np.int64),
        ("waiting", np.int64),
        ("first_waiting", np.int64),
        ("last_waiting", np.int64),
        ("executing", np.int64),  # 1 while a step runs
        ("slot", np.int64),  # which of its two plans runs or will run next
        ("halted", np.int64),  # 1: hung, takes requests and serves none
        ("fruitless", np.int64),  # preemptions since a request last finished
        ("held_by", np.int64),  # what holds the head of the waiting queue
        ("accounted_ns", np.int64),
        # counters
        ("steps", np.int64),
        ("busy_ns", np.int64),
        ("device_fs", np.float64),
        ("comm_fs", np.float64),
        ("weight_bytes", np.float64),
        ("prefill_tokens", np.int64),
        ("prefill_pairs", np.int64),
        ("decode_tokens", np.int64),
        ("context_tokens", np.int64),
        ("sampled", np.int64),
        ("preemptions", np.int64),
        ("prefix_queries", np.int64),
        ("prefix_hits", np.int64),
        ("peak_running", np.int64),
        ("peak_step_tokens", np.int64),
        ("block_ns", np.float64),
        ("system_ns", np.float64),
        ("waiting_ns", np.float64),
        ("waiting_seats_ns", np.float64),
        ("waiting_blocks_ns", np.float64),
        ("waiting_budget_ns", np.float64),
    ]
)

COST = np.dtype(
    [
        (name, np.int64)
        for name in (
            "mixed", "decode", "attention", "slope", "sampled", "host", "comm_mixed", "comm_decode", "weights",
            "knots", "num_knots", "pair_fs", "load_fs", "load_block_fs", "overlap",
        )
    ]
)  # fmt: skip
"""Where each table of a StepCost begins in the common table array, and its scalars."""

CLOCK = np.dtype(
    [
        ("due", np.int64),  # replicas in the heap
        ("ended", np.int64),  # watched requests that ended in the last boundary
        ("itl", np.int64),  # entries of the ITL log
        ("long_itl", np.int64),
        ("unfinished", np.int64),  # requests given to replicas, neither finished nor gone
        ("now_ns", np.int64),  # time of the last boundary
    ]
)


class State(NamedTuple):
    """Everything the kernel reads and writes. n drawn requests, R replicas."""

    requests: NDArray[np.void]
    """REQUEST[>= n]: the first try of each drawn request, then further tries and room for more."""
    own_stream: NDArray[np.int64]
    segment_offset: NDArray[np.int64]
    segment_stream: NDArray[np.int64]
    segment_end: NDArray[np.int32]
    replicas: NDArray[np.void]
    """REPLICA[R]"""
    next_ns: NDArray[np.int64]
    """int64[R]: next step boundary of each replica, NEVER when idle."""
    outstanding: NDArray[np.int64]
    """int64[R]: unfinished requests, for routers."""
    heap: NDArray[np.int32]
    """int32[R, 2]: replicas by next_ns (column 0), and each replica's place there (column 1)."""
    seats: NDArray[np.void]
    """SEAT[all seats]"""
    running: NDArray[np.int32]
    """int32[all seats]: each replica's seats in admission order, then its free seats as a stack."""
    table: NDArray[np.int32]
    """int32[all seats, width]: block tables."""
    blocks: NDArray[np.void]
    """BLOCK[all blocks]"""
    buckets: NDArray[np.int32]
    plans: NDArray[np.void]
    """PLAN[R, 2]"""
    entries: NDArray[np.void]
    """ENTRY[all seats, 2]"""
    costs: NDArray[np.void]
    """COST[kinds of replica]"""
    tables: NDArray[np.int64]
    ended: NDArray[np.int32]
    """int32[largest seats]: watched requests that ended in the last boundary."""
    itl_ns: NDArray[np.uint32]
    itl_count: NDArray[np.uint16]
    long_itl_ns: NDArray[np.int64]
    """Latencies beyond 2**32 - 1 ns, one entry each."""
    clock: NDArray[np.void]
    """CLOCK[1]"""


@structref.register
class _BoxType(types.StructRef):
    """Numba's type of a boxed State."""

    def preprocess_fields(self, fields):
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class Box(structref.StructRefProxy):
    """A State behind one pointer: a call from Python unpacks one argument instead of twenty-three arrays."""


structref.define_proxy(Box, _BoxType, ["state"])


@entry
def box(state):
    """Put a State into a Box."""
    return Box(state)
