"""Step times from NVIDIA's measured op latencies, through aiconfigurator-core (the optional extra `opdb`)."""

import logging
from typing import Protocol, cast

import numpy as np

from sim.catalog.types import Gpu, Layout, Model
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.steptime.cost import StepCost
from sim.steptime.grid import StepGrid, pairs
from sim.steptime.roofline import host_fs

SYSTEMS = {
    "a100-sxm-80gb": "a100_sxm",
    "h100-sxm-80gb": "h100_sxm",
    "h200-sxm-141gb": "h200_sxm",
    "b200-sxm-192gb": "b200_sxm",
    "gb200-185gb": "gb200",
    "l40s-48gb": "l40s",
}
"""Catalogue id -> system with vLLM measurements in aiconfigurator-core 0.12."""
MODELS = {
    "llama-3.1-8b": "meta-llama/Meta-Llama-3.1-8B",
    "llama-3.1-70b": "meta-llama/Meta-Llama-3.1-70B",
    "deepseek-r1-distill-llama-8b": "meta-llama/Meta-Llama-3.1-8B",
    "deepseek-r1-distill-llama-70b": "meta-llama/Meta-Llama-3.1-70B",
    "qwen3-32b": "Qwen/Qwen3-32B",
    "deepseek-v3": "deepseek-ai/DeepSeek-V3",
    "deepseek-v3.1": "deepseek-ai/DeepSeek-V3",
    "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "deepseek-v3.2": "deepseek-ai/DeepSeek-V3.2",
}
"""Catalogue id -> model of the same dimensions that it carries."""
PREFILL_TOKENS = (1, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
DECODE_SEQS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
CONTEXTS = (128, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
PAIR_CHUNK, PAIR_CONTEXT = 2048, 8192
"""Prefill attention by pair is the extra time of this chunk after this much context."""
COMMUNICATION = ("_ar", "allreduce", "dispatch", "p2p")
"""Parts of the names of collective ops."""


Ops = list[tuple[str, float, float, str]]
"""Name, milliseconds, energy, source of each op."""


class _Handle(Protocol):
    """What is used of aiconfigurator_core's EngineHandle; latencies in milliseconds."""

    def predict_prefill_latency(self, bs: int, isl: int, prefix: int) -> float: ...
    def decode_step_latency(self, gen_tokens: int, isl: int, osl: int) -> float: ...
    def decode_step_per_op(self, gen_tokens: int, isl: int, osl: int) -> Ops: ...
    def run_static_per_op(self, *, batch_size: int, isl: int, osl: int, mode: str) -> tuple[Ops, Ops]: ...


class OpDatabase:
    """Samples the database over batch and context; host time is the roofline's prior, the database has none."""

    def __init__(
        self,
        model: Model,
        gpu: Gpu,
        layout: Layout,
        engine: Engine,
        *,
        async_scheduling: bool,
        kv_bytes_per_element: float,
    ) -> None:
        """Compile the model's op list and sample it.

        Raises:
            InputError: The package is not installed, or has no measurements for this combination.
        """
        self._handle = _compile(model, gpu, layout, engine, kv_bytes_per_element)
        self._async = async_scheduling
        self.frontend_s = 0.0
        self.reservations: tuple[str, ...] = ()
        self.label = "op database (aiconfigurator-core, vLLM): composed of measured ops, host time a prior"
        self.max_context = CONTEXTS[-1]

    def cost(self, max_tokens: int, max_seqs: int) -> StepCost:
        """Tables up to the given sizes.

        Raises:
            InputError: They exceed what is sampled.
        """
        if max_tokens > PREFILL_TOKENS[-1] or max_seqs > DECODE_SEQS[-1]:
            raise InputError(
                f"step_time.kind opdb covers engine.max_num_batched_tokens up to {PREFILL_TOKENS[-1]} and "
                f"engine.max_num_seqs up to {DECODE_SEQS[-1]}, found {max_tokens} and {max_seqs}"
            )
        return self._grid().cost(max_tokens, max_seqs, host_fs=host_fs(max_seqs), overlap=self._async)

    def _grid(self) -> StepGrid:
        h = self._handle
        tokens = np.array(PREFILL_TOKENS, dtype=np.float64)
        prefill = np.array([h.predict_prefill_latency(1, n, 0) for n in PREFILL_TOKENS])
        # The database's prompt length includes the part that is cached.
        after = h.predict_prefill_latency(1, PAIR_CHUNK + PAIR_CONTEXT, PAIR_CONTEXT)
        pair_ms = max(after - h.predict_prefill_latency(1, PAIR_CHUNK, 0), 0.0) / (PAIR_CHUNK * PAIR_CONTEXT)
        return StepGrid(
            prefill_tokens=tokens,
            prefill_ms=np.maximum(prefill - pair_ms * pairs(tokens, 0), 0.0),
            pair_ms=pair_ms,
            decode_seqs=np.array(DECODE_SEQS, dtype=np.float64),
            contexts=np.array(CONTEXTS, dtype=np.float64),
            decode_ms=np.array([[h.decode_step_latency(b, c, 2) for c in CONTEXTS] for b in DECODE_SEQS]),
            prefill_comm_ms=np.array(
                [_comm(h.run_static_per_op(batch_size=1, isl=n, osl=1, mode="static_ctx")[0]) for n in PREFILL_TOKENS]
            ),
            decode_comm_ms=np.array([_comm(h.decode_step_per_op(b, CONTEXTS[0], 2)) for b in DECODE_SEQS]),
        )


def _comm(ops: Ops) -> float:
    """Milliseconds of an op list spent in collectives."""
    return sum(milliseconds for name, milliseconds, *_ in ops if any(part in name for part in COMMUNICATION))


def _compile(model: Model, gpu: Gpu, layout: Layout, engine: Engine, kv_bytes_per_element: float) -> _Handle:
    try:
        from aiconfigurator_core.sdk.engine import EngineHandle  # noqa: PLC0415  # optional, 80 MB
    except ImportError:
        raise InputError(
            'step_time.kind opdb needs the package aiconfigurator-core: pip install "trilemma[opdb]"'
        ) from None
    if model.id not in MODELS or gpu.id not in SYSTEMS:
        raise InputError(
            f"step_time.kind opdb has no measurements of {model.id} on {gpu.id}, only of {', '.join(MODELS)} "
            f"on {', '.join(SYSTEMS)}"
        )
    if engine.quantization not in {None, "fp8"}:
        raise InputError(f"step_time.kind opdb knows engine.quantization fp8 or none, found {engine.quantization}")
    tp = layout.tensor_parallel_size
    ep = tp if layout.expert_parallel else 1
    # It warns of every table that it completes from another framework's.
    logging.getLogger("aiconfigurator_core").setLevel(logging.ERROR)
    try:
        handle = EngineHandle.compile(
            MODELS[model.id],
            SYSTEMS[gpu.id],
            "vllm",
            tp_size=tp,
            pp_size=layout.pipeline_parallel_size,
            moe_tp_size=tp // ep if model.moe is not None else 1,
            moe_ep_size=ep if model.moe is not None else 1,
            gemm_quant_mode=engine.quantization if model.native_dtype != "fp8" else None,
            kvcache_quant_mode="fp8" if kv_bytes_per_element < 2 else "bfloat16",
        )
        handle.decode_step_latency(1, CONTEXTS[0], 2)
    except Exception as error:  # it raises whatever its parts raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"step_time.kind opdb has no measurements of {model.id} on {gpu.id} with tensor_parallel_size {tp} "
            f"and this precision ({reason})"
        ) from error
    return cast(_Handle, handle)
