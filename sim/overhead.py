"""Memory of one GPU beside weights and KV cache: an estimate of what vLLM's profile run finds."""

import math
from dataclasses import dataclass

from sim.catalog.types import Layout, Model
from sim.scenario.engine import Engine
from sim.units import MIB

CONTEXT_BYTES = 266 * MIB
"""What loading leaves allocated beside the weights: 15.26 - 15.0 GiB in the start-up log of vLLM 0.31.0 with
Llama-3.1-8B on one A100-80GB (public log of 2026-10-06)."""
NCCL_BYTES = {1: 0, 2: 342 * MIB}
NCCL_BYTES_MANY = 392 * MIB
"""NCCL and custom all-reduce buffers by group size (aiconfigurator@095f58a5, systems/h100_sxm.yaml, nccl_mem)."""
WORKSPACE_BYTES = 1024 * MIB
"""Attention and GEMM workspaces and the allocator's slack: what is left of the same log's 1.70 GiB beside weights and
KV (72.91 - 56.21 - 15.0) after the terms here."""
GRAPH_BYTES_PER_LAYER = 8 * MIB
"""CUDA graphs of a dense layer, all capture sizes: the same log, 0.23 GiB for 32 layers."""
GRAPH_BYTES_PER_MOE_LAYER = 64 * MIB
"""The same of a mixture layer: 4.99 GiB estimated by vLLM for the 78 layers of GLM-5.2 (public log of 2026-08-20)."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Memory of one GPU that is neither weights nor KV cache."""

    activation_bytes: int
    """Peak of a profile run with max_num_batched_tokens."""
    graph_bytes: int
    other_bytes: int
    """CUDA context, NCCL, workspaces."""
    estimated: bool
    """False where the caller measured it."""

    @property
    def total_bytes(self) -> int:
        """Sum of all."""
        return self.activation_bytes + self.graph_bytes + self.other_bytes


def estimate_overhead(
    model: Model, layout: Layout, engine: Engine, max_num_batched_tokens: int, max_num_seqs: int
) -> Overhead:
    """Estimate what vLLM's profile run finds beside weights.

    The activation peak is the larger of two moments of the profile run: the widest layer (hidden state, residual and
    the layer's own buffers for every token) and sampling (logits and their float32 copy for every request).
    """
    size = 4 if engine.dtype == "float32" else 2
    forward = max_num_batched_tokens * (2 * model.hidden_size + _widest_layer(model, layout)) * size
    sampling = min(max_num_seqs, max_num_batched_tokens) * model.vocab_size * (size + 4)
    per_layer = GRAPH_BYTES_PER_LAYER if model.moe is None else GRAPH_BYTES_PER_MOE_LAYER
    layers = math.ceil(model.layers / layout.pipeline_parallel_size)
    return Overhead(
        activation_bytes=max(forward, sampling),
        graph_bytes=0 if engine.enforce_eager else per_layer * layers,
        other_bytes=CONTEXT_BYTES + NCCL_BYTES.get(layout.gpus, NCCL_BYTES_MANY) + WORKSPACE_BYTES,
        estimated=True,
    )


def _widest_layer(model: Model, layout: Layout) -> int:
    """Elements a token that the layer's buffers take at once, on one GPU."""
    tp = layout.tensor_parallel_size
    heads = model.heads // tp
    if model.mla is None:
        widths = [(2 * heads + 2 * max(1, model.kv_heads // tp)) * model.head_dim]  # q, output, k, v
    else:  # q, k, output, and k without RoPE together with v
        mla = model.mla
        qk = mla.qk_nope_head_dim + mla.qk_rope_head_dim
        widths = [heads * (2 * qk + mla.v_head_dim + mla.qk_nope_head_dim + mla.v_head_dim)]
    widths.append(3 * model.intermediate_size // tp)  # gate and up together, their product
    if model.moe is not None:  # the fused kernel's two workspaces (fused_moe.py: cache 1 and 3 share one)
        columns = model.moe.intermediate_size // (1 if layout.expert_parallel else tp)
        widths.append(model.moe.experts_per_token * (max(2 * columns, model.hidden_size) + columns))
    return max(widths)
