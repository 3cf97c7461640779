"""What attention computes and reads, on one GPU: grouped-query, latent (MLA) and sparse."""

from dataclasses import dataclass

from sim.catalog.types import Layout, Model
from sim.steptime.layers import selecting_layers

INDEX_KEY_BYTES_PER_ELEMENT = 132 / 128
"""The indexer's keys are fp8 with one fp32 scale per 128 (vllm/models/deepseek_v41/attention.py:99)."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Counts of one rank. An entry is what attention reads of one token (or of one compressed group) in one layer."""

    entry_flops: float
    """Of a decode query over one entry: scores and weighted sum, this rank's heads."""
    entry_bytes: float
    index_flops: float
    """Of the sparse indexer's score of one entry; the indexer is replicated over tensor-parallel ranks."""
    index_bytes: float
    knots: tuple[int, ...]
    """Context of a sequence at which its reads change slope; knots[0] == 0."""
    entries: tuple[tuple[float, float], ...]
    """By piece: entries read a sequence over all layers = constant + slope * context."""
    indexed: float
    """Entries scored by the indexer over all layers, by context token."""
    pair_flops: float
    """Prefill by query-key pair, all layers, the indexer apart."""
    token_flops: float
    """Prefill by token, all layers: what sparse attention spends whatever the context."""


def attention(model: Model, layout: Layout, kv_bytes_per_element: float) -> Attention:
    """Count a model's attention.

    Dense MLA decodes in absorbed form, heads * (2 kv_lora_rank + rope) * 2 FLOPs over a latent of kv_lora_rank + rope
    that every rank holds, and prefills with keys and values rebuilt (arXiv:2412.19437, vLLM's mla_attention.py); the
    rebuilding for the already computed part of a chunked prompt is left out.
    """
    heads = model.heads / layout.tensor_parallel_size
    if model.sparse is not None:
        return _sparse(model, heads, kv_bytes_per_element)
    if model.mla is not None:
        mla = model.mla
        entry_flops = 2 * heads * (2 * mla.kv_lora_rank + mla.qk_rope_head_dim)
        entry_bytes = (mla.kv_lora_rank + mla.qk_rope_head_dim) * kv_bytes_per_element
        pair_flops = 2 * heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim)
    else:
        kv_heads = max(1.0, model.kv_heads / layout.tensor_parallel_size)
        pair_flops = entry_flops = 4 * heads * model.head_dim
        entry_bytes = 2 * kv_heads * model.head_dim * kv_bytes_per_element
    return Attention(
        entry_flops=entry_flops,
        entry_bytes=entry_bytes,
        index_flops=0.0,
        index_bytes=0.0,
        knots=(0,),
        entries=((0.0, float(model.layers)),),
        indexed=0.0,
        pair_flops=pair_flops * model.layers,
        token_flops=0.0,
    )


def _sparse(model: Model, heads: float, kv_bytes_per_element: float) -> Attention:
    """DeepSeek sparse attention (V3.2) and the V4 hybrid; approximate.

    A selecting layer reads at most topk entries, one per `ratio` tokens, after the indexer has scored them all; other
    compressed layers read every entry; the window is always read in full. Prefill is charged topk entries a token
    whatever its context: right for long prompts, too much for prompts below topk * ratio tokens.
    """
    assert model.sparse is not None
    assert model.mla is not None
    sparse, mla = model.sparse, model.mla
    width = mla.kv_lora_rank + mla.qk_rope_head_dim
    value = width if model.o_lora_rank else mla.kv_lora_rank  # V4 sums whole entries, V3.2 their latent part
    entry_flops = 2 * heads * (width + value)
    selecting = selecting_layers(model)
    ratios = [ratio for ratio in sparse.compress_ratios[: model.layers] if ratio > 0]
    ratio = min(ratios, default=1)
    compressed = sum(1 / other for other in ratios if other != ratio)
    window = float(model.layers * sparse.window)
    index_flops = 2.0 * sparse.index_heads * sparse.index_head_dim
    indexed = selecting / ratio
    return Attention(
        entry_flops=entry_flops,
        entry_bytes=width * kv_bytes_per_element,
        index_flops=index_flops,
        index_bytes=sparse.index_head_dim * INDEX_KEY_BYTES_PER_ELEMENT,
        knots=(0, sparse.topk * ratio),
        entries=((window, indexed + compressed), (window + selecting * sparse.topk, compressed)),
        indexed=indexed,
        pair_flops=compressed * entry_flops,
        token_flops=(window + selecting * sparse.topk) * entry_flops,
    )
