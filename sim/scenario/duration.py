"""How long something takes: a number, or a distribution."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, PositiveSeconds, Seconds


class FixedDuration(Block):
    """Always the same."""

    kind: Literal["fixed"]
    s: Seconds


class ExponentialDuration(Block):
    """Memoryless."""

    kind: Literal["exponential"]
    mean_s: PositiveSeconds


class LognormalDuration(Block):
    """Skewed to the right, as start-up times are."""

    kind: Literal["lognormal"]
    median_s: PositiveSeconds
    sigma: Annotated[float, Field(ge=0, le=3)]
    """Standard deviation of the logarithm: 0.3 puts 95 of 100 within a factor of 1.8 of the median."""


class UniformDuration(Block):
    """Anything between two bounds."""

    kind: Literal["uniform"]
    low_s: Seconds
    high_s: PositiveSeconds

    @model_validator(mode="after")
    def _ordered(self) -> "UniformDuration":
        if self.high_s < self.low_s:
            raise ValueError(f"high_s ({self.high_s:g}) must not be below low_s ({self.low_s:g})")
        return self


Duration = Annotated[
    FixedDuration | ExponentialDuration | LognormalDuration | UniformDuration, Field(discriminator="kind")
]
