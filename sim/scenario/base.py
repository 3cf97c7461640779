"""The strict, frozen base of every scenario block."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Bounds that no rate, time or price comes near keep products and quotients of any two numbers finite.
Positive = Annotated[float, Field(ge=1e-9, le=1e12, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
# Of the fleet's times: a third of a century, of which sums still fit 64 bits in nanoseconds.
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]


def _not_a_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, not {str(value).lower()}")  # noqa: TRY004  # pydantic wants a ValueError
    return value


NotABoolean = BeforeValidator(_not_a_boolean)
"""For Literal numbers: to Python, and so to pydantic, true equals 1."""


class Block(BaseModel):
    """A block of a scenario: unknown keys are errors, values never change, texts are not coerced to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
