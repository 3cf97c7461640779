"""Bytes of KV cache, by attention and precision."""

import math

from sim.catalog.types import Layout, Model
from sim.defaults import KvDtype


def kv_block_bytes(model: Model, layout: Layout, kv_dtype: KvDtype, block_size: int, layers: range) -> int:
    """Bytes of one KV block on one GPU, summed over `layers`.

    GQA splits its KV heads over tensor-parallel ranks (at least one a rank); MLA's latent is on every rank
    (vllm/v1/kv_cache_interface.py). V4 keeps one entry for `compress_ratio` tokens; its page alignment is left out.
    """
    if model.mla is None:
        heads = max(1, model.kv_heads // layout.tensor_parallel_size)
        return len(layers) * 2 * block_size * heads * model.head_dim * _element_bytes(kv_dtype)
    row = _latent_bytes(model, kv_dtype)
    sparse = model.sparse
    if sparse is None:
        return len(layers) * block_size * row
    index_row = sparse.index_head_dim + sparse.index_head_dim // 128 * 4  # fp8 and a float32 scale
    if not sparse.compress_ratios:
        return len(layers) * block_size * (row + index_row)
    ratios = [sparse.compress_ratios[i] for i in layers]
    return sum(math.ceil(block_size / r) * (row + (index_row if r == 4 else 0)) for r in ratios if r)


def kv_sequence_bytes(model: Model, kv_dtype: KvDtype, layers: range) -> int:
    """V4's fixed part of a sequence: the window of every layer and float32 compressor state (compressor.py:140-180)."""
    if model.sparse is None or not model.sparse.compress_ratios:
        return 0
    window = len(layers) * model.sparse.window * _latent_bytes(model, kv_dtype)
    overlapped, plain = 4 * (model.head_dim + model.sparse.index_head_dim), 2 * model.head_dim
    states = {0: 0, 4: 8 * overlapped * 4, 128: 128 * plain * 4}
    return window + sum(states[model.sparse.compress_ratios[i]] for i in layers)


def _latent_bytes(model: Model, kv_dtype: KvDtype) -> int:
    """One layer's MLA entry: latent and RoPE part; fp8_ds_mla 656 B, V4's 584 B (deepseek_v4/attention.py:876)."""
    if kv_dtype == "fp8_ds_mla":
        return 584 if model.o_lora_rank else 656
    assert model.mla is not None
    return (model.mla.kv_lora_rank + model.mla.qk_rope_head_dim) * _element_bytes(kv_dtype)


def _element_bytes(kv_dtype: KvDtype) -> int:
    return {"bfloat16": 2, "float32": 4}.get(kv_dtype, 1)
