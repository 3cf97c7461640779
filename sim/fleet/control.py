"""Autoscalers: what a pool looks like goes in, how many replicas it should have comes out."""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

from sim.scenario.autoscaler import Autoscaler, Fixed, Predictive, QueueScaler, ScheduleScaler, TargetTracking
from sim.units import seconds_to_ns


@dataclass(frozen=True, slots=True)
class Observation:
    """One pool at one time."""

    now_ns: int
    replicas: int
    """Replicas that the pool should have now: the last decision."""
    ready: int
    starting: int
    running: float
    """Requests being served, the sum over the ready replicas."""
    waiting: float
    """Requests in their queues, the sum."""
    outstanding: float
    """Both, the sum."""
    kv_cache_usage: float
    """Used share of the KV blocks, the mean over the ready replicas."""
    requests_per_s: float
    """Arrivals for the pool's model since the last observation, per second."""


@dataclass(frozen=True, slots=True)
class Action:
    """Replicas that the pool should have."""

    replicas: int


class Controller(Protocol):
    """Decides for one pool, at every interval."""

    def act(self, seen: Observation) -> Action:
        """Return the number of replicas wanted; `seen` is never older than the one before."""
        ...


def build(spec: Autoscaler, start_ns: int = 0) -> Controller:
    """Return the controller of a scenario's block; its schedule and its first interval begin at `start_ns`."""
    match spec:
        case Fixed():
            return _Keeping()
        case ScheduleScaler():
            return Stabilised(_Scheduled(spec, start_ns), spec)
        case TargetTracking():
            return Stabilised(Delayed(_Tracking(spec), spec.metric_delay_s), spec)
        case QueueScaler():
            return Stabilised(Delayed(_Queueing(spec), spec.metric_delay_s), spec)
        case Predictive():
            return Stabilised(Delayed(_Forecasting(spec, start_ns), spec.metric_delay_s), spec)


def interval_ns(spec: Autoscaler) -> int | None:
    """Return the time from one decision to the next; None for a pool about which nothing is ever decided."""
    return None if isinstance(spec, Fixed) else seconds_to_ns(spec.interval_s)


class _Keeping:
    """Leaves the number as it is."""

    def act(self, seen: Observation) -> Action:
        return Action(seen.replicas)


class _Scheduled:
    """The number of the last step that has begun."""

    def __init__(self, spec: ScheduleScaler, start_ns: int) -> None:
        self._start_ns = start_ns
        self._period_ns = None if spec.period_s is None else seconds_to_ns(spec.period_s)
        self._times = [seconds_to_ns(step.at_s) for step in spec.steps]
        self._replicas = [step.replicas for step in spec.steps]

    def act(self, seen: Observation) -> Action:
        since = seen.now_ns - self._start_ns
        if self._period_ns is not None:
            since %= self._period_ns
        begun = bisect_right(self._times, since)
        if begun == 0 and self._period_ns is None:
            return Action(seen.replicas)
        return Action(self._replicas[begun - 1])  # with a period, the last step of the one before


class _Tracking:
    """Kubernetes' HorizontalPodAutoscaler on a metric of the pods."""

    def __init__(self, spec: TargetTracking) -> None:
        self._spec = spec

    def act(self, seen: Observation) -> Action:
        return Action(_tracked(seen, self._spec.metric, self._spec.target, self._spec.tolerance))


class _Queueing:
    """KEDA's Prometheus trigger on the sum of waiting requests, and a second one on the KV cache: the larger wins.

    KEDA hands its threshold to HPA as an external metric's AverageValue (keda.sh, Scaling Deployments), which is
    ceil(sum / threshold) unless sum / (threshold x replicas) is within the tolerance of 1 (Kubernetes 1.33,
    pkg/controller/podautoscaler/replica_calculator.go, GetExternalPerPodMetricReplicas). Without a ready replica
    there are no metrics, and the number stays.
    """

    def __init__(self, spec: QueueScaler) -> None:
        self._spec = spec

    def act(self, seen: Observation) -> Action:
        if seen.ready == 0 or seen.replicas == 0:
            return Action(seen.replicas)
        spec = self._spec
        wish = seen.replicas
        if not _close(seen.waiting / (spec.waiting_per_replica * seen.replicas), spec.tolerance):
            wish = _ceil(seen.waiting / spec.waiting_per_replica)
        if spec.kv_cache_usage is not None:
            wish = max(wish, _tracked(seen, "kv_cache_usage", spec.kv_cache_usage, spec.tolerance))
        return Action(wish)


