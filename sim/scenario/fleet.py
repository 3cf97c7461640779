"""Pools of replicas and the router before them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, Count, NonNegative
from sim.scenario.engine import Engine
from sim.scenario.market import Owned, Spot, Usd, Zone


class Pool(Block):
    """Equal replicas on one kind of GPU."""

    pool: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    gpu: str
    """Catalogue id, for example h100-sxm-80gb."""
    tensor_parallel_size: Count = 1
    pipeline_parallel_size: Count = 1
    replicas: Annotated[int, Field(ge=0, le=10_000)] = 1
    """0 for a pool that only an autoscaler or `fallback_for` fills."""
    market: Literal["on_demand", "spot", "reserved", "owned"] = "on_demand"
    usd_per_gpu_hour: Usd | None = None
    """Your own price; default the catalogue's median for this GPU and market; without either, cost
    is reported as unknown."""
    model: str | None = None
    """Another model than the scenario's: catalogue id or path of a config.json."""
    engine: Engine | None = None
    """Flags of this pool's engines that differ from the scenario's; what is left out is as there."""
    zones: tuple[Zone, ...] = Field(default=(), strict=False)
    """Availability zones that the nodes are spread over; default one without a name."""
    spot: Spot | None = None
    """Reclaims, on market: spot; without it nothing is ever taken back, only the price is the spot market's."""
    owned: Owned | None = None
    """On market: owned, unless usd_per_gpu_hour says what they cost."""
    fallback_for: str | None = None
    """Name of a spot pool: for every replica that is short there, one more here (SkyServe's dynamic fallback)."""

    @model_validator(mode="after")
    def _markets(self) -> "Pool":
        if self.spot is not None and self.market != "spot":
            raise ValueError(f"spot goes with market: spot, found market: {self.market}")
        if self.owned is not None and self.market != "owned":
            raise ValueError(f"owned goes with market: owned, found market: {self.market}")
        names = [zone.zone for zone in self.zones]
        if len(set(names)) < len(names):
            raise ValueError(f"zone names must differ, found {names}")
        return self


class RoundRobin(Block):
    """In turn."""

    kind: Literal["round_robin"]


class Random(Block):
    """Uniformly at random."""

    kind: Literal["random"]


class _Informed(Block):
    """Routers that look at the replicas."""

    staleness_ms: NonNegative = 0.0
    """The router's counts are refreshed this often and bumped by its own choices between (0: always exact)."""
    routers: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many of them side by side, requests in turn: between refreshes each knows its own choices alone."""


class LeastOutstanding(_Informed):
    """The replica with the fewest unfinished requests; ties in turn."""

    kind: Literal["least_outstanding"]


class PowerOfTwo(_Informed):
    """The less loaded of two random replicas (Mitzenmacher 2001)."""

    kind: Literal["power_of_two"]


class VllmDp(_Informed):
    """vLLM's data-parallel score: waiting + running, plus waiting weighted by KV use beyond one half."""

    kind: Literal["vllm_dp"]
    staleness_ms: NonNegative = 100.0
    """The coordinator refreshes counts every 100 ms (vllm/v1/engine/coordinator.py:154)."""


class KvAware(_Informed):
    """The replica with most free KV blocks after its waiting requests; ties in turn."""

    kind: Literal["kv_aware"]


class PrefixAffinity(_Informed):
    """The replica that holds most of the prompt's prefix, unless it is overloaded."""

    kind: Literal["prefix_affinity"]
    max_imbalance: NonNegative = 8.0
    """Unfinished requests above the least loaded replica's at which affinity gives way to least outstanding."""


Informed = LeastOutstanding | PowerOfTwo | VllmDp | KvAware | PrefixAffinity
Router = Annotated[RoundRobin | Random | Informed, Field(discriminator="kind")]
