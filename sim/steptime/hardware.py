"""What a GPU attains: peaks by precision, efficiencies and kernel latencies, each with its source.

All are priors of an uncalibrated roofline; a calibration replaces the model as a whole, not these constants.
"""

from dataclasses import dataclass

from sim.catalog.types import Dtype, Gpu

MEMORY_EFFICIENCY = 0.8
"""Share of the HBM bandwidth that weight and elementwise reads attain (aiconfigurator's
mem_bw_empirical_scaling_factor, all systems; weights-only H100 GEMMs of its database: 0.78 to 0.82)."""
KV_EFFICIENCY_16BIT = 0.9
"""The same for paged KV reads in 16 bits by FlashAttention (aiconfigurator 0.12, H100, vLLM 0.24, Llama-3.1-70B TP4:
0.90 at 256 x 8192 tokens). Eight-bit and latent reads stay at MEMORY_EFFICIENCY (0.77; FlashMLA on H200 0.78)."""
GEMM_EFFICIENCY_16BIT = 0.75
"""Share of the dense peak of large 16-bit GEMMs (aiconfigurator 0.12, H100, vLLM 0.24: 0.68 at 8192 tokens, where the
power limit bites, to 0.87 at 2048)."""
GEMM_EFFICIENCY_8BIT = 0.6
"""The same for FP8 and INT8, quantisation of the activations included (0.38 to 0.71, same source)."""
EXPERT_EFFICIENCY_16BIT = 0.35
EXPERT_EFFICIENCY_8BIT = 0.2
"""The same for the grouped GEMMs of routed experts (aiconfigurator 0.12, vLLM 0.24, 8192 tokens: 0.37 of the BF16 peak
for Qwen3-30B-A3B on H100, 0.11 to 0.17 of the FP8 peak for DeepSeek-V3 on 8 H100; better kernels exist)."""
PREFILL_ATTENTION_EFFICIENCY = 0.6
"""Causal FlashAttention over query-key pairs (arXiv:2407.08608, H100, head dimension 128; aiconfigurator: 0.59 at
8192 tokens)."""
DECODE_ATTENTION_EFFICIENCY = 0.6
"""FLOPs of decode attention; binds for MLA with many heads a GPU (FlashMLA: 660 of 989 TFLOPS on H800)."""
KERNEL_S = 3e-6
"""Fixed time of any kernel in a graph (aiconfigurator's mem_empirical_constant_latency)."""
ATTENTION_S = 11e-6
"""Fixed time of a layer's attention: split-KV kernel and its combination (aiconfigurator, H100: 11.4 us at batch 1)."""
MLA_S = 60e-6
"""The same for latent attention: norms of the latents, two batched matrix products, RoPE, FlashMLA's split and
combination (aiconfigurator, DeepSeek-V3 TP8: the module takes 103 us on H200 and 120 us on H100 at batch 1, of which
its matrices about 40)."""
PIECEWISE_LAUNCH_S = 40e-6
"""Host time a layer of a piecewise CUDA graph: one replay and attention launched eagerly. A prior."""
COMPILED_LAUNCH_S = 100e-6
"""Host time a layer of compiled code without a graph: about a dozen launches of 5 us and attention. A prior."""
EAGER_LAUNCH_S = 200e-6
"""Host time a layer with enforce_eager. A prior: half of the 370 us that a 2023 stack took (Splitwise's Llama-2-70B,
8 x H100, host-bound at 29.7 ms a token)."""
HOST_STEP_S = 1.5e-3
HOST_REQUEST_S = 10e-6
"""Host time of a step: schedule, inputs, outputs; base (as the audit of claims assumes) and by scheduled request.
Priors."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How a GPU runs GEMMs whose weights have some precision."""

    weight_bytes: float
    """Of an element, scales included."""
    flops: float
    """Peak, dense, one GPU."""
    efficiency: float
    expert_efficiency: float
    kernels: int
    """Kernels a GEMM: two where activations are quantised first."""


def precision(dtype: Dtype, gpu: Gpu) -> Precision:
    """Peak and bytes of a weight precision.

    int4 is W4A16 with a 16-bit scale per 128 weights and computes in bf16; fp4 has an 8-bit scale per 16. Where the GPU
    lacks the precision, weights are expanded to bf16 on the fly (Marlin kernels; fp8 runs as W8A16 on Ampere).
    """
    if dtype == "float32":
        return Precision(4.0, gpu.bf16_flops / 2, GEMM_EFFICIENCY_16BIT, EXPERT_EFFICIENCY_16BIT, 1)  # TF32
    weight_bytes = {"bfloat16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5 + 2 / 128, "fp4": 0.5 + 1 / 16}[dtype]
    native = {"fp8": gpu.fp8_flops, "int8": gpu.int8_flops, "fp4": gpu.fp4_flops}.get(dtype)
    if native is None:
        return Precision(weight_bytes, gpu.bf16_flops, GEMM_EFFICIENCY_16BIT, EXPERT_EFFICIENCY_16BIT, 1)
    return Precision(weight_bytes, native, GEMM_EFFICIENCY_8BIT, EXPERT_EFFICIENCY_8BIT, 2)
