"""From a model, a GPU and vLLM's flags to the number of KV blocks, as vLLM computes it (0.32.0).

Weights and KV bytes follow from the dimensions. Activations, CUDA graphs, NCCL and workspaces are estimates, unless
the caller gives measured ones.
"""

import math
from dataclasses import dataclass

from sim.catalog.types import Gpu, Layout, Model
from sim.defaults import kv_cache_dtype
from sim.errors import InputError
from sim.kvbytes import kv_block_bytes, kv_sequence_bytes
from sim.overhead import Overhead, estimate_overhead
from sim.scenario.engine import Engine
from sim.steptime.offload import Offload
from sim.units import GIB, MIB
from sim.weights import check_layout, linear_bytes, stage_layers, weight_bytes


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory of the GPU with the fewest KV blocks; all GPUs of a replica use its number."""

    model: str
    gpu: str
    layout: Layout
    gpu_memory_bytes: int
    gpu_memory_utilization: float
    requested_bytes: int
    """ceil(memory x gpu_memory_utilization)."""
    weight_bytes: int
    overhead: Overhead
    kv_bytes: int
    """Left for the KV cache; below 0 if the weights do not fit."""
    block_size: int
    block_bytes: int
    """Of all layers on this GPU."""
    num_gpu_blocks: int
    """As vLLM logs it, the null block included."""
    max_model_len: int
    sequence_bytes: int
    """V4: window and compressor state of one sequence on this GPU, which vLLM takes from the same pool and
    `num_gpu_blocks` does not deduct, so that this number of blocks is an upper bound there; 0 for other models."""
    offload: Offload | None = None
    """What does not lie on the GPUs. Where that is attention, `kv_bytes` and `block_bytes` are those of the devices."""

    @property
    def kv_elsewhere(self) -> bool:
        """Whether the KV cache does not lie on the GPUs."""
        return self.offload is not None and self.offload.part == "attention"

    @property
    def kv_tokens(self) -> int:
        """KV cache size in tokens, as vLLM logs it."""
        return self.num_gpu_blocks * self.block_size

    def sentence(self) -> str:
        """Explain the arithmetic."""
        state = self.sequence_bytes / MIB
        return (
            f"{self._where()}: {self._room()}, "
            f"{self.num_gpu_blocks:,} blocks of {self.block_size} tokens, {self.kv_tokens:,} tokens"
            + (
                f", an upper bound: {state:.1f} MiB of window and compressor state a sequence are not deducted"
                if state
                else ""
            )
        )

    def _where(self) -> str:
        layout = self.layout
        return (
            f"{self.model} on {layout.gpus} x {self.gpu} (tensor_parallel_size {layout.tensor_parallel_size}, "
            f"pipeline_parallel_size {layout.pipeline_parallel_size})"
        )

    def _room(self) -> str:
        room = f"{self.kv_bytes / GIB:.1f} GiB"
        if self.offload is not None and self.kv_elsewhere:
            return f"{self.offload.name} hold {room} of KV"
        if self.kv_bytes != self.requested_bytes - self.weight_bytes - self.overhead.total_bytes:
            return f"kv_cache_memory_bytes gives {room} a GPU for KV"
        gib = [n / GIB for n in (self.gpu_memory_bytes, self.requested_bytes, self.weight_bytes)]
        over = self.overhead
        kind = "estimated" if over.estimated else "measured"
        return (
            f"{gib[0]:.1f} GiB x {self.gpu_memory_utilization} = {gib[1]:.1f} GiB less {gib[2]:.1f} of weights and "
            f"{kind} {over.activation_bytes / GIB:.1f} of activations, {over.graph_bytes / GIB:.1f} of CUDA graphs, "
            f"{over.other_bytes / GIB:.1f} of NCCL and workspaces leaves {room} "
            "a GPU for KV"
        )

    def shortfall(self) -> str | None:
        """Say why vLLM would not start, or None if it would."""
        if self.kv_elsewhere and self.weight_bytes + self.overhead.total_bytes > self.requested_bytes:
            return f"{self._where()} does not fit: {self.weight_bytes / GIB:.1f} GiB of weights a GPU"
        if self.num_gpu_blocks <= 0:
            return f"{self._where()} does not fit: {self._room()}"
        asked = self.weight_bytes + (0 if self.kv_elsewhere else self.num_gpu_blocks * self.block_bytes)
        if asked > self.gpu_memory_bytes:  # possible only where the flags fix the size of the KV cache
            return (
                f"{self._where()} does not fit: {self.weight_bytes / GIB:.1f} GiB of weights and the "
                f"{self.num_gpu_blocks:,} KV blocks asked for exceed {self.gpu_memory_bytes / GIB:.1f} GiB"
            )
        # one request of max_model_len must fit beside the null block (v1/core/kv_cache_utils.py:1003-1040)
        longest = (self.num_gpu_blocks - 1) * self.block_size
        if longest < self.max_model_len:
            return (
                f"{self._where()} does not fit one request of max_model_len {self.max_model_len}: "
                f"{self._room()}, enough for {longest} tokens"
            )
        return None


def plan(
    model: Model,
    gpu: Gpu,
    layout: Layout,
    engine: Engine,
    *,
    block_size: int,
    max_num_batched_tokens: int,
    max_num_seqs: int,
    max_model_len: int,
    overhead: Overhead | None = None,
    offload: Offload | None = None,
) -> MemoryPlan:
    """Plan one replica's memory.

    Args:
        model: The model.
        gpu: The GPU.
        layout: How the replica lies on GPUs.
        engine: vLLM's flags; the resolved values of some follow.
        block_size: Tokens a KV block.
        max_num_batched_tokens: Tokens of the profile run.
        max_num_seqs: Requests of the profile run's sampling.
        max_model_len: Longest request, of which one must fit.
        overhead: Measured memory beside weights and KV; default: estimated.
        offload: What does not lie on the GPUs.

    Raises:
        InputError: The layout is impossible, or the model does not fit; then with the arithmetic and the smallest
            layout that fits.
    """
    check_layout(model, layout)
    if offload is not None:
        _check_linear(model, engine, offload)

    def on(candidate: Layout) -> MemoryPlan:
        over = overhead or estimate_overhead(model, candidate, engine, max_num_batched_tokens, max_num_seqs)
        plans = [
            _stage(
                model,
                gpu,
                candidate,
                engine,
                stage=s,
                overhead=over,
                offload=offload,
                block_size=block_size,
                max_model_len=max_model_len,
            )
            for s in range(candidate.pipeline_parallel_size)
        ]
        return min(plans, key=lambda p: (p.num_gpu_blocks, p.kv_bytes))

    planned = on(layout)
    reason = planned.shortfall()
    if reason is None:
        return planned
    for candidate in _layouts(model, gpu, layout.expert_parallel):
        if on(candidate).shortfall() is None:
            raise InputError(
                f"{reason}; the smallest usual layout that fits is "
                f"tensor_parallel_size {candidate.tensor_parallel_size}, "
                f"pipeline_parallel_size {candidate.pipeline_parallel_size}"
            )
    raise InputError(f"{reason}; no layout of up to 16 pipeline stages fits")


def _stage(
    model: Model,
    gpu: Gpu,
    layout: Layout,
    engine: Engine,
    stage: int,
    *,
    overhead: Overhead,
    offload: Offload | None,
    block_size: int,
    max_model_len: int,
) -> MemoryPlan:
    """Plan one GPU of a pipeline stage (vllm/v1/worker/gpu_worker.py:634-760, v1/core/kv_cache_utils.py)."""
    layers = stage_layers(model, layout, stage)
    kv_dtype = kv_cache_dtype(model, engine)
    weights = weight_bytes(model, layout, engine, stage, linear_layers=offload is None or offload.part != "linear")
    requested = math.ceil(gpu.memory_bytes * engine.gpu_memory_utilization)
    kv_bytes = requested - weights - overhead.total_bytes
    if engine.kv_cache_memory_bytes is not None:
        kv_bytes = engine.kv_cache_memory_bytes
    block_bytes = kv_block_bytes(model, layout, kv_dtype, block_size, layers)
    if offload is not None and offload.part == "attention":
        kv_bytes = offload.memory_bytes
        block_bytes = kv_block_bytes(model, Layout(), kv_dtype, block_size, range(model.layers))
    blocks = max(kv_bytes // max(block_bytes, 1), 0)  # a V4 stage that keeps windows only never limits
    if engine.num_gpu_blocks_override is not None:
        blocks = engine.num_gpu_blocks_override
    return MemoryPlan(
        model=model.id,
        gpu=gpu.id,
        layout=layout,
        gpu_memory_bytes=gpu.memory_bytes,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        requested_bytes=requested,
        weight_bytes=weights,
        overhead=overhead,
        kv_bytes=kv_bytes,
        block_size=block_size,
        block_bytes=block_bytes,
        num_gpu_blocks=blocks,
        max_model_len=max_model_len,
        sequence_bytes=kv_sequence_bytes(model, kv_dtype, layers),
        offload=offload,
    )


def _check_linear(model: Model, engine: Engine, offload: Offload) -> None:
    needed = linear_bytes(model, engine)
    if offload.part == "linear" and needed > offload.memory_bytes:
        raise InputError(
            f"step_time.count: {needed / GIB:.1f} GiB of linear layers exceed the "
            f"{offload.memory_bytes / GIB:.1f} GiB of {offload.name}"
        )


def _layouts(model: Model, gpu: Gpu, expert_parallel: bool) -> list[Layout]:
    """Possible layouts in the order of preference: TP 1 to 8 within a node, then pipeline stages of the largest TP."""
    possible = []
    for tp in (1, 2, 4, 8):
        layout = Layout(tp, 1, expert_parallel)
        try:
            check_layout(model, layout)
        except InputError:
            continue
        if tp <= gpu.gpus_per_node:
            possible.append(layout)
    if possible:
        tp = possible[-1].tensor_parallel_size
        possible += [Layout(tp, pp, expert_parallel) for pp in (2, 4, 8, 16) if pp <= model.layers]
    return possible
