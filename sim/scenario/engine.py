"""One engine's knobs: vLLM's own flags, names and defaults (0.32)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, Count, NonNegative, NotABoolean, Positive, Share
from sim.scenario.batching import Batching


class KvIndex(Block):
    """An index service that has KV blocks of prompts it knows: who is admitted loads them instead of computing them.

    It stands for vLLM's KV connectors that load inside the step (vllm/v1/core/sched/scheduler.py,
    get_num_new_matched_tokens without load_kv_async, 0.32.0): the step that admits a request waits for its blocks.
    """

    hit: Share
    """Share of each prompt's full blocks that it has, the leading ones."""
    gb_per_s: Positive
    """Of the way to the replica, 1e9 bytes a second."""
    latency_us: NonNegative = 0.0
    """Of asking and starting a transfer, by request that loads something."""


class Engine(Block):
    """`vllm serve` flags of every replica; a pool may override them."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Of activations, and of weights unless quantization says otherwise; auto: the checkpoint's own."""
    quantization: Literal["fp8", "int8", "int4", "fp4"] | None = None
    """Weights quantised otherwise than the checkpoint: fp8 and int8 (W8A8), int4 (W4A16, group 128), fp4."""
    kv_cache_dtype: Literal["auto", "bfloat16", "fp8", "fp8_ds_mla"] = "auto"
    max_model_len: Count | None = None
    """Longest prompt + answer; default the model's own."""
    max_num_batched_tokens: Count | None = None
    """Token budget of a step; default as vLLM's API server chooses it for the GPU."""
    max_num_seqs: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Most requests running at once; default as vLLM's."""
    max_num_queued_reqs: Count | None = None
    """Most requests that are unfinished in a replica at once; the next one gets HTTP 503."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.92
    kv_cache_memory_bytes: Annotated[int, Field(gt=0)] | None = None
    num_gpu_blocks_override: Annotated[int, Field(ge=2)] | None = None
    block_size: Annotated[Literal[1, 2, 4, 8, 16, 32, 64, 128, 256], NotABoolean] | None = None
    """Tokens a KV block; default as the attention backend that vLLM chooses wants it: 16, for MLA 16 to 256."""
    enable_prefix_caching: bool = True
    kv_index: KvIndex | None = None
    """Not a flag of vLLM's, but what a KV connector would find."""
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: Annotated[int, Field(ge=0)] = 0
    scheduling_policy: Literal["fcfs", "priority"] = "fcfs"
    scheduler_reserve_full_isl: bool = True
    watermark: Annotated[float, Field(ge=0, lt=1)] = 0.0
    async_scheduling: bool = True
    enforce_eager: bool = False
    disable_custom_all_reduce: bool = False
    enable_expert_parallel: bool = False
    batching: Batching | None = None
    """Batching with padding instead of vLLM's continuous batching: nobody joins a batch under way, and there is no
    prefix cache, chunked prefill beyond max_num_batched_tokens, or preemption. All pools or none."""

    @model_validator(mode="after")
    def _plain_queue(self) -> "Engine":
        if self.batching is not None and self.scheduling_policy == "priority":
            raise ValueError("scheduling_policy: found priority beside batching, expected fcfs")
        if self.batching is not None and self.kv_index is not None:
            raise ValueError("kv_index: found an index service beside batching, which has no KV blocks, expected none")
        return self
