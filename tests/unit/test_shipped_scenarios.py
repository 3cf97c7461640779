"""The shipped scenarios of a fleet under fire run, all variants of them, and show what their descriptions say."""

from functools import cache

import pytest

from sim.report import summarise
from sim.run import simulate
from sim.scenario.load import load
from sim.shipped import shipped_scenario

SUSTAINABLE_PER_S = 28.24 / 3
"""Requests/s of one DeepSeek-LLM-67B replica on four H100s with the lengths of these scenarios (docs/resilience.md)."""
NAMES = ("spot-mix", "three-node-failure", "retry-storm", "black-friday", "zone-loss", "fleet-day")
VARIANTS = [(name, variant) for name in NAMES for variant in (None, *load(shipped_scenario(name)).variants)]


@cache
def report(name: str, variant: str | None = None, num_prompts: int | None = None):
    """Summary of one replication."""
    sets = ["run.replications=1", *([f"workload.num_prompts={num_prompts}"] if num_prompts else [])]
    return summarise(simulate(load(shipped_scenario(name), sets, variant), progress=lambda *_: None))


def value(name: str, key: str, variant: str | None = None, **more):
    return report(name, variant, **more)[key].mean


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_every_variant_runs(name, variant):
    assert value(name, "completed", variant, num_prompts=200) == 200


@pytest.mark.parametrize(
    ("name", "replicas", "rate", "percent"),
    [
        ("spot-mix", 6, 20, 35),
        ("three-node-failure", 6, 36.7, 65),
        ("three-node-failure", 4, 36.7, 97.5),
        ("retry-storm", 6, 36.7, 65),
        ("zone-loss", 12, 52, 46),
        ("zone-loss", 8, 52, 69),
    ],
)
def test_loads_are_those_of_the_descriptions(name, replicas, rate, percent):
    scenario = load(shipped_scenario(name)).scenario
    assert scenario.workload.arrivals.request_rate == rate
    assert f"{percent} %" in scenario.description
    assert 100 * rate / (replicas * SUSTAINABLE_PER_S) == pytest.approx(percent, abs=0.6)


def test_black_friday_is_three_times_its_trough():
    scenario = load(shipped_scenario("black-friday")).scenario
    arrivals = scenario.workload.arrivals
    peak = arrivals.mean_rate * arrivals.peak_to_mean
    trough = 2 * arrivals.mean_rate - peak
    assert peak / trough == 3
    assert f"({trough:g} and {peak:g} requests/s, mean {arrivals.mean_rate:g})" in scenario.description
    assert scenario.workload.num_prompts / arrivals.mean_rate == arrivals.period_s == 3600


def test_a_day_of_a_million_requests_on_forty_gpus():
    scenario = load(shipped_scenario("fleet-day")).scenario
    assert scenario.workload.num_prompts == 1_000_000
    assert 1_000_000 / scenario.workload.arrivals.mean_rate == pytest.approx(86_400, rel=1e-4)
    assert sum(pool.tensor_parallel_size * pool.replicas for pool in scenario.fleet) == 40


def test_spot_mix_costs_less_than_on_demand():
    """Six replicas of four GPUs, two of them or all at 7.6368 an hour, five on the spot market at 2.5067."""
    short = {"num_prompts": 2000}
    assert value("spot-mix", "usd_per_hour", "on-demand", **short) == pytest.approx(6 * 4 * 7.6368)
    assert value("spot-mix", "usd_per_hour", **short) == pytest.approx(4 * (2 * 7.6368 + 5 * 2.5067), rel=0.02)
    assert value("spot-mix", "availability", **short) == 1


def test_a_retry_storm_outlives_its_outage_unless_load_is_shed():
    storm, shed = (report("retry-storm", variant, 33_000) for variant in (None, "shedding"))
    assert (storm.recovery.incidents, storm.recovery.recovered) == (1, 0)
    assert (shed.recovery.incidents, shed.recovery.recovered) == (1, 1)
    assert storm["availability"].mean < 0.5 < shed["availability"].mean
