"""How a GPU runs GEMMs of some weight precision: peak, bytes, kernels."""

from dataclasses import dataclass

from sim.catalog.types import Dtype, Gpu


@dataclass(frozen=True, slots=True)
class Precision:
    """How a GPU runs GEMMs whose weights have some precision."""

    weight_bytes: float
    """Of an element, scales included."""
    flops: float
    """Peak, dense, one GPU."""
    eight_bit: bool
    """It computes in eight bits or fewer, with the efficiency of those kernels."""
    kernels: int
    """Kernels a GEMM: two where activations are quantised first."""


def precision(dtype: Dtype, gpu: Gpu) -> Precision:
    """Peak and bytes of a weight precision.

    int4 is W4A16 with a 16-bit scale per 128 weights and computes in bf16; fp4 has an 8-bit scale per 16. Where the GPU
    lacks the precision, weights are expanded to bf16 on the fly (Marlin kernels; fp8 runs as W8A16 on Ampere).
    """
    if dtype == "float32":
        return Precision(4.0, gpu.bf16_flops / 2, eight_bit=False, kernels=1)  # TF32
    weight_bytes = {"bfloat16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5 + 2 / 128, "fp4": 0.5 + 1 / 16}[dtype]
    native = {"fp8": gpu.fp8_flops, "int8": gpu.int8_flops, "fp4": gpu.fp4_flops}.get(dtype)
    if native is None:
        return Precision(weight_bytes, gpu.bf16_flops, eight_bit=False, kernels=1)
    return Precision(weight_bytes, native, eight_bit=True, kernels=2)
