"""Parameter counts from a model's dimensions, by group and layer. Multi-token-prediction layers are not counted."""

from dataclasses import dataclass, fields

from sim.catalog.types import Model


@dataclass(frozen=True, slots=True)
class LayerParameters:
    """One layer's parameters, grouped by how they are sharded and quantised."""

    attention: int = 0
    """Projections split over heads: q, o, MLA's up-projections."""
    attention_kv: int = 0
    """K and V projections of GQA: split over KV heads, replicated beyond that many ranks."""
    attention_replicated: int = 0
    """MLA's down-projections: on every rank."""
    mlp: int = 0
    """Dense feed-forward."""
    router: int = 0
    routed_experts: int = 0
    shared_experts: int = 0
    norms: int = 0
    indexer: int = 0
    """Sparse attention's indexer and V4's compressors: on every rank."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A model's parameters."""

    layer: LayerParameters
    """Sums over all layers."""
    embedding: int
    lm_head: int
    """0 if tied to the embedding."""
    final_norm: int
    routed_share: float
    """Share of the routed experts that one token passes."""

    @property
    def total(self) -> int:
        """All parameters."""
        return _sum(self.layer) + self.embedding + self.lm_head + self.final_norm

    @property
    def active(self) -> float:
        """Parameters that one token passes, embeddings included as in published figures."""
        return self.total - self.layer.routed_experts * (1 - self.routed_share)


def parameters(model: Model) -> Parameters:
    """Count a model's parameters."""
    layers = [layer_parameters(model, i) for i in range(model.layers)]
    names = [field.name for field in fields(LayerParameters)]
    embedding = model.vocab_size * model.hidden_size
    return Parameters(
        layer=LayerParameters(**{name: sum(getattr(layer, name) for layer in layers) for name in names}),
        embedding=embedding,
        lm_head=0 if model.tied_embeddings else embedding,
        final_norm=model.hidden_size,
        routed_share=model.moe.experts_per_token / model.moe.routed_experts if model.moe else 1.0,
    )


def layer_parameters(model: Model, index: int) -> LayerParameters:
    """Count the parameters of one layer."""
    attention, kv, replicated, norms = _attention(model)
    h = model.hidden_size
    mlp = router = routed = shared = 0
    if model.moe is None or index < model.moe.first_dense_layers:
        mlp = 3 * h * model.intermediate_size
    else:
        expert = 3 * h * model.moe.intermediate_size
        router = h * model.moe.routed_experts
        routed = expert * model.moe.routed_experts
        shared = expert * model.moe.shared_experts
    return LayerParameters(
        attention=attention,
        attention_kv=kv,
        attention_replicated=replicated,
        mlp=mlp,
        router=router,
        routed_experts=routed,
        shared_experts=shared,
        norms=norms + 2 * h,
        indexer=_indexer(model, index),
    )


def _attention(model: Model) -> tuple[int, int, int, int]:
    """Parameters split over heads, split over KV heads, replicated, and of norms within attention."""
    h, heads = model.hidden_size, model.heads
    mla = model.mla
    if mla is None:
        bias = 1 if model.qkv_bias else 0
        q_and_o = 2 * h * heads * model.head_dim + bias * heads * model.head_dim
        kv = 2 * (h + bias) * model.kv_heads * model.head_dim
        qk_norms = 2 * model.head_dim if model.architecture.startswith("Qwen3") else 0
        return q_and_o, kv, 0, qk_norms
    qk_head_dim = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    q_up = (mla.q_lora_rank or h) * heads * qk_head_dim
    down = h * (mla.q_lora_rank + mla.kv_lora_rank + mla.qk_rope_head_dim)
    if model.o_lora_rank:  # V4: grouped low-rank output projection, no KV up-projection, a sink a head
        out = heads * mla.v_head_dim * model.o_lora_rank + model.o_groups * model.o_lora_rank * h
        return q_up + out, 0, down, mla.q_lora_rank + model.head_dim + heads
    kv_up = mla.kv_lora_rank * heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    return q_up + kv_up + heads * mla.v_head_dim * h, 0, down, mla.q_lora_rank + mla.kv_lora_rank


def _indexer(model: Model, index: int) -> int:
    """Indexer of V3.2, indexer and compressors of V4.

    vllm/model_executor/models/deepseek_v2.py:703-720 and vllm/models/deepseek_v4/{attention.py:970-985,
    compressor.py:240-275}, 0.32.0.
    """
    sparse, mla, h = model.sparse, model.mla, model.hidden_size
    if sparse is None or mla is None:
        return 0
    queries = mla.q_lora_rank * sparse.index_heads * sparse.index_head_dim + h * sparse.index_heads
    if not sparse.compress_ratios:
        return queries + h * sparse.index_head_dim
    ratio = sparse.compress_ratios[index]
    if ratio == 0:
        return 0
    if ratio != 4:
        return 2 * h * model.head_dim
    return queries + 2 * h * 2 * (model.head_dim + sparse.index_head_dim)  # key and gate of two overlapping windows


def _sum(layer: LayerParameters) -> int:
    return sum(getattr(layer, field.name) for field in fields(layer))
