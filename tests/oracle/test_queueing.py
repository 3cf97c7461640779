"""The engine, made to degenerate, against queueing theory.

Seeds are fixed and were chosen once. A right simulator would fail a 95 % interval once in twenty, so single cases are
held to 99.9 % intervals that must also be narrow; that the 95 % intervals of sim.stats cover as they promise is a
test of its own.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from sim.stats import Interval, t_interval
from sim.streams import stream
from tests.oracle import queueing as theory
from tests.oracle.queueing_cases import CASES, LONG_CASES, TOKENS, Case, Rng
from tests.oracle.station import SECOND, Served, Station, cost, limits, requests, serve

REPLICATIONS = 20
WIDER = stats.t.ppf(0.9995, REPLICATIONS - 1) / stats.t.ppf(0.975, REPLICATIONS - 1)
"""Of a 99.9 % interval against the 95 % one."""


def replicate(case: Case, seed: int, n: int) -> dict[str, Interval]:
    """95 % intervals of all claims of a case, from n counted requests a replication."""
    values: dict[str, list[float]] = {claim.name: [] for claim in case.claims}
    for index in range(REPLICATIONS):
        rng = stream(seed, index, case.name)
        run = serve(case.station, case.station.draw(rng, case.warm + n))
        for claim in case.claims:
            values[claim.name].append(claim.of(run, case.warm))
    return {name: t_interval(series) for name, series in values.items()}


def check(case: Case, n: int, narrower: float) -> None:
    found = replicate(case, 1, n)
    for claim in case.claims:
        mean = found[claim.name].mean
        half = found[claim.name].half_width * WIDER
        assert mean - half <= claim.high, f"{claim.name}: {mean} +- {half}, theory {claim.low} to {claim.high}"
        assert mean + half >= claim.low, f"{claim.name}: {mean} +- {half}, theory {claim.low} to {claim.high}"
        assert half <= claim.precision * claim.low * narrower, f"{claim.name}: {half} says little about {claim.low}"


def name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=name)
def test_theory(case):
    check(case, case.n, 1.0)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES, ids=name)
def test_theory_with_ten_times_the_requests(case):
    check(case, 10 * case.n, 0.45)


@pytest.mark.full
@pytest.mark.parametrize("case", LONG_CASES, ids=name)
def test_theory_close_to_saturation(case):
    check(case, case.n, 1.0)


def coverage(case: Case, seeds: int, n: int) -> float:
    """Share of seeds whose 95 % interval contains the first claim of a case."""
    claim = case.claims[0]
    covered = 0
    for seed in range(seeds):
        found = replicate(case, 1000 + seed, n)[claim.name]
        covered += found.low <= claim.low <= found.high
    return covered / seeds


EXACT = [case for case in CASES if case.claims[0].low == case.claims[0].high]
DAILY = {"M/U/1 .65": 300, "M/M/3 0.65": 200, "M/D(b)/1 take all, 2": 300}
"""The subset of every day, with requests counted in a replication."""


def test_the_subset_of_every_day_exists():
    assert {case.name for case in EXACT} >= set(DAILY)


@pytest.mark.parametrize("case", [case for case in EXACT if case.name in DAILY], ids=name)
def test_intervals_cover_as_they_promise(case):
    """P(90 <= Binomial(100, .95) <= 99) = 0.98."""
    assert 0.90 <= coverage(case, 100, DAILY[case.name]) <= 0.99


@pytest.mark.full
@pytest.mark.parametrize("case", EXACT, ids=name)
def test_intervals_of_every_case_cover_as_they_promise(case):
    """P(Binomial(100, .95) < 88) = 0.002: of two dozen cases none should.

    A replication is 24 relaxation times long. With 7 of them at rho = .9 its mean is so skewed that the intervals
    covered 91 %, missing on the low side.
    """
    assert coverage(case, 100, max(4 * case.warm, 1000)) >= 0.88


@cache
def closed_network(customers: int, think: float, turns: int, replication: int) -> tuple[Served, np.ndarray]:
    """Sessions that never end: one exponential server, exponential pauses. Returns the run and sessions[requests]."""

    def draw(rng: Rng, n: int):
        session = np.arange(n) % customers
        pause = rng.exponential(think * SECOND, n)
        prompt = np.maximum(np.rint(rng.exponential(TOKENS, n)), 1)
        first = session == np.arange(n)
        return requests(np.where(first, 0, pause), prompt, after=np.where(first, -1, np.arange(n) - customers).tolist())

    ns = np.arange(30 * TOKENS + 1) * (SECOND // TOKENS)
    station = Station(limits(1, max_num_batched_tokens=30 * TOKENS), cost(ns[:2], ns), draw)
    rng = stream(1, replication, f"closed {customers}")
    return serve(station, draw(rng, customers * turns)), np.arange(customers * turns) % customers


@pytest.mark.parametrize("customers", [1, 4, 12])
def test_closed_network(customers):
    """N sessions, one server: R and X as mean value analysis has them, R = N / X - Z, and the asymptotic bounds."""
    think = 5.0
    response, throughput = theory.machine_repair(customers, think)
    found: dict[str, list[float]] = {"response": [], "throughput": [], "identity": []}
    for index in range(REPLICATIONS):
        run, session = closed_network(customers, think, 5000 // customers, index)
        last = min(run.ended[session == one].max() for one in range(customers))  # all sessions are alive until then
        start = last / 10
        inside = (run.ended > start) & (run.ended <= last)
        rate = inside.sum() / (last - start)
        mean = run.latency[inside].mean()
        found["response"].append(mean)
        found["throughput"].append(rate)
        found["identity"].append(mean + think - customers / rate)
    r, x, rest = (t_interval(found[key]) for key in ("response", "throughput", "identity"))
    assert abs(r.mean - response) <= r.half_width * WIDER <= 0.08 * response
    assert abs(x.mean - throughput) <= x.half_width * WIDER <= 0.04 * throughput
    assert abs(rest.mean) <= rest.half_width * WIDER <= 0.08 * customers / throughput
    assert x.mean - x.half_width * WIDER <= min(customers / (1 + think), 1.0)
