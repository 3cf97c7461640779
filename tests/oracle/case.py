"""The vocabulary shared by the real scheduler, the naive one and the compiled one: configurations, requests, steps."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Config:
    """Scheduler settings, by vLLM's names."""

    max_num_batched_tokens: int
    max_num_seqs: int
    block_size: int
    num_gpu_blocks: int
    """With the null block: one less can be used."""
    max_model_len: int
    enable_prefix_caching: bool = True
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    policy: Literal["fcfs", "priority"] = "fcfs"
    reserve_full_isl: bool = True
    """scheduler_reserve_full_isl"""
    watermark: float = 0.0
    async_scheduling: bool = False
    index_ppm: int = 0
    """Millionths of a prompt's full blocks, the leading ones, that a KV connector's index service has."""

    @property
    def watermark_blocks(self) -> int:
        """Blocks kept free at admissions (kv_cache_manager.py:208)."""
        return int(self.watermark * self.num_gpu_blocks)


@dataclass(frozen=True, slots=True)
class Req:
    """One request; ids are numbered in the order of sending."""

    id: int
    arrival_step: int
    """Number of the engine call before which it is added; also its arrival time as far as priorities go."""
    prompt_tokens: int
    output_tokens: int
    """With the prompt at most max_model_len, as the API server sees to."""
    max_tokens: int
    """Greater than output_tokens: the answer stops early, by EOS."""
    own_stream: int
    segments: tuple[tuple[int, int], ...] = ()
    """(stream, end) of the shared segments, ends rising."""
    priority: int = 0

    def stream(self, position: int) -> int:
        """Stream that covers a token position."""
        return next((stream for stream, end in self.segments if end > position), self.own_stream)

    def token(self, position: int) -> int:
        """Token id at a position: different streams and different positions never share one."""
        return self.stream(position) << 20 | position


@dataclass(frozen=True, slots=True)
class Step:
    """What one schedule() call did, as seen from outside."""

    call: int
    scheduled: tuple[tuple[int, int], ...]
    """(request, tokens) in the order of scheduling."""
    preempted: tuple[int, ...]
    cached: tuple[tuple[int, int], ...]
    """(request, prefix-cache hit in tokens) of requests admitted or resumed in this call."""
    running: tuple[int, ...]
    waiting: tuple[int, ...]
    free_blocks: int
    finished: tuple[int, ...] = ()
    """Requests finished by the outputs processed between this call and the next."""
