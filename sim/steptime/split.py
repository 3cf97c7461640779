"""Step times of a model whose attention and linear layers lie on different devices, joined by hops.

Each layer goes to the other device and back, one after another: a step is the GPUs' part, the devices' part and two
hops a layer, nothing overlapped. Systems that keep two microbatches in flight hide the shorter part (arXiv 2405.01814,
section 4); that is not modelled. Devices are rooflines without fixed times, and what they exchange among themselves to
share the work is left out: generous to whoever offloads.
"""

import numpy as np

from sim.catalog.types import Gpu, Layout, Link, Model
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.steptime.attention import attention
from sim.steptime.collectives import Floats
from sim.steptime.cost import StepCost, Table
from sim.steptime.hardware import precision
from sim.steptime.layers import activation_dtype, experts, gemms
from sim.steptime.offload import Offload
from sim.steptime.roofline import FS_PER_S, Roofline

HOPS_PER_LAYER = 2
"""To the other device and back."""


class Split:
    """Step times of one replica."""

    def __init__(
        self,
        offload: Offload,
        link: Link,
        model: Model,
        gpu: Gpu,
        layout: Layout,
        engine: Engine,
        kv_bytes_per_element: float,
        roofline: Roofline,
    ) -> None:
        """Take the roofline of what stays on the GPUs.

        Raises:
            InputError: Sparse attention is to be offloaded.
        """
        if offload.part == "attention" and model.sparse is not None:
            raise InputError(f"step_time.offloaded attention knows no sparse attention, but {model.id} has it")
        self.label = (
            f"roofline only, {offload.part} on {offload.name}, {HOPS_PER_LAYER * model.layers} hops a step of "
            f"{link.latency_us:g} us over {link.id}"
        )
        self.max_context = None
        self.frontend_s = roofline.frontend_s
        self.reservations: tuple[str, ...] = ()
        self._offload, self._link, self._roofline = offload, link, roofline
        self._model, self._gpu, self._engine = model, gpu, engine
        self._links = min(layout.tensor_parallel_size, offload.count)
        self._kv_bytes = kv_bytes_per_element

    def cost(self, max_tokens: int, max_seqs: int) -> StepCost:
        """Tables for steps of at most `max_tokens` tokens and `max_seqs` requests."""
        here = self._roofline.cost(max_tokens, max_seqs)
        hops = self._hops_s(max_tokens), self._hops_s(max_seqs)
        there = hops
        if self._offload.part == "linear":
            there = hops[0] + self._linear_s(max_tokens), hops[1] + self._linear_s(max_seqs)
        cost = here._replace(
            mixed_fs=here.mixed_fs + _fs(there[0]),
            decode_fs=here.decode_fs + _fs(there[1]),
            comm_mixed_fs=here.comm_mixed_fs + _fs(hops[0]),
            comm_decode_fs=here.comm_decode_fs + _fs(hops[1]),
        )
        return cost if self._offload.part == "linear" else self._attention(cost, max_seqs)

    def _hops_s(self, largest: int) -> Floats:
        """Seconds of all hops by tokens in the step: latencies, and activations over as many links as both sides have.

        Queries, keys and values go to attention, its output comes back; absorbed MLA sends latents.
        """
        model, tokens = self._model, np.arange(largest + 1)
        if model.mla is None:
            elements = 2 * (model.heads + model.kv_heads) * model.head_dim
        else:
            latent, rope = model.mla.kv_lora_rank, model.mla.qk_rope_head_dim
            elements = (model.heads + 1) * (latent + rope) + model.heads * latent
        nbytes = elements * precision(activation_dtype(self._engine), self._gpu).weight_bytes
        layer = HOPS_PER_LAYER * self._link.latency_us * 1e-6
        return np.where(tokens > 0, model.layers * (layer + tokens * nbytes / self._rate), 0.0)

    @property
    def _rate(self) -> float:
        return self._link.bytes_per_s * self._links

    def _linear_s(self, largest: int) -> Floats:
        """Seconds of all matrices on the devices by tokens in the step; each is bound by its FLOPs or its bytes."""
        tokens = np.arange(largest + 1, dtype=np.float64)
        seconds = np.zeros_like(tokens)
        for gemm in gemms(self._model, Layout(), self._engine):
            nbytes = gemm.weights * precision(gemm.dtype, self._gpu).weight_bytes
            seconds += gemm.layers * self._bound_s(2 * gemm.weights * tokens, np.full_like(tokens, nbytes))
        moe = experts(self._model, self._engine)
        if moe is not None:
            nbytes = moe.weights * precision(moe.dtype, self._gpu).weight_bytes
            flops = 2 * moe.per_token * moe.weights * tokens
            seconds += moe.layers * self._bound_s(flops, moe.touched(tokens) * nbytes)
        seconds[0] = 0.0
        return seconds

    def _bound_s(self, flops: Floats, nbytes: Floats) -> Floats:
        return np.maximum(flops / self._offload.flops, nbytes / self._offload.bytes_per_s)

    def _attention(self, cost: StepCost, max_seqs: int) -> StepCost:
        """Attention on the devices: requests or heads are spread evenly, so that a latent lies on one of them only."""
        a = attention(self._model, Layout(), self._kv_bytes)
        entry = max(a.entry_flops / self._offload.flops, a.entry_bytes / self._offload.bytes_per_s)
        pieces = np.array(a.entries) * entry
        seqs = np.arange(max_seqs + 1)
        return cost._replace(
            knots=np.array(a.knots, dtype=np.int64),
            attention_fs=_fs(seqs[:, None] * pieces[:, 0]),
            attention_slope_fs=_fs(np.broadcast_to(pieces[:, 1], (max_seqs + 1, len(pieces)))),
            pair_fs=round(a.pair_flops / self._offload.flops * FS_PER_S),
        )


def _fs(seconds: Floats) -> Table:
    table: Table = np.rint(seconds * FS_PER_S).astype(np.int64)
    return table
