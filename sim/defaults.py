"""The engine's knobs resolved as vLLM's API server resolves them (0.32.0)."""

from dataclasses import dataclass
from typing import Literal

from sim.catalog.types import Gpu, Model
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.units import GIB

KvDtype = Literal["bfloat16", "float32", "fp8", "fp8_ds_mla"]
"""bfloat16 stands for float16 too. fp8_ds_mla is DeepSeek's packed layout: fp8 latent, its scales, 16-bit RoPE part."""


@dataclass(frozen=True, slots=True)
class EngineDefaults:
    """What the engine runs with."""

    max_num_batched_tokens: int
    max_num_seqs: int
    max_model_len: int
    block_size: int
    async_scheduling: bool
    kv_cache_dtype: KvDtype


def engine_defaults(gpu: Gpu, model: Model, engine: Engine) -> EngineDefaults:
    """Fill in what the user left out.

    vllm/engine/arg_utils.py:2894-3186 (API server's column) and the checks of vllm/config/scheduler.py:314-352.

    Raises:
        InputError: vLLM would refuse these flags.
    """
    max_model_len = engine.max_model_len or model.max_model_len
    if max_model_len > model.max_model_len:
        raise InputError(
            f"engine.max_model_len {max_model_len} exceeds the context of {model.id}, {model.max_model_len} tokens"
        )
    tokens, seqs = _by_memory(gpu)
    seqs = engine.max_num_seqs or seqs
    if engine.max_num_batched_tokens is not None:
        tokens = engine.max_num_batched_tokens
    else:
        if not engine.enable_chunked_prefill:
            tokens = max(tokens, max_model_len)
        tokens = min(tokens, seqs * max_model_len)
    if engine.max_num_seqs is None:
        seqs = min(seqs, tokens)
    _check(engine, tokens, seqs, max_model_len)
    kv_dtype = kv_cache_dtype(model, engine)
    return EngineDefaults(
        max_num_batched_tokens=tokens,
        max_num_seqs=seqs,
        max_model_len=max_model_len,
        block_size=engine.block_size or _block_size(gpu, model, kv_dtype),
        async_scheduling=engine.async_scheduling,
        kv_cache_dtype=kv_dtype,
    )


def kv_cache_dtype(model: Model, engine: Engine) -> KvDtype:
    """Precision of the KV cache.

    Sparse MLA stores fp8 as fp8_ds_mla (vllm/model_executor/layers/attention/mla_attention.py:359-377); V4 does so
    for auto too (vllm/models/deepseek_v4/attention.py:93-122).

    Raises:
        InputError: fp8_ds_mla for a model without MLA.
    """
    asked = engine.kv_cache_dtype
    if asked == "fp8_ds_mla" and model.mla is None:
        raise InputError(f"engine.kv_cache_dtype fp8_ds_mla needs a model with MLA, but {model.id} has none")
    is_v4 = model.o_lora_rank > 0
    if (model.sparse is not None and asked == "fp8") or (is_v4 and asked == "auto"):
        return "fp8_ds_mla"
    if asked == "auto":
        return "float32" if engine.dtype == "float32" else "bfloat16"
    return asked


def _by_memory(gpu: Gpu) -> tuple[int, int]:
    """Default max_num_batched_tokens and max_num_seqs by the device's memory and name."""
    if gpu.memory_bytes >= 160 * GIB:
        return 16384, 1024
    if gpu.memory_bytes >= 70 * GIB and "a100" not in gpu.id:
        return 8192, 1024
    return 2048, 256


def _block_size(gpu: Gpu, model: Model, kv_dtype: KvDtype) -> int:
    """16, unless the attention backend that vLLM prefers for MLA on this GPU takes only larger blocks.

    Priorities in vllm/platforms/cuda.py:85-160, sizes in vllm/v1/attention/backends/mla/: on Hopper FLASH_ATTN_MLA
    (multiples of 16) with 16-bit KV, FLASHMLA (64) with fp8; on Blackwell FLASHINFER_MLA (32); the indexer of sparse
    attention 64; V4 256.
    """
    if model.o_lora_rank:
        return 256
    if model.sparse is not None:
        return 64
    if model.mla is None:
        return 16
    if gpu.compute_capability >= 10:
        return 32
    return 64 if gpu.compute_capability == 9 and kv_dtype in ("fp8", "fp8_ds_mla") else 16


def _check(engine: Engine, tokens: int, seqs: int, max_model_len: int) -> None:
    if tokens < seqs:
        raise InputError(
            f"engine.max_num_batched_tokens {tokens} must be at least engine.max_num_seqs {seqs}, as in vLLM"
        )
    if not engine.enable_chunked_prefill and tokens < max_model_len:
        raise InputError(
            f"engine.max_num_batched_tokens {tokens} must be at least max_model_len {max_model_len} "
            "when engine.enable_chunked_prefill is false"
        )
    if engine.long_prefill_token_threshold > max_model_len:
        raise InputError(
            f"engine.long_prefill_token_threshold {engine.long_prefill_token_threshold} "
            f"must not exceed max_model_len {max_model_len}"
        )
