"""Durations: moments and quantiles against scipy's closed forms."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from sim.fleet.durations import sample_ns, sampler
from sim.scenario.duration import Duration
from sim.streams import stream

NS = 1e9
RANDOM = {
    "exponential": ({"kind": "exponential", "mean_s": 40.0}, stats.expon(scale=40.0)),
    "lognormal": ({"kind": "lognormal", "median_s": 90.0, "sigma": 0.3}, stats.lognorm(0.3, scale=90.0)),
    "uniform": ({"kind": "uniform", "low_s": 5.0, "high_s": 25.0}, stats.uniform(5.0, 20.0)),
}


def duration(block):
    return TypeAdapter(Duration).validate_python(block)


def draws(block, count=20_000, name="boot"):
    draw = sampler(duration(block), stream(7, 0, name))
    return [draw() for _ in range(count)]


@pytest.mark.parametrize("kind", RANDOM)
def test_draws_follow_their_distribution(kind):
    block, law = RANDOM[kind]
    drawn = np.array(draws(block)) / NS
    assert stats.kstest(drawn, law.cdf).pvalue > 0.001
    error = law.std() / np.sqrt(len(drawn))
    assert drawn.mean() == pytest.approx(law.mean(), abs=4 * error)
    for share in (0.05, 0.5, 0.95):
        # a sample quantile's standard error is sqrt(p (1 - p) / n) / density
        error = np.sqrt(share * (1 - share) / len(drawn)) / law.pdf(law.ppf(share))
        assert np.quantile(drawn, share) == pytest.approx(law.ppf(share), abs=4 * error)


def test_the_lognormal_says_what_its_sigma_means():
    block, _ = RANDOM["lognormal"]
    drawn = np.array(draws(block)) / NS
    inside = np.mean((drawn > 90 / 1.8) & (drawn < 90 * 1.8))
    assert inside == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(
    ("block", "ns"),
    [
        ({"kind": "fixed", "s": 0.0}, 0),
        ({"kind": "fixed", "s": 1.5e-9}, 2),
        ({"kind": "fixed", "s": 300.0}, 300_000_000_000),
        ({"kind": "uniform", "low_s": 3.0, "high_s": 3.0}, 3_000_000_000),
        ({"kind": "lognormal", "median_s": 8.0, "sigma": 0.0}, 8_000_000_000),
    ],
)
def test_without_spread_every_draw_is_the_same(block, ns):
    assert draws(block, 3) == pytest.approx([ns] * 3, rel=1e-15)


def test_a_fixed_duration_leaves_the_generator_alone():
    rng, untouched = stream(1, 0, "boot"), stream(1, 0, "boot")
    sample_ns(duration({"kind": "fixed", "s": 2.0}), rng)
    assert rng.random() == untouched.random()


@pytest.mark.parametrize("kind", RANDOM)
def test_draws_are_whole_nanoseconds_and_repeat(kind):
    block, _ = RANDOM[kind]
    first = draws(block, 100)
    assert all(type(ns) is int and ns >= 0 for ns in first)
    assert first == draws(block, 100)
    assert first != draws(block, 100, name="image")


def test_the_shortest_mean_does_not_go_below_zero():
    assert min(draws({"kind": "exponential", "mean_s": 1e-9}, 1000)) == 0


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match=r"high_s \(2\) must not be below low_s \(3\)"):
        duration({"kind": "uniform", "low_s": 3.0, "high_s": 2.0})
