"""What fails, and when: at random, from a trace, or as a drill."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, Positive, PositiveSeconds, Seconds, Share

Target = Literal["replica", "gpu", "node", "zone"]
"""replica: its engine process; gpu: one GPU, with the replica on it; node: with all its replicas; zone: all nodes."""


class ExponentialFailures(Block):
    """Each target fails independently at a constant rate."""

    kind: Literal["exponential"]
    of: Target
    preset: str | None = None
    """Catalogue id of a measured rate, for example llama3-node."""
    mtbf_hours: Positive | None = None
    """Your own mean time between failures of one target."""
    hang_share: Share = 0.0
    """Of replica failures: this share hangs (passes liveness checks, serves nothing) instead of crashing."""

    @model_validator(mode="after")
    def _one_source(self) -> "ExponentialFailures":
        if (self.preset is None) == (self.mtbf_hours is None):
            raise ValueError("give either preset or mtbf_hours")
        return self


class WeibullFailures(Block):
    """Each target's life is Weibull: shape below 1 is infant mortality, above 1 wear."""

    kind: Literal["weibull"]
    of: Target
    scale_hours: Positive
    shape: Annotated[float, Field(ge=0.1, le=20)]
    hang_share: Share = 0.0


class TracedFailures(Block):
    """Failures from a CSV file with the columns time_s, of, index, and perhaps hang and for_s."""

    kind: Literal["trace"]
    path: str


class Drill(Block):
    """One failure at a known time: kill node 2 at 10:00."""

    kind: Literal["drill"]
    at: Annotated[str, Field(pattern=r"^\d{1,4}:[0-5]\d(:[0-5]\d)?$")] | None = None
    """Hours and minutes (and seconds) since the start of the run: "10:00"."""
    at_s: Seconds | None = None
    of: Target
    index: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Which of the targets that live then, the oldest first; zones in the order of the scenario. For a gpu: the first
    GPU of that replica."""
    hang: bool = False
    """Of a replica: it hangs instead of crashing."""
    for_s: PositiveSeconds | None = None
    """The target is back and ready exactly so long after; default: as recovery goes."""
    notice_s: Seconds | None = None
    """Of a node: the spot market takes it back. `index` counts the nodes of spot pools without notice; its replicas
    drain, and it goes so long after `at`."""

    @model_validator(mode="after")
    def _one_time(self) -> "Drill":
        if (self.at is None) == (self.at_s is None):
            raise ValueError("give either at (hours:minutes) or at_s")
        if self.hang and self.of != "replica":
            raise ValueError("hang goes with of: replica")
        if self.notice_s is not None and (self.of != "node" or self.for_s is not None):
            raise ValueError("notice_s goes with of: node, and not with for_s")
        return self


Failures = Annotated[ExponentialFailures | WeibullFailures | TracedFailures | Drill, Field(discriminator="kind")]
