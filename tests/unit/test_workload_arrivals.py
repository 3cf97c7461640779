"""Arrival times against vLLM's own loop, queueing theory and numerically integrated rates."""

import math

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from sim.scenario.workload import ClosedLoop, Constant, Diurnal, Gamma, OnOff, Poisson, Ramp
from sim.workload.arrivals import arrival_times
from tests.unit.workload_cases import streams

N = 20_000


def seconds(arrivals, count=N, seed=0):
    times = arrival_times(arrivals, count, streams(seed))
    assert times.dtype == np.int64
    assert len(times) == count
    assert times[0] >= 0
    assert np.all(np.diff(times) >= 0)
    return times / 1e9


def assert_unit_exponential(gaps):
    assert stats.kstest(gaps, "expon").pvalue > 0.001


def test_poisson_gaps_are_exponential_with_the_rate():
    assert_unit_exponential(np.diff(seconds(Poisson(kind="poisson", request_rate=7.0)), prepend=0) * 7)


@pytest.mark.parametrize("burstiness", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("rate", [0.3, 25.0])
def test_gamma_is_the_loop_of_vllm_bench(burstiness, rate):
    """Re-derived from vllm/benchmarks/serve.py get_request: one gap at a time, cumulated, then normalised."""
    rng = streams(3)("arrivals")
    delays = [rng.gamma(shape=burstiness, scale=1.0 / (rate * burstiness)) for _ in range(500)]
    for i in range(1, 500):
        delays[i] += delays[i - 1]
    factor = 500 / rate / delays[-1]
    times = arrival_times(Gamma(kind="gamma", request_rate=rate, burstiness=burstiness), 500, streams(3))
    assert np.max(np.abs(times - np.array(delays) * factor * 1e9)) <= 1
    assert times[-1] == round(500 / rate * 1e9)


@pytest.mark.parametrize("burstiness", [0.25, 4.0])
def test_gamma_gaps_have_the_shape(burstiness):
    gaps = np.diff(seconds(Gamma(kind="gamma", request_rate=5.0, burstiness=burstiness)), prepend=0)
    assert stats.kstest(gaps, stats.gamma(burstiness, scale=1 / (5 * burstiness)).cdf).pvalue > 0.001


def test_gamma_so_bursty_that_every_gap_underflows_sends_all_at_once():
    times = arrival_times(Gamma(kind="gamma", request_rate=5.0, burstiness=1e-9), 10, streams())
    assert times.tolist() == [0] * 10


def test_constant_sends_one_a_gap_and_the_first_after_a_gap():
    assert arrival_times(Constant(kind="constant", request_rate=4.0), 3, streams()).tolist() == [
        250_000_000,
        500_000_000,
        750_000_000,
    ]


def test_closed_loop_sends_all_at_the_start():
    assert not arrival_times(ClosedLoop(kind="closed_loop", concurrency=3), 5, streams()).any()


def assert_poisson_of_rate(times, rate):
    """A Poisson process seen through its cumulative rate has unit exponential gaps; integrated here by trapezoids."""
    grid = np.linspace(0, times[-1], 2_000_001)
    values = rate(grid)
    steps = (values[1:] + values[:-1]) / 2 * np.diff(grid)
    mass = np.interp(times, grid, np.concatenate([[0], np.cumsum(steps)]))
    assert_unit_exponential(np.diff(mass, prepend=0))
    for part in (0.1, 0.5, 0.9):
        expected = mass[-1] * part
        sent = np.searchsorted(mass, expected)
        assert abs(sent - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize(("start", "end"), [(0.0, 20.0), (30.0, 1.0), (5.0, 5.0)])
def test_ramp_follows_the_integral_of_its_rate(start, end):
    ramp = Ramp(kind="ramp", start_rate=start, end_rate=end, duration_s=600.0)
    times = seconds(ramp)
    assert times[-1] > 600
    assert_poisson_of_rate(times, lambda t: np.where(t < 600, start + (end - start) * t / 600, end))


@pytest.mark.parametrize("peak_to_mean", [1.0, 1.5, 2.0])
def test_diurnal_follows_the_integral_of_its_rate(peak_to_mean):
    day = Diurnal(kind="diurnal", mean_rate=2.0, peak_to_mean=peak_to_mean, period_s=3000.0, peak_at_s=700.0)
    assert_poisson_of_rate(seconds(day), lambda t: 2 * (1 + (peak_to_mean - 1) * np.cos(2 * np.pi * (t - 700) / 3000)))


def test_diurnal_peaks_where_it_should():
    day = Diurnal(kind="diurnal", mean_rate=2.0, peak_to_mean=2.0)
    hours = np.histogram(seconds(day, 500_000) % 86400, bins=24, range=(0, 86400))[0]
    assert hours.argmax() in (13, 14)  # the peak is at 14:00
    assert hours.argmin() in (1, 2)


def test_on_off_has_the_mean_and_the_dispersion_of_an_interrupted_poisson_process():
    """Index of dispersion after Heffes & Lucantoni (1986), with its finite-time correction."""
    bursts = OnOff(kind="on_off", on_rate=20.0, off_rate=1.0, mean_on_s=2.0, mean_off_s=6.0)
    times = seconds(bursts, 1_000_000)
    leave_on, leave_off = 1 / 2, 1 / 6
    mean = (20 * 2 + 1 * 6) / 8
    turn = leave_on + leave_off
    excess = 2 * (20 - 1) ** 2 * leave_on * leave_off / (turn**2 * (20 * leave_off + 1 * leave_on))
    assert times[-1] == pytest.approx(1_000_000 / mean, rel=4 * math.sqrt((1 + excess) / 1_000_000))
    window = 200.0
    counts = np.bincount((times // window).astype(int))[:-1]
    expected = 1 + excess * (1 - (1 - math.exp(-turn * window)) / (turn * window))
    assert counts.var() / counts.mean() == pytest.approx(expected, rel=4 * math.sqrt(2 / len(counts)))


def test_on_off_is_silent_while_off():
    bursts = OnOff(kind="on_off", on_rate=1000.0, mean_on_s=1.0, mean_off_s=100.0)
    gaps = np.diff(seconds(bursts, 200_000))
    pauses = gaps[gaps > 0.05]  # P(gap > 0.05 | on) = e^-50
    assert pauses.mean() == pytest.approx(100, rel=4 / math.sqrt(len(pauses)))
    assert len(pauses) == pytest.approx(200, abs=4 * math.sqrt(200))


@pytest.mark.parametrize(
    "arrivals",
    [
        Poisson(kind="poisson", request_rate=1e-9),
        Gamma(kind="gamma", request_rate=1e-9, burstiness=1.0),
        Constant(kind="constant", request_rate=1e-9),
        Ramp(kind="ramp", start_rate=0, end_rate=1e-9, duration_s=1e12),
        Diurnal(kind="diurnal", mean_rate=1e-9, period_s=1e-9),
        OnOff(kind="on_off", on_rate=1.0, mean_on_s=1e-9, mean_off_s=1e-9),
        OnOff(kind="on_off", on_rate=1e-9, mean_on_s=1e12, mean_off_s=1e12),
    ],
)
def test_times_beyond_the_clock_are_one_sentence(arrivals):
    with pytest.raises(InputError, match=r"^workload\.arrivals: [^\n]*expected at most"):
        arrival_times(arrivals, 100, streams())
