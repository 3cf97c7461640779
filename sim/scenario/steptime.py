"""Where step times come from."""

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.base import Block, Count, NonNegative, Positive


class Roofline(Block):
    """Physics with catalogue efficiencies; nothing measured on the user's engine."""

    kind: Literal["roofline"]
    all_reduce_us: NonNegative | None = None
    """Time of every tensor-parallel all-reduce, whatever its size; default: as measured for the GPU."""
    kv_read_speedup: Positive = 1.0
    """Factor on the bandwidth at which decode attention reads the KV cache."""


class Split(Block):
    """Attention and linear layers on different devices: the pool's GPUs keep one, another kind of device has the other.

    Two hops a layer join them, one after another. Attention is what reads the KV cache; linear layers are all matrices
    between embedding and logits.
    """

    kind: Literal["split"]
    offloaded: Literal["linear", "attention"]
    """What the pool's GPUs do not do."""
    device: str
    """Who does it: an id of the catalogue's devices or GPUs."""
    count: Count = 1
    """How many of them a replica has; the work is shared evenly, without communication among them."""
    link: str
    """What a hop crosses: an id of the catalogue's links."""
    hop_us: NonNegative | None = None
    """Latency of one hop; default the link's."""


class MeasuredTable(Block):
    """A table of measured steps, interpolated."""

    kind: Literal["table"]
    path: str


class OpDatabase(Block):
    """NVIDIA's measured op latencies through aiconfigurator-core (extra `[opdb]`)."""

    kind: Literal["opdb"]


class Calibrated(Block):
    """The roofline with efficiencies fitted to measurements (`trilemma calibrate`)."""

    kind: Literal["calibrated"]
    calibration: str
    """Name of a shipped calibration, or the path of a calibration file."""
    draws: Annotated[int, Field(ge=0, le=1000)] = 20
    """Posterior draws to simulate beside the best estimate: how far calibration leaves each number open; 0: none."""


StepTime = Annotated[Roofline | Split | MeasuredTable | OpDatabase | Calibrated, Field(discriminator="kind")]
