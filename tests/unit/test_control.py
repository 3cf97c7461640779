"""Autoscalers: Kubernetes' own examples and unit tests, formulas by hand."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from sim.fleet.control import build, interval_ns
from sim.scenario.autoscaler import Autoscaler
from tests.unit.observed import S, autoscaler, wish

# HPA


def tracked(target, replicas, ready, total, metric="running", **keys):
    seen = {"replicas": replicas, "ready": ready, "starting": replicas - ready, metric: total}
    return wish(build(autoscaler("target_tracking", metric=metric, target=target, **keys)), **seen)


@pytest.mark.parametrize(
    ("mean", "wanted"),
    [(200.0, 8), (50.0, 2), (110.0, 4), (90.0, 4), (111.0, 5), (89.0, 4), (74.0, 3), (0.0, 1)],
)
def test_the_examples_of_the_documentation(mean, wanted):
    # kubernetes.io, Algorithm details: twice the target doubles, half of it halves, within 0.1 nothing happens
    assert tracked(100.0, 4, 4, 4 * mean) == wanted


@pytest.mark.parametrize(
    ("name", "replicas", "measured", "target", "wanted"),
    [
        # pkg/controller/podautoscaler/replica_calculator_test.go (1.33); CPU of 1000m a pod, its target in m
        ("ScaleUpCM", 3, (20000, 10000, 30000), 15000, 4),
        ("ScaleDownCM", 5, (12000,) * 5, 20000, 3),
        ("ToleranceCM", 3, (20000, 21000, 21000), 20000, 3),
        ("PlainMetric MissingMetricsNoChangeEq", 5, (20000, 19000, 21000), 20000, 5),
        ("MissingMetricsNoChangeEq", 2, (1000,), 1000, 2),
        ("MissingMetricsNoChangeGt", 2, (1900,), 1000, 2),
        ("MissingMetricsNoChangeLt", 2, (600,), 1000, 2),
        ("MissingMetricsUnreadyNoChange", 3, (450,), 500, 3),
        ("MissingMetricsUnreadyScaleUp", 3, (2000,), 500, 4),
        ("ScaleUpUnreadyNoScale", 3, (400,), 300, 3),
    ],
)
def test_kubernetes_own_tests(name, replicas, measured, target, wanted):
    assert tracked(float(target), replicas, len(measured), float(sum(measured))) == wanted, name


def test_every_metric_is_a_mean_over_the_ready_replicas():
    for metric in ("running", "waiting", "outstanding", "requests_per_s"):
        assert tracked(10.0, 2, 2, 60.0, metric) == 6
    assert tracked(0.5, 4, 4, 0.75, "kv_cache_usage") == 6


def test_starting_replicas_are_counted_on_so_that_a_wave_is_not_asked_for_twice():
    # 2 of 6 are ready and three times too busy: 6 is what it takes
    assert tracked(10.0, 6, 2, 60.0) == 6
    # on the way down the four that start count as if busy: 2 x 0.1 + 4 = 4.2
    assert tracked(10.0, 6, 2, 2.0) == 5


def test_without_a_ready_replica_there_is_no_metric_and_no_change():
    assert tracked(10.0, 7, 0, 0.0) == 7


def test_floats_do_not_add_a_replica():
    assert 2.1 / 0.3 > 7
    assert tracked(0.3, 1, 1, 2.1) == 7


# KEDA


@pytest.mark.parametrize(
    ("replicas", "waiting", "wanted"),
    [(1, 95, 10), (1, 100, 10), (1, 101, 11), (20, 0, 1), (20, 215, 20), (20, 221, 23), (20, 179, 18), (0, 0, 1)],
)
def test_one_replica_for_so_many_waiting_requests(replicas, waiting, wanted):
    controller = build(autoscaler("queue", waiting_per_replica=10.0))
    assert wish(controller, replicas=replicas, ready=replicas, waiting=float(waiting)) == wanted


def test_an_external_metric_of_kubernetes_own_tests():
    # replica_calculator_test.go, ScaleUpPerPodCMExternal
    assert wish(build(autoscaler("queue", waiting_per_replica=2.150)), replicas=3, ready=3, waiting=8.600) == 4


def test_the_larger_of_queue_and_kv_cache_wins():
    controller = build(autoscaler("queue", waiting_per_replica=10.0, kv_cache_usage=0.6))
    seen = {"replicas": 4, "ready": 4}
    assert wish(controller, **seen, waiting=90.0, kv_cache_usage=0.9) == 9
    assert wish(controller, **seen, waiting=10.0, kv_cache_usage=0.9) == 6
    assert wish(controller, **seen, waiting=10.0, kv_cache_usage=0.3) == 2


@pytest.mark.parametrize("keys", [{}, {"kv_cache_usage": 0.6}])
def test_an_empty_queue_of_no_replica_says_nothing(keys):
    assert wish(build(autoscaler("queue", waiting_per_replica=10.0, **keys)), replicas=4, ready=0) == 4


# Holt


def predictive(rates, start_ns=0, **keys):
    keys = {"requests_per_s_per_replica": 1.0, "horizon_s": 300.0, "headroom": 0.0, "interval_s": 15.0} | keys
    controller = build(autoscaler("predictive", **keys), start_ns)
    return [wish(controller, now_ns=start_ns + 15 * S * step, requests_per_s=rate) for step, rate in enumerate(rates)]


@pytest.mark.parametrize("slope", [2.0, -1.5])
def test_a_line_is_forecast_exactly(slope):
    rates = [0.0] + [400.0 + slope * step for step in range(1, 60)]
    # 300 s are 20 intervals ahead
    assert predictive(rates)[2:] == [math.ceil(400 + slope * (step + 20)) for step in range(2, 60)]


def test_headroom_and_the_rate_of_a_replica():
    assert predictive([0.0, 90.0, 90.0], headroom=0.2, requests_per_s_per_replica=10.0)[1:] == [11, 11]


def test_a_step_is_smoothed_by_hand():
    # level 50 then 0.5 x 100 + 0.5 x 50 = 75; trend 0 then 0.2 x 25 = 5; two intervals ahead 85
    assert predictive([0.0, 50.0, 50.0, 100.0], horizon_s=30.0)[1:] == [50, 50, 85]


def test_falling_arrivals_are_not_forecast_below_none():
    assert predictive([0.0, 100.0, 50.0])[-1] == 1


def test_the_first_observation_has_no_past_and_teaches_nothing():
    assert predictive([0.0, 80.0, 80.0], start_ns=50 * S) == predictive([1e6, 80.0, 80.0]) == [1, 80, 80]


# the clock


def scheduled(at_s, start_ns=0, replicas=7, **keys):
    steps = [{"at_s": 10.0, "replicas": 2}, {"at_s": 40.0, "replicas": 5}]
    return wish(build(autoscaler("schedule", steps=steps, **keys), start_ns), now_ns=at_s * S, replicas=replicas)


@pytest.mark.parametrize(("at_s", "wanted"), [(0, 7), (9, 7), (10, 2), (39, 2), (40, 5), (10_000, 5)])
def test_a_schedule_holds_from_step_to_step(at_s, wanted):
    assert scheduled(at_s) == wanted
    assert scheduled(at_s + 3, start_ns=3 * S) == wanted


@pytest.mark.parametrize(
    ("at_s", "wanted"), [(0, 5), (10, 2), (40, 5), (99, 5), (100, 5), (110, 2), (1039, 2), (1040, 5)]
)
def test_a_schedule_begins_again(at_s, wanted):
    assert scheduled(at_s, period_s=100.0) == wanted


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"steps": [{"at_s": 5.0, "replicas": 1}, {"at_s": 5.0, "replicas": 2}]}, "expected rising times"),
        ({"steps": [{"at_s": 60.0, "replicas": 1}], "period_s": 60.0}, r"expected less than period_s \(60\)"),
    ],
)
def test_a_schedule_out_of_order_is_refused(keys, sentence):
    with pytest.raises(ValidationError, match=sentence):
        autoscaler("schedule", **keys)


def test_a_fixed_pool_is_left_alone():
    spec = TypeAdapter(Autoscaler).validate_python({"kind": "fixed", "pool": "a"})
    assert wish(build(spec), replicas=7, ready=2, waiting=1e6) == 7
    assert interval_ns(spec) is None


def test_intervals_are_those_of_hpa_and_keda():
    assert interval_ns(autoscaler("target_tracking", metric="running", target=1.0)) == 15 * S
    assert interval_ns(autoscaler("queue", waiting_per_replica=1.0)) == 30 * S
