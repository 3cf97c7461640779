"""One engine's knobs: vLLM's own flags, names and defaults (0.32)."""

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.base import Block, Count, NotABoolean


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
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: Annotated[int, Field(ge=0)] = 0
    scheduling_policy: Literal["fcfs", "priority"] = "fcfs"
    scheduler_reserve_full_isl: bool = True
    watermark: Annotated[float, Field(ge=0, lt=1)] = 0.0
    async_scheduling: bool = True
    enforce_eager: bool = False
    disable_custom_all_reduce: bool = False
    enable_expert_parallel: bool = False
