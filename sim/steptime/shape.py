"""What a step-time model may know of a batch: sums, never requests."""

from typing import NamedTuple


class StepShape(NamedTuple):
    """Sufficient statistics of one engine step.

    A request scheduled with exactly one token counts as decode, with more as prefill, as vLLM's attention kernels
    and CUDA-graph dispatch see them (query length 1; vllm/v1/cudagraph_dispatcher.py, 0.32.0).
    """

    prefill_tokens: int = 0
    prefill_seqs: int = 0
    prefill_pairs: int = 0
    """Query-key pairs: sum over prefill requests of n * c + n * (n + 1) / 2 (n new tokens after c computed ones)."""
    decode_seqs: int = 0
    context_tokens: int = 0
    """KV tokens that the decode requests attend to: sum of c + 1."""
    sampled: int = 0
    """Requests that sample a token in this step."""
