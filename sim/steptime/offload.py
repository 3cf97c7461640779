"""Devices beside a pool's GPUs that do a part of the model's work (step_time kind split)."""

from dataclasses import dataclass
from typing import Literal

from sim import catalog
from sim.catalog.types import Device
from sim.scenario import steptime as spec
from sim.steptime.efficiency import PRIOR

USABLE = 0.92
"""Share of an offloading GPU's memory that weights or KV may take: vLLM's default gpu_memory_utilization."""


@dataclass(frozen=True, slots=True)
class Offload:
    """What does not lie on the GPUs, and where it lies instead: evenly on `count` devices."""

    part: Literal["linear", "attention"]
    device: Device
    count: int

    @property
    def name(self) -> str:
        """As a report says it."""
        return f"{self.count} x {self.device.id}"

    @property
    def memory_bytes(self) -> int:
        """Of all devices."""
        return int(self.count * self.device.memory_bytes)

    @property
    def bytes_per_s(self) -> float:
        """Attained by all devices together."""
        return self.count * self.device.bytes_per_s

    @property
    def flops(self) -> float:
        """Attained by all devices together."""
        return self.count * self.device.flops


def offload(step_time: spec.StepTime) -> Offload | None:
    """What a scenario's step times say of offloading, None where all work is done on the pool's GPUs.

    Raises:
        InputError: The device is unknown.
    """
    if not isinstance(step_time, spec.Split):
        return None
    return Offload(step_time.offloaded, _device(step_time), step_time.count)


def _device(step_time: spec.Split) -> Device:
    """A device of the catalogue, or a GPU with what the roofline's priors say that it attains."""
    if step_time.device not in catalog.gpu_ids():
        return catalog.device(step_time.device)
    gpu = catalog.gpu(step_time.device)
    read = PRIOR.memory if step_time.offloaded == "linear" else PRIOR.kv_16bit
    compute = PRIOR.gemm_16bit if step_time.offloaded == "linear" else PRIOR.decode_attention
    return Device(
        id=gpu.id,
        memory_bytes=gpu.memory_bytes * USABLE,
        bytes_per_s=gpu.hbm_bytes_per_s * read,
        flops=gpu.bf16_flops * compute,
        source=gpu.source,
        date=gpu.date,
    )
