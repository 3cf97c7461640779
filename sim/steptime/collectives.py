"""Time of collectives: all-reduce, all-gather, reduce-scatter and all-to-all over NVLink, PCIe and node networks.

Within one protocol or kernel a collective of S bytes takes latency + S / bandwidth; collectives.yaml holds such lines,
fitted to measurements on H100 (scripts/fit_collectives.py). Other NVLink generations keep the latency and scale the
bandwidth by the link's. PCIe and multi-node rings use the textbook form: 2 (n - 1) / n of the message crosses every
link (Patarasuk and Yuan 2009), half of that for the one-way collectives.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from sim.catalog.types import Gpu

Floats = NDArray[np.float64]
Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]

FITTED_NVLINK = 450e9
"""NVLink bytes/s, one direction, of the H100 SXM that the fits were measured on."""
MIB = 1 << 20
CUSTOM_MAX_BYTES = {
    9.0: {2: 64 * MIB, 4: 32 * MIB, 6: 64 * MIB, 8: 64 * MIB},
    10.0: {2: 8 * MIB, 4: 32 * MIB, 6: 128 * MIB, 8: 128 * MIB},
}
"""vLLM's own kernels (custom, then symmetric memory) serve all-reduces up to this size, NCCL larger ones; by compute
capability and GPUs (distributed/device_communicators/all_reduce_utils.py:44, 0.32.0)."""
CUSTOM_MAX_BYTES_OTHERWISE = dict.fromkeys((2, 4, 6, 8), 8 * MIB)
"""The same on other GPUs, without symmetric memory (custom_all_reduce.py:121 and 141)."""
NCCL_EAGER_FLOOR_S = 23e-6
"""An NCCL all-reduce outside a CUDA graph takes at least this: the host launches it (claims on H100, 4 GPUs:
waynehacking8/nccl-collectives-bench, 16 to 64 KiB)."""
PCIE_HOP_S = 3.2e-6
PCIE_EFFICIENCY = {2: 0.30, 4: 0.20}
"""Latency by GPU, and share of the PCIe bandwidth that NCCL's bus bandwidth reaches with two and with more GPUs: the
data crosses host memory (aiconfigurator, RTX PRO 6000 Gen5: 6.3/13/25 us and 19/13/12 of 64 GB/s on 2/4/8 GPUs; on
its L40S server eight GPUs reach only 2 %)."""
NODE_HOP_S = 10e-6
"""Latency of a network hop between nodes (aiconfigurator's p2p_latency)."""
NODE_EFFICIENCY = 0.8
"""Share of the NIC's bandwidth that a ring between nodes reaches; a prior, not measured here."""


@dataclass(frozen=True, slots=True)
class Group:
    """GPUs that communicate: `gpus` of one kind, filling nodes one by one."""

    gpu: Gpu
    gpus: int
    custom: bool = True
    """vLLM's own all-reduce kernels are allowed (not `disable_custom_all_reduce`)."""

    @property
    def nodes(self) -> int:
        """Nodes that the group spans."""
        return -(-self.gpus // self.gpu.gpus_per_node)

    @property
    def custom_max_bytes(self) -> int:
        """Largest all-reduce that vLLM's own kernels serve, 0 where it leaves all to NCCL.

        It does so across nodes, for sizes other than 2, 4, 6 and 8 GPUs, and without NVLink: more than two PCIe-only
        GPUs are refused (custom_all_reduce.py:270), two gain nothing that was measured.
        """
        if not self.custom or self.nodes > 1 or self.gpu.nvlink_bytes_per_s == 0:
            return 0
        return CUSTOM_MAX_BYTES.get(self.gpu.compute_capability, CUSTOM_MAX_BYTES_OTHERWISE).get(self.gpus, 0)


def collective_s(kind: Collective, nbytes: Floats, group: Group, *, graph: bool) -> Floats:
    """Seconds that collectives of `nbytes` (float64[...]) take.

    Args:
        kind: Which one.
        nbytes: Size as NCCL counts it: of the reduced vector; of the gathered result; of the vector before scattering;
            of what one GPU sends, its own share included.
        group: Who takes part.
        graph: Replayed in a CUDA graph; eager launches cost more.
    """
    if kind not in get_args(Collective):
        raise ValueError(f"unknown collective {kind!r}")
    if group.gpus == 1:
        return np.zeros_like(nbytes)
    nccl = _nccl_s(kind, nbytes, group)
    if kind != "all_reduce":
        return nccl
    if not graph:
        nccl = np.maximum(nccl, NCCL_EAGER_FLOOR_S)
    if not group.custom_max_bytes:
        return nccl
    own = _fitted_s("vllm_graph" if graph else "vllm_eager", nbytes, group.gpus, group.gpu.nvlink_bytes_per_s)
    return np.where(nbytes <= group.custom_max_bytes, own, nccl)


def send_s(nbytes: Floats, group: Group) -> Floats:
    """Seconds of a point-to-point send to the next pipeline stage, between nodes if the group spans several."""
    gpu = group.gpu
    if group.nodes > 1:
        return NODE_HOP_S + nbytes / (gpu.nic_bytes_per_s * NODE_EFFICIENCY)
    if gpu.nvlink_bytes_per_s:
        return NODE_HOP_S + nbytes / gpu.nvlink_bytes_per_s
    return NODE_HOP_S + nbytes / (gpu.pcie_bytes_per_s * PCIE_EFFICIENCY[2])


def _nccl_s(kind: Collective, nbytes: Floats, group: Group) -> Floats:
    gpu, n = group.gpu, group.gpus
    if group.nodes == 1 and gpu.nvlink_bytes_per_s:
        return _fitted_s(kind, nbytes, n, gpu.nvlink_bytes_per_s)
    rounds = 2 if kind == "all_reduce" else 1
    crossing = rounds * (n - 1) / n * nbytes
    if group.nodes == 1:
        efficiency = PCIE_EFFICIENCY[2 if n == 2 else 4]
        return rounds / 2 * n * PCIE_HOP_S + crossing / (gpu.pcie_bytes_per_s * efficiency)
    # One ring through all nodes per NIC: the node's NICs together, or NVLink or PCIe inside if that is slower.
    local = min(n, gpu.gpus_per_node)
    inside = gpu.nvlink_bytes_per_s or gpu.pcie_bytes_per_s * PCIE_EFFICIENCY[4]
    ring = min(inside, local * gpu.nic_bytes_per_s * NODE_EFFICIENCY)
    latency = rounds * (group.nodes - 1) * NODE_HOP_S
    if local > 1:
        latency += float(_nccl_s(kind, np.zeros(1), Group(gpu, local))[0])
    return latency + crossing / ring


@cache
def _curves() -> dict[str, dict[int, Floats]]:
    """Curve -> GPUs -> float64[lines, 3]: from_bytes, latency s, s per byte."""
    raw: dict[str, dict[int, Any]] = yaml.safe_load(Path(__file__).with_name("collectives.yaml").read_text())
    return {
        name: {
            gpus: np.array([[start, us * 1e-6, 1e-9 / gbps] for start, us, gbps in lines]) for gpus, lines in of.items()
        }
        for name, of in raw.items()
    }


def _fitted_s(curve: str, nbytes: Floats, gpus: int, nvlink: float) -> Floats:
    """Interpolate linearly between measured group sizes; beyond the largest, latency grows with log2(gpus)."""
    measured = _curves()[curve]
    sizes = sorted(measured)
    low = max(n for n in sizes if n <= gpus)
    high = min((n for n in sizes if n >= gpus), default=low)
    latency, transfer = _line(measured[low], nbytes)
    if gpus > high:
        latency = latency * (np.log2(gpus) / np.log2(low))
        transfer = transfer * ((gpus - 1) / gpus) / ((low - 1) / low)
    elif gpus > low:
        weight = (gpus - low) / (high - low)
        above = _line(measured[high], nbytes)
        latency = (1 - weight) * latency + weight * above[0]
        transfer = (1 - weight) * transfer + weight * above[1]
    return latency + transfer * (FITTED_NVLINK / nvlink)


def _line(lines: Floats, nbytes: Floats) -> tuple[Floats, Floats]:
    """Latency and transfer time of the line that holds at each size.

    Between the last size that a line was fitted to and the start of the next it does not rise above that start.
    """
    start, latency, per_byte = lines.T
    ceiling = np.append((latency + per_byte * start)[1:], np.inf)
    which = np.searchsorted(start, nbytes, side="right") - 1
    return latency[which], np.minimum(per_byte[which] * nbytes, ceiling[which] - latency[which])