class _Forecasting:
    """Holt's linear trend of the arrivals (Hyndman and Athanasopoulos, _Forecasting, 3rd ed., 8.2), a start-up ahead.

    The first two rates give level and trend, so that arrivals which rise in a line are forecast exactly.
    """

    def __init__(self, spec: Predictive, start_ns: int) -> None:
        self._spec = spec
        self._start_ns = start_ns
        self._level: float | None = None
        self._trend: float | None = None

    def act(self, seen: Observation) -> Action:
        if seen.now_ns <= self._start_ns:  # no time has passed over which arrivals could have been counted
            return Action(seen.replicas)
        spec = self._spec
        self._learn(seen.requests_per_s)
        assert self._level is not None
        forecast = self._level + spec.horizon_s / spec.interval_s * (self._trend or 0.0)
        return Action(max(_ceil(forecast * (1 + spec.headroom) / spec.requests_per_s_per_replica), 0))

    def _learn(self, rate: float) -> None:
        alpha, beta = self._spec.level_smoothing, self._spec.trend_smoothing
        before, trend = self._level, self._trend
        if before is None:
            self._level = rate
        elif trend is None:
            self._level, self._trend = rate, rate - before
        else:
            self._level = alpha * rate + (1 - alpha) * (before + trend)
            self._trend = beta * (self._level - before) + (1 - beta) * trend


class Delayed:
    """Hands on the newest observation that is at least so old, with the number of replicas of now.

    What is stale are the metrics; how many replicas it has asked for a controller knows.
    """

    def __init__(self, inner: Controller, delay_s: float) -> None:
        self._inner = inner
        self._delay_ns = seconds_to_ns(delay_s)
        self._seen: deque[Observation] = deque()

    def act(self, seen: Observation) -> Action:
        """Return the inner controller's answer, or the number of now while nothing is so old."""
        self._seen.append(seen)
        newest = seen.now_ns - self._delay_ns
        while len(self._seen) > 1 and self._seen[1].now_ns <= newest:
            self._seen.popleft()
        if self._seen[0].now_ns > newest:
            return Action(seen.replicas)
        return self._inner.act(replace(self._seen[0], replicas=seen.replicas))


class Stabilised:
    """Keeps the wishes within the bounds, and waits until they last.

    Up goes to the lowest wish within the one window, down to the highest within the other; the number at the first
    decision counts as a wish (Kubernetes 1.33, pkg/controller/podautoscaler/horizontal.go, recordInitialRecommendation
    and stabilizeRecommendationWithBehaviors). HPA's rate policies are not modelled: by default they let a fleet double
    every 15 s, which is fast beside the start of a replica.
    """

    def __init__(self, inner: Controller, spec: ScheduleScaler | TargetTracking | QueueScaler | Predictive) -> None:
        self._inner = inner
        self._bounds = spec.min_replicas, spec.max_replicas
        self._up_ns = seconds_to_ns(spec.scale_up_window_s)
        self._down_ns = seconds_to_ns(spec.scale_down_window_s)
        self._wishes: deque[tuple[int, int]] = deque()

    def act(self, seen: Observation) -> Action:
        """Return the inner controller's answer, bounded and stabilised."""
        now, replicas = seen.now_ns, self._clipped(seen.replicas)
        wish = self._clipped(self._inner.act(seen).replicas)
        if not self._wishes:
            self._wishes.append((now, replicas))
        while self._wishes and self._wishes[0][0] <= now - max(self._up_ns, self._down_ns):
            self._wishes.popleft()
        lowest = min([wish, *(one for at, one in self._wishes if at > now - self._up_ns)])
        highest = max([wish, *(one for at, one in self._wishes if at > now - self._down_ns)])
        self._wishes.append((now, wish))
        return Action(min(max(replicas, lowest), highest))

    def _clipped(self, replicas: int) -> int:
        low, high = self._bounds
        return min(max(replicas, low), high)


def _tracked(seen: Observation, metric: str, target: float, tolerance: float) -> int:
    """Return ceil(replicas x metric / target) as HPA does.

    The metric is averaged over the ready replicas. The others, which have none yet, count as if at 0 on the way up and
    as if at the target on the way down; they may stop a change but never turn it round (kubernetes.io, Horizontal Pod
    Autoscaling, Algorithm details; replica_calculator.go, calcPlainMetricReplicas).
    """
    if seen.ready == 0:
        return seen.replicas
    value = float(getattr(seen, metric))
    total = value * seen.ready if metric == "kv_cache_usage" else value
    pods = max(seen.ready, seen.replicas)
    up = total > seen.ready * target
    if not up:
        total += (pods - seen.ready) * target
    if _close(total / (pods * target), tolerance):
        return seen.replicas
    wish = _ceil(total / target)
    return max(wish, seen.replicas) if up else min(wish, seen.replicas)


def _close(ratio: float, tolerance: float) -> bool:
    return 1 - tolerance <= ratio <= 1 + tolerance


def _ceil(replicas: float) -> int:
    """Round up, but not what only floats put above a whole number: 2.1 / 0.3 is 7."""
    return math.ceil(round(replicas, 9))
