"""Bytes of weights that one GPU holds, by precision and layout."""

import math

from sim.catalog.parameters import layer_parameters
from sim.catalog.types import Dtype, Layout, Model
from sim.errors import InputError
from sim.scenario.engine import Engine

BYTES_PER_PARAMETER: dict[Dtype, float] = {
    "float32": 4.0,
    "bfloat16": 2.0,
    "fp8": 1.0 + 4 / 128**2,  # a float32 scale a block of 128 x 128
    "int8": 1.0,  # a scale a channel, below 0.1 per cent
    "int4": 0.5 + 2 / 128,  # a 16-bit scale a group of 128, symmetric (no zero points)
    "fp4": 0.5 + 1 / 16,  # an fp8 scale a group of 16 (NVFP4; MXFP4's groups of 32 take half of that)
}
"""Bytes of one weight of a linear layer with its share of the scales."""


def weight_dtypes(model: Model, engine: Engine) -> tuple[Dtype, Dtype]:
    """Precision of the linear layers, and of the routed experts. dtype auto loads float32 checkpoints as 16-bit."""
    if engine.quantization is not None:
        return engine.quantization, engine.quantization
    linear = model.native_dtype
    if linear in ("float32", "bfloat16"):
        linear = "float32" if engine.dtype == "float32" else "bfloat16"
    return linear, model.expert_dtype or linear


def stage_layers(model: Model, layout: Layout, stage: int) -> range:
    """Layers of one pipeline stage (vllm/distributed/utils.py:get_pp_indices, 0.32.0)."""
    stages = layout.pipeline_parallel_size
    sizes = [model.layers // stages] * stages
    for i in range(2, model.layers % stages + 2):
        sizes[-i] += 1
    start = sum(sizes[:stage])
    return range(start, start + sizes[stage])


def check_layout(model: Model, layout: Layout) -> None:
    """Refuse a layout that vLLM refuses.

    Raises:
        InputError: Heads or feed-forward columns cannot be split so, or there are fewer layers than stages.
    """
    tp = layout.tensor_parallel_size
    parts = {"attention heads": model.heads}
    if model.mla is None and tp % model.kv_heads:
        parts["KV heads"] = model.kv_heads
    if model.moe is None or model.moe.first_dense_layers:
        parts["feed-forward columns"] = model.intermediate_size
    if model.moe is not None and not layout.expert_parallel:
        parts["columns of an expert"] = model.moe.intermediate_size
    if model.o_groups:
        parts["output groups"] = model.o_groups
    for name, count in parts.items():
        if count % tp:
            raise InputError(f"tensor_parallel_size {tp} must divide the {count} {name} of {model.id}")
    if layout.pipeline_parallel_size > model.layers:
        raise InputError(
            f"pipeline_parallel_size {layout.pipeline_parallel_size} exceeds the {model.layers} layers of {model.id}"
        )
    if layout.expert_parallel and model.moe is None:
        raise InputError(f"enable_expert_parallel needs a mixture-of-experts model, but {model.id} is dense")


def linear_bytes(model: Model, engine: Engine) -> int:
    """Bytes of all matrices between embedding and logits, each held once."""
    whole = Layout()
    return weight_bytes(model, whole, engine, 0) - weight_bytes(model, whole, engine, 0, linear_layers=False)


def weight_bytes(model: Model, layout: Layout, engine: Engine, stage: int, *, linear_layers: bool = True) -> int:
    """Bytes of weights on one GPU of a pipeline stage, as loaded; without `linear_layers`, of vocabulary and norms.

    Split over tensor-parallel ranks: heads, feed-forward columns, experts (whole ones under expert parallelism),
    vocabulary. On every rank: MLA's down-projections, the indexer, router, norms; KV heads when there are more ranks
    than those. Embedding, head, router and norms keep 16 bits under quantisation, as do indexer and compressors. MLA
    keeps a 16-bit copy of kv_b_proj for absorbed decode (vllm/model_executor/layers/attention/mla_attention.py,
    W_UK_T and W_UV, 0.32.0).
    """
    tp, h = layout.tensor_parallel_size, model.hidden_size
    linear, experts = (BYTES_PER_PARAMETER[dtype] for dtype in weight_dtypes(model, engine))
    full = 4.0 if engine.dtype == "float32" else 2.0
    expert_share = 1 / tp
    if layout.expert_parallel and model.moe is not None:
        expert_share = math.ceil(model.moe.routed_experts / tp) / model.moe.routed_experts
    absorbed = 0.0
    if model.mla is not None and not model.o_lora_rank:
        absorbed = model.heads / tp * model.mla.kv_lora_rank * (model.mla.qk_nope_head_dim + model.mla.v_head_dim)
    total = 0.0
    for index in stage_layers(model, layout, stage):
        layer = layer_parameters(model, index)
        if not linear_layers:
            total += layer.norms * full
            continue
        split = layer.attention + layer.mlp + layer.shared_experts
        total += (split / tp + layer.attention_kv / min(tp, model.kv_heads) + layer.attention_replicated) * linear
        total += layer.routed_experts * expert_share * experts
        total += (layer.router + layer.norms + layer.indexer + absorbed) * full
    vocabulary = math.ceil(math.ceil(model.vocab_size / 64) * 64 / tp) * h * full
    first, last = stage == 0, stage == layout.pipeline_parallel_size - 1
    tied_once = model.tied_embeddings and first and last
    total += vocabulary * (first + last - tied_once)
    return math.ceil(total + (h * full if last else 0))
