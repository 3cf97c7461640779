"""Where step times come from."""

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.base import Block


class Roofline(Block):
    """Physics with catalogue efficiencies; nothing measured on the user's engine."""

    kind: Literal["roofline"]


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


StepTime = Annotated[Roofline | MeasuredTable | OpDatabase | Calibrated, Field(discriminator="kind")]
