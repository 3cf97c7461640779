"""How many replicas a pool should have, decided while the run goes on."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, NonNegative, Positive, PositiveSeconds, Seconds, Share

Replicas = Annotated[int, Field(ge=0, le=10_000)]


class _Autoscaler(Block):
    """What all have in common; defaults are those of Kubernetes' HorizontalPodAutoscaler."""

    pool: str
    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = 1
    max_replicas: Annotated[int, Field(ge=1, le=10_000)]
    interval_s: PositiveSeconds = 15.0
    """From one decision to the next (horizontal-pod-autoscaler-sync-period)."""
    scale_up_window_s: Seconds = 0.0
    """Scale up to the lowest wish of this long (stabilizationWindowSeconds)."""
    scale_down_window_s: Seconds = 300.0
    """Scale down to the highest wish of this long."""

    @model_validator(mode="after")
    def _ordered(self) -> "_Autoscaler":
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas ({self.max_replicas}) must not be below min_replicas ({self.min_replicas})")
        return self


class _Metered(_Autoscaler):
    """Those that look at the pool."""

    metric_delay_s: Seconds = 0.0
    """How old the numbers are on which it decides."""


class Step(Block):
    """From this time on, so many replicas."""

    at_s: Seconds
    replicas: Replicas


class ScheduleScaler(_Autoscaler):
    """By the clock."""

    kind: Literal["schedule"]
    steps: Annotated[tuple[Step, ...], Field(min_length=1, strict=False)]
    period_s: PositiveSeconds | None = None
    """The schedule begins again after this time: 86400 for a day. Before its first step the last one holds then."""

    @model_validator(mode="after")
    def _in_order(self) -> "ScheduleScaler":
        times = [step.at_s for step in self.steps]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError(f"steps: found at_s {times}, expected rising times")
        if self.period_s is not None and times[-1] >= self.period_s:
            raise ValueError(f"steps: found at_s {times[-1]:g}, expected less than period_s ({self.period_s:g})")
        return self


class TargetTracking(_Metered):
    """HPA: ceil(replicas x metric / target), unless the two are within the tolerance."""

    kind: Literal["target_tracking"]
    metric: Literal["running", "waiting", "outstanding", "kv_cache_usage", "requests_per_s"]
    """Mean over the pool's ready replicas: requests running, waiting, both; used share of the KV blocks; arrivals."""
    target: Positive
    tolerance: Share = 0.1


class QueueScaler(_Metered):
    """KEDA: ceil(waiting requests / waiting_per_replica), or more while the KV cache is full."""

    kind: Literal["queue"]
    waiting_per_replica: Positive
    """Waiting requests of the whole pool that one replica is for."""
    tolerance: Share = 0.1
    """No change while the number that it wishes is so close (HPA's, which KEDA drives)."""
    kv_cache_usage: Annotated[float, Field(gt=0, le=1)] | None = None
    """Also track this mean use of the KV blocks; the larger wish counts."""
    interval_s: PositiveSeconds = 30.0
    """KEDA's pollingInterval."""


class Predictive(_Metered):
    """Forecasts the arrivals (Holt's linear trend) by as long as a replica takes to start, and sizes for that."""

    kind: Literal["predictive"]
    requests_per_s_per_replica: Positive
    """What one replica can serve within the SLO."""
    horizon_s: PositiveSeconds
    """How far ahead; sensibly the time of a cold start."""
    headroom: NonNegative = 0.1
    """Beyond the forecast, as a share of it."""
    level_smoothing: Annotated[float, Field(gt=0, le=1)] = 0.5
    trend_smoothing: Annotated[float, Field(gt=0, le=1)] = 0.2


class Fixed(Block):
    """Always the pool's own number of replicas."""

    kind: Literal["fixed"]
    pool: str


Autoscaler = Annotated[Fixed | ScheduleScaler | TargetTracking | QueueScaler | Predictive, Field(discriminator="kind")]
