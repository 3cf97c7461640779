"""What a step computes and reads on the whole replica, without padding: for MFU and bandwidth utilisation."""

from dataclasses import dataclass

import numpy as np

from sim.catalog.types import Gpu, Layout, Model
from sim.scenario.engine import Engine
from sim.steptime.attention import attention
from sim.steptime.collectives import Floats
from sim.steptime.hardware import precision
from sim.steptime.layers import activation_dtype, experts, gemms


@dataclass(frozen=True, slots=True)
class StepWork:
    """Coefficients, so that totals follow from summed statistics of steps.

    FLOPs = flops_per_token * tokens + flops_per_pair * prefill pairs + flops_per_context * context tokens
    + flops_per_sampled * sampled. Bytes = sum over steps of weight_bytes[tokens] + bytes_per_context * context tokens
    + bytes_per_decode * decode sequences. FLOPs count once what ranks replicate; bytes count every GPU's reads.
    """

    flops_per_token: float
    flops_per_pair: float
    flops_per_context: float
    flops_per_sampled: float
    weight_bytes: Floats
    """float64[T + 1]: weights that a step of so many tokens reads, logits included."""
    bytes_per_context: float
    """KV bytes by context token of the decode sequences."""
    bytes_per_decode: float
    """KV bytes by decode sequence whatever its context: the selection and window of sparse attention, else 0."""


def work(
    model: Model, gpu: Gpu, layout: Layout, engine: Engine, *, kv_bytes_per_element: float, max_tokens: int
) -> StepWork:
    """Count a model's work on a replica for steps of up to `max_tokens` tokens.

    Sparse attention is counted in the last linear piece, contexts beyond its selection: its entries a sequence belong
    to every token, its indexer to context and pairs.
    """
    tp = layout.tensor_parallel_size
    a = attention(model, layout, kv_bytes_per_element)
    entries, entries_per_context = a.entries[-1]
    matrices = gemms(model, layout, engine)
    moe = experts(model, engine)
    linear = sum(2 * gemm.layers * gemm.weights for gemm in matrices)
    fixed_bytes = sum(
        gemm.layers * gemm.rank_weights * tp * precision(gemm.dtype, gpu).weight_bytes for gemm in matrices
    )
    logits = float(model.vocab_size * model.hidden_size)
    weight_bytes: Floats = np.full(
        max_tokens + 1, fixed_bytes + logits * precision(activation_dtype(engine), gpu).weight_bytes
    )
    if moe is not None:
        linear += 2 * moe.layers * moe.per_token * moe.weights
        touched = moe.touched(np.arange(max_tokens + 1, dtype=np.float64))
        weight_bytes += moe.layers * touched * moe.weights * precision(moe.dtype, gpu).weight_bytes
    weight_bytes[0] = 0.0
    index_flops = a.indexed * a.index_flops
    return StepWork(
        flops_per_token=linear + entries * a.entry_flops * tp,
        flops_per_pair=a.pair_flops * tp + index_flops,
        flops_per_context=entries_per_context * a.entry_flops * tp + index_flops,
        flops_per_sampled=2 * logits,
        weight_bytes=weight_bytes,
        bytes_per_context=(entries_per_context * a.entry_bytes + a.indexed * a.index_bytes) * tp,
        bytes_per_decode=entries * a.entry_bytes * tp,
    )
