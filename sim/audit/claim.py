"""A claim of the article, as it stands in a YAML file beside the code that answers it."""

from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, model_validator

from sim.scenario.base import Block


class Words(Block):
    """A text in both languages of the audit."""

    en: str
    zh: str


class Span(Block):
    """What a sentence says of a number, ends included; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def holds(self, low: float, high: float) -> bool | None:
        """Whether all of low..high lies within; None where only some of it does."""
        floor = -float("inf") if self.low is None else self.low
        ceiling = float("inf") if self.high is None else self.high
        if floor <= low and high <= ceiling:
            return True
        return False if high < floor or low > ceiling else None


class Input(Block):
    """An input of an answer: the article's or the audit's assumption, and the range over which it is varied."""

    value: float
    low: float
    high: float
    unit: str
    words: Words
    source: str

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"found value {self.value}, expected low <= value <= high")
        return self


class Claim(Block):
    """What the article says, and what is needed to answer it."""

    id: Annotated[str, Field(pattern=r"^C\d+$")]
    sentence: Words
    """The article's own (zh), and its translation."""
    kind: Literal["quantity", "qualitative"] = "quantity"
    """qualitative: nothing in it can be true or false of a measurement; its readings tell what follows from it."""
    unit: str
    claimed: Span
    """The article's number. Its "about" is taken as within 10 %, a range or a bound as it stands."""
    claimed_words: str
    """The number as the article writes it: "15-20 %"."""
    definition: Words
    """Under which definition the audit reads it."""
    inputs: Mapping[str, Input] = Field(default_factory=dict)
    true_if: Words
    """What would have to be true; {name} stands for the value of that reading, {name:.1f} for its rounding."""
    later: Words | None = None
    """What of the claim is left to a later version."""


def read(topic: str) -> dict[str, Claim]:
    """Claims of one topic by id, from sim/audit/claims/TOPIC.yaml."""
    text = (resources.files("sim.audit.claims") / f"{topic}.yaml").read_text(encoding="utf-8")
    claims = [Claim.model_validate(one) for one in yaml.safe_load(text)]
    return {one.id: one for one in claims}
