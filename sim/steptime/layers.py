"""The weight matrices of a model and how tensor and expert parallelism lay them on one GPU.

Names and shapes follow vLLM 0.32's model files: column- and row-parallel matrices are divided by the tensor-parallel
size, low-rank down-projections, routers and indexers are replicated.
"""

from dataclasses import dataclass

from sim.catalog.types import Dtype, Layout, Mla, Model
from sim.scenario.engine import Engine
from sim.steptime.collectives import Floats


@dataclass(frozen=True, slots=True)
class Gemm:
    """A weight matrix that every token of a step multiplies."""

    name: str
    layers: int
    """Layers that have one."""
    weights: float
    """Elements of the whole matrix."""
    rank_weights: float
    """Elements that one GPU reads."""
    rank_inputs: float
    """Elements of a token's input on one GPU."""
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of all mixture-of-experts layers."""

    layers: int
    routed: int
    per_token: int
    weights: float
    """Elements of one whole expert (gate, up and down)."""
    dtype: Dtype

    def touched(self, tokens: Floats) -> Floats:
        """Expected number of experts that so many tokens use in a layer, E (1 - (1 - k / E)^T), for even routing."""
        return self.routed * (1 - (1 - self.per_token / self.routed) ** tokens)


def activation_dtype(engine: Engine) -> Dtype:
    """Precision of activations and of what is never quantised: embeddings, logits, routers."""
    return "float32" if engine.dtype == "float32" else "bfloat16"


def weight_dtype(model: Model, engine: Engine) -> Dtype:
    """Precision of the linear layers; vLLM loads float32 checkpoints as 16-bit unless told otherwise."""
    if engine.quantization is not None:
        return engine.quantization
    return activation_dtype(engine) if model.native_dtype in {"bfloat16", "float32"} else model.native_dtype


def gemms(model: Model, layout: Layout, engine: Engine) -> tuple[Gemm, ...]:
    """All matrices between embedding and logits, routed experts apart."""
    return (*_attention(model, layout, engine), *_feed_forward(model, layout, engine))


def experts(model: Model, engine: Engine) -> Experts | None:
    """The routed experts, None for a dense model."""
    moe = model.moe
    if moe is None:
        return None
    return Experts(
        layers=model.layers - moe.first_dense_layers,
        routed=moe.routed_experts,
        per_token=moe.experts_per_token,
        weights=3.0 * model.hidden_size * moe.intermediate_size,
        dtype=engine.quantization or model.expert_dtype or weight_dtype(model, engine),
    )


def activation_width(model: Model) -> float:
    """Mean feed-forward width of a layer, for one token."""
    moe = model.moe
    if moe is None:
        return model.intermediate_size
    sparse = (moe.shared_experts + moe.experts_per_token) * moe.intermediate_size
    dense = moe.first_dense_layers * model.intermediate_size
    return (dense + (model.layers - moe.first_dense_layers) * sparse) / model.layers


def _feed_forward(model: Model, layout: Layout, engine: Engine) -> tuple[Gemm, ...]:
    tp, hidden, dtype = layout.tensor_parallel_size, model.hidden_size, weight_dtype(model, engine)

    def mlp(name: str, layers: int, width: int) -> tuple[Gemm, ...]:
        gate_up, down = 2.0 * hidden * width, 1.0 * hidden * width
        return (
            Gemm(f"{name}gate_up_proj", layers, gate_up, gate_up / tp, hidden, dtype),
            Gemm(f"{name}down_proj", layers, down, down / tp, width / tp, dtype),
        )

    moe = model.moe
    if moe is None:
        return mlp("", model.layers, model.intermediate_size)
    sparse_layers = model.layers - moe.first_dense_layers
    router = float(hidden * moe.routed_experts)
    parts: tuple[Gemm, ...] = (Gemm("router", sparse_layers, router, router, hidden, activation_dtype(engine)),)
    if moe.first_dense_layers:
        parts += mlp("", moe.first_dense_layers, model.intermediate_size)
    if moe.shared_experts:
        parts += mlp("shared_", sparse_layers, moe.shared_experts * moe.intermediate_size)
    return parts


def _attention(model: Model, layout: Layout, engine: Engine) -> tuple[Gemm, ...]:
    if model.mla is not None:
        of_family = _attention_v4 if model.o_lora_rank else _attention_mla
        return of_family(model, model.mla, layout, engine)
    tp, hidden, dtype = layout.tensor_parallel_size, model.hidden_size, weight_dtype(model, engine)
    q, kv = model.heads * model.head_dim, 2 * model.kv_heads * model.head_dim
    # vLLM replicates KV heads where there are fewer than GPUs.
    rank_kv = 2 * max(1.0, model.kv_heads / tp) * model.head_dim
    return (
        Gemm("qkv_proj", model.layers, hidden * (q + kv), hidden * (q / tp + rank_kv), hidden, dtype),
        Gemm("o_proj", model.layers, hidden * q, hidden * q / tp, q / tp, dtype),
    )


def _attention_mla(model: Model, mla: Mla, layout: Layout, engine: Engine) -> tuple[Gemm, ...]:
    tp, hidden, dtype = layout.tensor_parallel_size, model.hidden_size, weight_dtype(model, engine)
    latent = hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    q_in = mla.q_lora_rank or hidden
    q = q_in * model.heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    kv_b = mla.kv_lora_rank * model.heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    o = model.heads * mla.v_head_dim * hidden
    q_a = hidden * mla.q_lora_rank
    parts = (
        Gemm("fused_qkv_a_proj", model.layers, q_a + latent, q_a + latent, hidden, dtype),
        Gemm("q_b_proj", model.layers, q, q / tp, q_in, dtype),
        # Absorbed into queries and outputs; vLLM keeps the two factors in the activations' precision.
        Gemm("kv_b_proj", model.layers, kv_b, kv_b / tp, mla.kv_lora_rank, activation_dtype(engine)),
        Gemm("o_proj", model.layers, o, o / tp, model.heads * mla.v_head_dim / tp, dtype),
    )
    return parts if model.sparse is None else (*parts, _indexer(model, mla.q_lora_rank, model.layers, dtype))


def _attention_v4(model: Model, mla: Mla, layout: Layout, engine: Engine) -> tuple[Gemm, ...]:
    """V4: one latent of head_dim serves as key and value, outputs pass a grouped low-rank projection.

    vllm/models/deepseek_v41/attention.py:364-402, 0.32.0. Compressors are taken as one hidden x 2 head_dim matrix.
    """
    tp, hidden, dtype = layout.tensor_parallel_size, model.hidden_size, weight_dtype(model, engine)
    down = hidden * (mla.q_lora_rank + model.head_dim)
    q = mla.q_lora_rank * model.heads * model.head_dim
    o_a = model.heads * model.head_dim * model.o_lora_rank
    o_b = model.o_groups * model.o_lora_rank * hidden
    parts = (
        Gemm("fused_wqa_wkv", model.layers, down, down, hidden, dtype),
        Gemm("wq_b", model.layers, q, q / tp, mla.q_lora_rank, dtype),
        Gemm("wo_a", model.layers, o_a, o_a / tp, model.heads * model.head_dim / tp, dtype),
        Gemm("wo_b", model.layers, o_b, o_b / tp, model.o_groups * model.o_lora_rank / tp, dtype),
    )
    assert model.sparse is not None
    compressed = sum(ratio > 0 for ratio in model.sparse.compress_ratios[: model.layers])
    compressor = 2.0 * hidden * model.head_dim
    return (
        *parts,
        Gemm("compressor", compressed, compressor, compressor, hidden, dtype),
        _indexer(model, mla.q_lora_rank, selecting_layers(model), dtype),
    )


def selecting_layers(model: Model) -> int:
    """Layers whose attention reads a top-k selection: all of V3.2's, the least compressed ones of V4."""
    assert model.sparse is not None
    ratios = [ratio for ratio in model.sparse.compress_ratios[: model.layers] if ratio > 0]
    return sum(ratio == min(ratios) for ratio in ratios) if ratios else model.layers


def _indexer(model: Model, q_in: int, layers: int, dtype: Dtype) -> Gemm:
    assert model.sparse is not None
    sparse = model.sparse
    weights = float(
        q_in * sparse.index_heads * sparse.index_head_dim
        + model.hidden_size * (sparse.index_head_dim + sparse.index_heads)
    )
    return Gemm("indexer", layers, weights, weights, q_in, dtype)
