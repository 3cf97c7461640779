"""Batching as engines did it before continuous batching: padded to the longest, nobody joins a batch under way.

vLLM does none of this (it flattens all sequences and schedules at every step: vLLM's blog, 2025-09-05, "anatomy");
these are what an article about vLLM and DeepSeek (2025-09-26) describes, to be compared with vLLM's own.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, Count, Share, Tokens

Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
PositiveMilliseconds = Annotated[float, Field(ge=1e-6, le=1e9, allow_inf_nan=False)]


class Static(Block):
    """A free engine starts a batch when `batch_size` requests wait, or the first has waited for `max_wait_ms`."""

    policy: Literal["static"]
    batch_size: Count = 32
    """The article's "batch size=32"."""
    max_wait_ms: Milliseconds = 100.0


class Timer(Block):
    """A timer starts with the first request that waits; when it ends, all that came make a batch."""

    policy: Literal["timer"]
    wait_ms: Milliseconds
    batch_size: Count | None = None
    """So many waiting requests make a batch at once; default as many as come."""


class TwoLevel(Block):
    """The article's DynamicBatcher: a micro-batch level that groups by length, and a global batch at regular ticks.

    `wait_ms` after the first request that waits, the queue is grouped by prompt length, short first. Groups that fill
    at least `fill` of `max_batch_size` become batches, which start at the next tick.
    """

    policy: Literal["two_level"]
    max_batch_size: Count = 32
    wait_ms: Milliseconds = 5.0
    fill: Share = 0.7
    tick_ms: PositiveMilliseconds | None = 100.0
    """null: batches start as soon as the engine is free, as in the article's pseudo-code alone."""
    length_groups: Annotated[int, Field(ge=1, le=1000)] | Annotated[tuple[Tokens, ...], Field(strict=False)] = 4
    """Upper bounds of the groups but the last, in prompt tokens, ascending; or how many equally wide groups between
    the traffic's shortest and longest prompt."""
    drop_underfilled: bool
    """true: the pseudo-code to the letter: groups below `fill` are forgotten, and no batch is too large. false:
    repaired: they stay in the queue, and batches keep to `max_batch_size`."""
    longest_wait_ms: Milliseconds = 100.0
    """Repaired only: whoever has waited so long takes its group along, however small it is."""

    @model_validator(mode="after")
    def _ascending(self) -> "TwoLevel":
        bounds = self.length_groups
        if isinstance(bounds, tuple) and list(bounds) != sorted(set(bounds)):
            raise ValueError(f"length_groups must ascend, found {list(bounds)}")
        if self.drop_underfilled and "longest_wait_ms" in self.model_fields_set:
            raise ValueError("longest_wait_ms goes with drop_underfilled: false, found it with true")
        return self


Batching = Annotated[Static | Timer | TwoLevel, Field(discriminator="policy")]
