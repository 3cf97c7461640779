"""How nodes are bought: zones, prices, and when the market takes spot nodes back."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, Count, NonNegative, Positive, Seconds

Usd = Annotated[float, Field(ge=0, le=1e6)]
ZoneName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class PricePoint(Block):
    """From this hour of the run on, the price is this."""

    hour: NonNegative
    usd_per_gpu_hour: Usd


class Zone(Block):
    """One availability zone; a pool's nodes are spread over its zones evenly."""

    zone: ZoneName
    usd_per_gpu_hour: Usd | None = None
    """Default the pool's price."""
    prices: tuple[PricePoint, ...] = Field(default=(), strict=False)
    """Price over time, from these hours on; before the first point the zone's price holds."""

    @model_validator(mode="after")
    def _ordered(self) -> "Zone":
        hours = [point.hour for point in self.prices]
        if hours != sorted(set(hours)):
            raise ValueError(f"prices: hours must rise, found {hours}")
        return self


class HazardReclaims(Block):
    """Reclaims at random: every node has the same mean life, and a reclaim may take several nodes of its zone."""

    kind: Literal["hazard"]
    preset: str | None = None
    """Catalogue id of a market, for example aws-advisor-5-10 (5 to 10 % a month) or bamboo-p3."""
    mean_life_hours: Positive | None = None
    """Your own, instead of a preset."""
    nodes_per_event: Annotated[float, Field(ge=1, le=1e6)] | None = None
    """Mean number of nodes that one reclaim takes (geometric); default the preset's, else 1."""
    mean_outage_s: Seconds | None = None
    """After a reclaim its zone sells no spot node for a time of this mean (exponential); default the preset's or 0."""

    @model_validator(mode="after")
    def _one_source(self) -> "HazardReclaims":
        if (self.preset is None) == (self.mean_life_hours is None):
            raise ValueError("give either preset or mean_life_hours")
        return self


class TracedReclaims(Block):
    """The number of nodes that the market has, replayed from a recording."""

    kind: Literal["trace"]
    trace: str | None = None
    """A named public trace: bamboo-p3, bamboo-g4dn, bamboo-a100, bamboo-v100, parcae-p3, parcae-hh, parcae-hl,
    parcae-lh, parcae-ll."""
    path: str | None = None
    format: Literal["bamboo", "gcp", "parcae", "csv"] | None = None
    """bamboo: ms,add|remove,node; gcp: date, time, count; parcae: JSON lines; csv: a header, then time_s,nodes."""
    nodes: Count | None = None
    """The recording's peak counts as so many nodes; default as recorded."""
    start_s: Seconds = 0.0
    """Begin at this time of the recording; when it ends, it begins again."""

    @model_validator(mode="after")
    def _one_source(self) -> "TracedReclaims":
        if (self.trace is None) == (self.path is None):
            raise ValueError("give either trace (a named public trace) or path and format")
        if (self.path is None) != (self.format is None):
            raise ValueError("path and format go together")
        return self


Reclaims = Annotated[HazardReclaims | TracedReclaims, Field(discriminator="kind")]


class Spot(Block):
    """What may happen to a pool on the spot market."""

    reclaims: Reclaims
    notice_s: Seconds = 120.0
    """From the notice to the end of the node, in which replicas drain: AWS 120 s, GCP and Azure 30 s."""
    over_provision: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Replicas to run beyond the pool's number (SkyServe's N_extra)."""


class Owned(Block):
    """Your own GPUs: what they cost a year, used or not; power is `cost.energy`'s."""

    usd_per_gpu: Usd
    """Purchase, with its share of server, network and room."""
    years: Annotated[float, Field(gt=0, le=50)]
    """Over which that is written off, in a straight line."""
    residual_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """What is left of the price then."""
