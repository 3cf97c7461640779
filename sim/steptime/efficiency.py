"""What a GPU and its host attain: the efficiencies and latencies of the roofline, each prior with its source.

A calibration (sim/calibration.py) states some of them anew; what it leaves out stays at its prior.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Shares of a peak (0 to 1, more where caches help), seconds (`_s`), or factors. Defaults are the priors."""

    memory: float = 0.8
    """Share of the HBM bandwidth that weight and elementwise reads attain (aiconfigurator's
    mem_bw_empirical_scaling_factor, all systems; weights-only H100 GEMMs of its database: 0.78 to 0.82)."""
    wide_8bit: float = 0.68
    """Share of the bandwidth that the weight reads of eight-bit GEMMs attain from 17 rows on, where the kernels change
    their tiles (aiconfigurator 0.12, vLLM 0.24, Llama-3.1-70B FP8 on H200: 24 rows take 1.15 to 1.3 times as long as
    16 rows, 64 rows 1.05 to 1.1 times; H100 TP8 shows no step there)."""
    kv_16bit: float = 0.9
    """The same for paged KV reads in 16 bits by FlashAttention (aiconfigurator 0.12, H100, vLLM 0.24, Llama-3.1-70B
    TP4: 0.90 at 256 x 8192 tokens)."""
    kv_8bit: float = 0.8
    """The same for eight-bit and latent reads (same source: 0.77; FlashMLA on H200 0.78)."""
    gemm_16bit: float = 0.75
    """Share of the dense peak of large 16-bit GEMMs (aiconfigurator 0.12, H100, vLLM 0.24: 0.68 at 8192 tokens, where
    the power limit bites, to 0.87 at 2048)."""
    gemm_8bit: float = 0.68
    """The same for FP8 and INT8, quantisation of the activations apart (same source, Llama-3.1-70B FP8 at 8192 tokens:
    0.63 on eight GPUs, 0.77 on one)."""
    experts_16bit: float = 0.35
    """The same for the grouped GEMMs of routed experts (aiconfigurator 0.12, vLLM 0.24, 8192 tokens: 0.37 of the BF16
    peak for Qwen3-30B-A3B on H100; better kernels exist)."""
    experts_8bit: float = 0.2
    """The same in FP8 (0.11 to 0.17 of the peak for DeepSeek-V3 on 8 H100, same source)."""
    prefill_attention: float = 0.6
    """Causal FlashAttention over query-key pairs (arXiv:2407.08608, H100, head dimension 128; aiconfigurator: 0.59 at
    8192 tokens)."""
    decode_attention: float = 0.6
    """FLOPs of decode attention; binds for MLA with many heads a GPU (FlashMLA: 660 of 989 TFLOPS on H800)."""
    kernel_s: float = 3e-6
    """Fixed time of any kernel in a graph (aiconfigurator's mem_empirical_constant_latency)."""
    attention_s: float = 11e-6
    """Fixed time of a layer's attention: split-KV kernel and its combination (aiconfigurator, H100: 11.4 us at batch
    1)."""
    mla_s: float = 60e-6
    """The same for latent attention: norms of the latents, two batched matrix products, RoPE, FlashMLA's split and
    combination (aiconfigurator, DeepSeek-V3 TP8: the module takes 103 us on H200 and 120 us on H100 at batch 1, of
    which its matrices about 40)."""
    piecewise_launch_s: float = 40e-6
    """Host time a layer of a piecewise CUDA graph: one replay and attention launched eagerly. A prior."""
    compiled_launch_s: float = 100e-6
    """Host time a layer of compiled code without a graph: about a dozen launches of 5 us and attention. A prior."""
    eager_launch_s: float = 200e-6
    """Host time a layer with enforce_eager. A prior: half of the 370 us that a 2023 stack took (Splitwise's
    Llama-2-70B, 8 x H100, host-bound at 29.7 ms a token)."""
    host_step_s: float = 1.5e-3
    """Host time of a step: schedule, inputs, outputs (as the audit of claims assumes). A prior."""
    host_request_s: float = 10e-6
    """The same by scheduled request. A prior."""
    frontend_s: float = 0.0
    """From the client's send to the engine's queue: HTTP, validation, tokenizer, inter-process hop. Left out unless
    calibrated."""
    collective_latency: float = 1.0
    """Factor on the latency of collectives, of sim/steptime/collectives.yaml on NVLink."""
    collective_bandwidth: float = 1.0
    """Factor on their bandwidth."""
    mixed: float = 1.0
    """Factor on the device time of steps with prefill: what the physics above misses in some configuration."""
    decode: float = 1.0
    """The same for decode-only steps."""


PRIOR = Efficiency()
NAMES = tuple(field.name for field in fields(Efficiency))
