"""Step times from first principles: what a step must compute, read and send, over what the GPU attains."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.catalog.types import Gpu, Layout, Model
from sim.scenario.engine import Engine
from sim.steptime.attention import attention
from sim.steptime.collectives import Collective, Floats, Group, collective_s, send_s
from sim.steptime.cost import StepCost, Table
from sim.steptime.cudagraph import capture_sizes, padded
from sim.steptime.efficiency import PRIOR, Efficiency
from sim.steptime.hardware import Precision, precision
from sim.steptime.layers import Gemm, activation_dtype, activation_width, experts, gemms

FS_PER_S = 1e15
QUANTISED_BYTES = 3
"""Activations are read in 16 bits and written in 8 before an eight-bit GEMM."""
SAMPLER_BYTES_PER_LOGIT = 30
"""vLLM's sampler passes over fp32 logits: cast 6, temperature 8, softmax 8, exponential noise and argmax 8 bytes."""
SAMPLER_KERNELS = 10
NARROW_ROWS = 16
"""Eight-bit GEMMs of up to so many rows run in the narrowest tiles (see Efficiency.wide_8bit)."""


class Roofline:
    """Step times of one replica.

    A layer's GEMMs take max(FLOPs / attained peak, bytes / attained bandwidth) each, one after another, plus a fixed
    time a kernel; elementwise kernels and collectives add up. Decode-only steps run whole CUDA graphs and mixed ones
    piecewise graphs, padded to the capture size; without a graph a step takes at least the host's launch time.
    Two all-reduces a layer join tensor-parallel ranks; so does expert parallelism, since vLLM 0.32 dispatches by
    all-to-all only under data-parallel attention. Pipeline stages run in sequence, so this is the latency of a step;
    the gain of several microbatches in flight is not modelled.
    """

    def __init__(
        self,
        model: Model,
        gpu: Gpu,
        layout: Layout,
        engine: Engine,
        *,
        max_num_seqs: int,
        max_num_batched_tokens: int,
        async_scheduling: bool,
        kv_bytes_per_element: float,
        efficiency: Efficiency = PRIOR,
        all_reduce_s: float | None = None,
        linear: bool = True,
    ) -> None:
        """Take the model apart.

        Args:
            model: What is served.
            gpu: On which GPU.
            layout: Over how many of them.
            engine: dtype, quantization, enforce_eager and disable_custom_all_reduce are read.
            max_num_seqs: Resolved; with the budget it decides the captured sizes.
            max_num_batched_tokens: Resolved.
            async_scheduling: Resolved: host and device overlap.
            kv_bytes_per_element: Of a KV (or latent) element as cached, scales included.
            efficiency: What GPU and host attain.
            all_reduce_s: Time of an all-reduce of any size; None: as measured.
            linear: The linear layers run here; else somewhere else, and only what remains is timed.
        """
        approximate = " (sparse attention approximate)" if model.sparse is not None else ""
        stages = " (pipeline stages in sequence)" if layout.pipeline_parallel_size > 1 else ""
        self.frontend_s = efficiency.frontend_s
        self.reservations: tuple[str, ...] = ()
        given = "" if all_reduce_s is None else f" (all-reduces of {all_reduce_s * 1e6:g} us given)"
        self.label = f"roofline only{approximate}{stages}{given}"
        self.max_context = None
        self._model, self._gpu, self._layout, self._engine = model, gpu, layout, engine
        self._gemms = gemms(model, layout, engine) if linear else ()
        self._experts = experts(model, engine) if linear else None
        self._attention = attention(model, layout, kv_bytes_per_element)
        self._kv_bytes = kv_bytes_per_element
        self._efficiency = efficiency
        self._all_reduce_s, self._linear = all_reduce_s, linear
        self._group = Group(gpu, layout.tensor_parallel_size, custom=not engine.disable_custom_all_reduce)
        self._stages = Group(gpu, layout.gpus)
        self._async = async_scheduling
        self._activation_bytes = precision(activation_dtype(engine), gpu).weight_bytes
        self._captured = (
            () if engine.enforce_eager else capture_sizes(max_num_seqs, max_num_batched_tokens, gpu.cuda_graph_max)
        )

    def cost(self, max_tokens: int, max_seqs: int) -> StepCost:
        """Tables for steps of at most `max_tokens` tokens and `max_seqs` requests."""
        mixed, comm_mixed = self._tokens_s(max_tokens, self._efficiency.piecewise_launch_s)
        decode, comm_decode = self._tokens_s(max_seqs, 0.0)
        seqs = np.arange(max_seqs + 1)
        constant, slope = self._decode_attention_s()
        a, e = self._attention, self._efficiency
        attained = self._gpu.bf16_flops * self._efficiency.prefill_attention
        token_s = a.token_flops / attained
        pair_s = a.pair_flops / attained + a.indexed * a.index_flops / self._index_flops()
        return StepCost(
            mixed_fs=_fs(e.mixed * (mixed + token_s * np.arange(max_tokens + 1))),
            decode_fs=_fs(e.decode * decode),
            knots=np.array(a.knots, dtype=np.int64),
            attention_fs=_fs(e.decode * seqs[:, None] * constant),
            attention_slope_fs=_fs(np.broadcast_to(e.decode * slope, (max_seqs + 1, len(slope)))),
            pair_fs=round(e.mixed * pair_s * FS_PER_S),
            sampled_fs=_fs(self._sampling_s(max_seqs)),
            host_fs=host_fs(max_seqs, self._efficiency),
            overlap=self._async,
            comm_mixed_fs=_fs(e.mixed * comm_mixed),
            comm_decode_fs=_fs(e.decode * comm_decode),
        )

    def _tokens_s(self, largest: int, piecewise_launch_s: float) -> tuple[Floats, Floats]:
        """Seconds by tokens in a step, float64[largest + 1], attention by context apart; and collectives' part."""
        exact = np.arange(largest + 1)
        tokens = padded(exact, self._captured).astype(np.float64)
        graph = exact <= (self._captured[-1] if self._captured else 0)
        compute = self._gemms_s(tokens) + self._experts_s(tokens) + self._elementwise_s(tokens)
        comm = np.where(graph, self._comm_s(tokens, graph=True), self._comm_s(tokens, graph=False))
        ungraphed = (
            self._efficiency.eager_launch_s if self._engine.enforce_eager else self._efficiency.compiled_launch_s
        )
        launch = self._model.layers * np.where(graph, piecewise_launch_s, ungraphed)
        total = np.maximum(compute + comm, launch)
        total[0] = comm[0] = 0.0
        return total, comm

    def _gemms_s(self, tokens: Floats) -> Floats:
        seconds = np.zeros_like(tokens)
        for gemm in self._gemms:
            seconds += gemm.layers * self._gemm_s(gemm, tokens)
        return seconds

    def _gemm_s(self, gemm: Gemm, tokens: Floats) -> Floats:
        run = precision(gemm.dtype, self._gpu)
        compute = 2 * gemm.rank_weights * tokens / (run.flops * self._gemm_efficiency(run))
        memory = self._memory_s(gemm.rank_weights * run.weight_bytes)
        if run.eight_bit:
            memory = np.where(
                tokens > NARROW_ROWS, memory * self._efficiency.memory / self._efficiency.wide_8bit, memory
            )
        quantised = self._memory_s(QUANTISED_BYTES * tokens * gemm.rank_inputs) if run.eight_bit else 0.0
        return run.kernels * self._efficiency.kernel_s + np.maximum(compute, memory) + quantised

    def _experts_s(self, tokens: Floats) -> Floats:
        """Routed experts: the weights of those touched, the FLOPs of k a token, and the unreduced k rows a token.

        With expert parallelism every rank runs whole experts and the slowest holds up all: about
        1 + sqrt(2 ln n (n - 1) / (T k)) times the mean of n ranks for even random routing (largest of n binomials).
        """
        moe = self._experts
        if moe is None:
            return np.zeros_like(tokens)
        ranks = self._layout.tensor_parallel_size
        run = precision(moe.dtype, self._gpu)
        rows = tokens * moe.per_token
        slowest: Floats = np.ones_like(tokens)
        rank_rows = rows
        if self._layout.expert_parallel and ranks > 1:
            spread = 2 * np.log(ranks) * (ranks - 1) / np.maximum(rows, 1)
            slowest = np.minimum(1 + np.sqrt(spread), ranks)
            rank_rows = rows * slowest / ranks
        compute = 2 * rows * moe.weights * slowest / ranks / (run.flops * self._expert_efficiency(run))
        touched = np.minimum(moe.touched(tokens) * slowest, moe.routed)
        memory = self._memory_s(touched * moe.weights / ranks * run.weight_bytes)
        unreduced = self._memory_s(2 * rank_rows * self._model.hidden_size * self._activation_bytes)
        # Kernels: top-k, alignment, two grouped GEMMs, activation, sum.
        return moe.layers * (6 * self._efficiency.kernel_s + np.maximum(compute, memory) + unreduced)

    def _elementwise_s(self, tokens: Floats) -> Floats:
        """Embedding; a layer's two residual norms (four passes each), RoPE, cache write, activation; attention's start.

        The activation reads gate and up and writes their product.
        """
        model = self._model
        norm = 4 * model.hidden_size * self._activation_bytes
        activation = 3 * activation_width(model) * self._activation_bytes / self._layout.tensor_parallel_size
        start = self._efficiency.attention_s if model.mla is None else self._efficiency.mla_s
        layer = 5 * self._efficiency.kernel_s + start + self._memory_s(tokens * (2 * norm + activation))
        return self._efficiency.kernel_s + model.layers * layer

    def _comm_s(self, tokens: Floats, *, graph: bool) -> Floats:
        """All-reduces: the embedding's and two a layer; sends between pipeline stages."""
        message = tokens * self._model.hidden_size * self._activation_bytes
        if self._all_reduce_s is None or self._group.gpus == 1:
            reduce = self._collective_s("all_reduce", message, graph=graph)
        else:
            reduce = np.full_like(message, self._all_reduce_s)
        seconds = (2 * self._model.layers * self._linear + 1) * reduce
        hops = self._layout.pipeline_parallel_size - 1
        return seconds + hops * send_s(message, self._stages) if hops else seconds

    def _collective_s(self, kind: Collective, nbytes: Floats, *, graph: bool) -> Floats:
        """Seconds of a tensor-parallel collective: what an empty message takes, and what the bytes add."""
        empty = collective_s(kind, np.zeros(1), self._group, graph=graph)
        added = collective_s(kind, nbytes, self._group, graph=graph) - empty
        return empty * self._efficiency.collective_latency + added / self._efficiency.collective_bandwidth

    def _decode_attention_s(self) -> tuple[Floats, Floats]:
        """By piece: seconds a decode sequence, and seconds a context token; float64[K] each."""
        a = self._attention
        flops = self._gpu.bf16_flops * self._efficiency.decode_attention
        dense_16bit = self._kv_bytes >= 2 and self._model.mla is None
        efficiency = self._efficiency.kv_16bit if dense_16bit else self._efficiency.kv_8bit
        bandwidth = self._gpu.hbm_bytes_per_s * efficiency
        entry = max(a.entry_flops / flops, a.entry_bytes / bandwidth)
        index = max(a.index_flops / self._index_flops(), a.index_bytes / bandwidth)
        pieces = np.array(a.entries) * entry
        return pieces[:, 0], pieces[:, 1] + a.indexed * index

    def _index_flops(self) -> float:
        """FLOPs a second of the sparse indexer, whose queries and keys are fp8."""
        return (self._gpu.fp8_flops or self._gpu.bf16_flops) * self._efficiency.prefill_attention

    def _sampling_s(self, largest: int) -> Floats:
        """Seconds by sampled requests, float64[largest + 1]: logits, their gathering, sampling.

        A step without samples costs as one: vLLM computes logits for every scheduled request, finished prompt or not.
        """
        sampled = np.maximum(np.arange(largest + 1), 1).astype(np.float64)
        logits = float(self._model.vocab_size * self._model.hidden_size)
        head = Gemm(
            "lm_head", 1, logits, logits / self._group.gpus, self._model.hidden_size, activation_dtype(self._engine)
        )
        gathered = sampled * self._model.vocab_size * self._activation_bytes
        seconds = self._gemm_s(head, sampled) + self._collective_s("all_gather", gathered, graph=False)
        passes = self._memory_s(sampled * self._model.vocab_size * SAMPLER_BYTES_PER_LOGIT)
        return seconds + SAMPLER_KERNELS * self._efficiency.kernel_s + passes

    def _gemm_efficiency(self, run: Precision) -> float:
        return self._efficiency.gemm_8bit if run.eight_bit else self._efficiency.gemm_16bit

    def _expert_efficiency(self, run: Precision) -> float:
        return self._efficiency.experts_8bit if run.eight_bit else self._efficiency.experts_16bit

    def _memory_s(self, nbytes: Floats | float) -> Floats:
        """Seconds to read or write bytes of one GPU's memory."""
        return np.asarray(nbytes) / (self._gpu.hbm_bytes_per_s * self._efficiency.memory)


def host_fs(max_seqs: int, efficiency: Efficiency = PRIOR) -> Table:
    """Host time by scheduled requests, int64[max_seqs + 1]."""
    return _fs(efficiency.host_step_s + efficiency.host_request_s * np.arange(max_seqs + 1))


def _fs(seconds: NDArray[np.floating[Any]]) -> Table:
    table: Table = np.rint(seconds * FS_PER_S).astype(np.int64)
    return table
