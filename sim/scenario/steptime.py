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


StepTime = Annotated[Roofline | MeasuredTable | OpDatabase, Field(discriminator="kind")]
