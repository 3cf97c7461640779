"""How the engines' memory is laid out for a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.kernel import rows
from sim.kernel.cost import pack
from sim.kernel.layout import BLOCK, CLOCK, ENTRY, NEVER, NIL, PLAN, REPLICA, REQUEST, SEAT, State
from sim.request import Requests
from sim.steptime.cost import StepCost

_LOG = 1 << 16


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What the scheduler of one replica has to work with; vLLM's names."""

    max_num_batched_tokens: int
    max_num_seqs: int
    max_model_len: int
    block_size: int
    num_gpu_blocks: int
    enable_prefix_caching: bool = True
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    priority: bool = False
    reserve_full_isl: bool = True
    watermark: float = 0.0
    async_scheduling: bool = True
    index_hit: float = 0.0
    """Share of a new prompt's leading full blocks that is loaded from an index service instead of computed."""


def lay_out(
    limits: Sequence[EngineLimits],
    kinds: Sequence[int],
    costs: Sequence[StepCost],
    weight_bytes: Sequence[NDArray[np.float64]],
    requests: Requests,
    priority: NDArray[np.int32],
) -> State:
    """Memory for one run; arguments as of `Engines`."""
    chosen = [limits[kind] for kind in kinds]
    replicas = _replicas(chosen, kinds)
    seats = sum(one.max_num_seqs for one in chosen)
    largest = max(one.max_num_seqs for one in chosen)
    longest = int((requests.prompt_tokens.astype(np.int64) + requests.output_tokens).max())
    blocks = np.zeros(sum(one.num_gpu_blocks for one in chosen), BLOCK).view(np.recarray)
    cost_rows, tables = pack(costs, weight_bytes)
    number = np.arange(len(chosen), dtype=np.int32)
    state = State(
        requests=_first_tries(requests, priority),
        own_stream=requests.own_stream,
        segment_offset=requests.segment_offset,
        segment_stream=requests.segment_stream,
        segment_end=requests.segment_end,
        replicas=replicas,
        next_ns=np.full(len(chosen), NEVER),
        outstanding=np.zeros(len(chosen), np.int64),
        heap=np.stack([number, number], axis=1),
        seats=np.full(seats, NIL, np.int32).astype(SEAT).view(np.recarray),
        running=np.arange(seats, dtype=np.int32),
        table=np.zeros((seats, table_width(longest, replicas)), np.int32),
        blocks=blocks,
        buckets=np.full(int(sum(replicas["bucket_mask"] + 1)), NIL, np.int32),
        plans=np.zeros((len(chosen), 2), PLAN).view(np.recarray),
        entries=np.zeros((seats, 2), ENTRY).view(np.recarray),
        costs=cost_rows,
        tables=tables,
        ended=np.zeros(largest, np.int32),
        itl_ns=np.zeros(max(_LOG, 4 * largest), np.uint32),
        itl_count=np.zeros(max(_LOG, 4 * largest), np.uint16),
        long_itl_ns=np.zeros(2 * largest + 1, np.int64),
        clock=np.zeros(1, CLOCK).view(np.recarray),
    )
    rows.reset(state)
    return state


def table_width(tokens: int, replicas: NDArray[np.void]) -> int:
    """KV blocks of a request of so many tokens, at most, on any of these replicas."""
    return min(tokens, int(replicas["max_model_len"].max())) // int(replicas["block_size"].min()) + 1


def _first_tries(requests: Requests, priority: NDArray[np.int32]) -> NDArray[np.void]:
    tries = np.zeros(len(requests), REQUEST).view(np.recarray)
    tries["prompt_tokens"] = requests.prompt_tokens
    tries["output_tokens"] = requests.output_tokens
    tries["max_tokens"] = requests.max_tokens
    tries["answer_at"] = np.minimum(requests.reasoning_tokens + 1, requests.output_tokens)
    tries["priority"] = priority
    return tries


def _replicas(chosen: Sequence[EngineLimits], kinds: Sequence[int]) -> NDArray[np.void]:
    replicas = np.zeros(len(chosen), REPLICA).view(np.recarray)
    block = seat = bucket = 0
    for row, one, kind in zip(replicas, chosen, kinds, strict=True):
        buckets = 1 << max(one.num_gpu_blocks - 1, 1).bit_length() if one.enable_prefix_caching else 1
        row["block_size"], row["num_blocks"] = one.block_size, one.num_gpu_blocks
        row["first_block"], row["first_seat"], row["first_bucket"] = block, seat, bucket
        row["bucket_mask"], row["seats"] = buckets - 1, one.max_num_seqs
        row["budget"], row["max_model_len"] = one.max_num_batched_tokens, one.max_model_len
        row["long_prefill"] = one.long_prefill_token_threshold
        row["watermark_blocks"] = int(one.watermark * one.num_gpu_blocks)
        row["by_priority"], row["chunked"] = one.priority, one.enable_chunked_prefill
        row["caching"], row["reserve_full"] = one.enable_prefix_caching, one.reserve_full_isl
        row["asynchronous"], row["cost"] = one.async_scheduling, kind
        row["index_ppm"] = round(one.index_hit * 1_000_000)
        row["first_waiting"] = row["last_waiting"] = NIL
        block, seat, bucket = block + one.num_gpu_blocks, seat + one.max_num_seqs, bucket + buckets
    return replicas
