"""What is paid for, beside the price of a GPU-hour: nothing that is not named here."""

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.base import Block, NonNegative, Positive, Seconds
from sim.scenario.market import Usd


class Energy(Block):
    """Power of the GPUs. Name it for owned ones: rented ones have it in their price."""

    usd_per_kwh: Usd
    pue: Annotated[float, Field(ge=1, le=10)] = 1.0
    """Power usage effectiveness of the room."""
    busy_w: Positive | None = None
    """Of one GPU while its engine steps; default the catalogue's TDP, an upper bound."""
    idle_w: NonNegative | None = None
    """Of one GPU otherwise; default as busy_w."""


class Api(Block):
    """A provider's price for the same tokens, to compare with."""

    usd_per_1m_input_tokens: Usd
    usd_per_1m_output_tokens: Usd


class Cost(Block):
    """How leases are billed."""

    billed_by: Literal["gpu", "node"] = "gpu"
    """gpu: the GPUs that replicas stand on; node: all GPUs of their nodes."""
    granularity_s: Seconds = 0.0
    """Each lease is rounded up to a multiple of this; 0: to the nanosecond."""
    minimum_s: Seconds = 0.0
    """Shortest time that a lease is billed for."""
    energy: Energy | None = None
    api: Api | None = None
