"""Textbook queues: how the engine becomes each, and what theory says of it. A mean service takes one second.

Where the engine is only near the theory the bracket says how near; everywhere else low == high.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.request import Requests
from tests.oracle import queueing as theory
from tests.oracle.station import SECOND, Served, Station, cost, limits, requests

Rng = np.random.Generator
TOKENS = 1000
"""Prompt tokens of a mean service: rounding to whole tokens changes E[S^2] by less than 1e-6."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A quantity of one replication, and the bracket of its exact expectation."""

    name: str
    of: Callable[[Served, int], float]
    """Of a run, without the requests before an index."""
    low: float
    high: float
    precision: float
    """A 99.9 % interval over 20 replications must be narrower than this share of the value, to either side."""


@dataclass(frozen=True, slots=True)
class Case:
    """A queue and what is known of it."""

    name: str
    station: Station
    warm: int
    """Requests that a replication leaves out: several relaxation times."""
    n: int
    """Requests that it counts."""
    claims: tuple[Claim, ...]


def _claim(name: str, of: Callable[[Served, int], float], value: float, precision: float, slack: float = 0.0) -> Claim:
    return Claim(name, of, value, value + slack, precision)


def wait(value: float, precision: float, slack: float = 0.0) -> Claim:
    return _claim("mean wait", lambda run, warm: float(run.wait[warm:].mean()), value, precision, slack)


def latency(value: float, precision: float) -> Claim:
    return _claim("mean latency", lambda run, warm: float(run.latency[warm:].mean()), value, precision)


def beyond(t: float, value: float, precision: float) -> Claim:
    """The share of waits above t. (A sample P99 is biased in a short run; the share above the true P99 is not.)"""
    return _claim(f"P(wait > {t:g})", lambda run, warm: float((run.wait[warm:] > t).mean()), value, precision)


def lost(value: float, precision: float, slack: float = 0.0) -> Claim:
    return _claim("loss", lambda run, warm: float(run.lost[warm:].mean()), value, precision, slack)


def poisson(rng: Rng, rate: float, n: int) -> NDArray[np.float64]:
    """Arrival times, ns."""
    return rng.exponential(SECOND / rate, n).cumsum()


def exponential(rng: Rng, n: int) -> NDArray[np.float64]:
    return rng.exponential(1.0, n)


def constant(_: Rng, n: int) -> NDArray[np.float64]:
    return np.ones(n)


def hyperexponential(rng: Rng, n: int) -> NDArray[np.float64]:
    """SCV 4, balanced means."""
    quick = (1 + np.sqrt(0.6)) / 2
    return rng.exponential(1.0, n) / (2 * np.where(rng.random(n) < quick, quick, 1 - quick))


def uniform(rng: Rng, n: int) -> NDArray[np.float64]:
    """Proportional to integers from 128 to 2,048; their SCV is 2e-4 above that of the continuous law."""
    return rng.integers(128, 2049, n) / 1088


def single(rho: float, service: Callable[[Rng, int], NDArray[np.float64]], room: int | None = None) -> Station:
    """M/G/1: one seat; a service is one step, as long as its prompt."""

    def draw(rng: Rng, n: int) -> Requests:
        return requests(poisson(rng, rho, n), np.maximum(np.rint(service(rng, n) * TOKENS), 1))

    longest = 100 * TOKENS
    ns = np.arange(longest + 1) * (SECOND // TOKENS)
    return Station(limits(1, max_num_batched_tokens=longest), cost(ns[:2], ns), draw, room)


Lengths = Callable[[Rng, int, int], NDArray[np.integer]]


def fixed(_: Rng, n: int, steps: int) -> NDArray[np.integer]:
    return np.full(n, steps)


def geometric(rng: Rng, n: int, steps: int) -> NDArray[np.integer]:
    return rng.geometric(1 / steps, n)


def two_point(rng: Rng, n: int, steps: int) -> NDArray[np.integer]:
    """Half the mean, or with probability 1/7 four times the mean: SCV 1.5."""
    return np.where(rng.random(n) < 1 / 7, 4 * steps, steps // 2)


def stepped(
    seats: int, load: float, lengths: Lengths, steps: int, step_ns: NDArray[np.int64] | None = None, **others: int
) -> Station:
    """M/G/c: c seats, a service is as many steps as tokens, `steps` on average; step times by requests in the step."""

    def draw(rng: Rng, n: int) -> Requests:
        return requests(poisson(rng, load, n), output=lengths(rng, n, steps))

    constant_step = np.full(seats + 1, SECOND // steps)
    return Station(limits(seats), cost(constant_step if step_ns is None else step_ns), draw, **others)


def batches(rate: float, service: Callable[[int], float], seats: int = 400) -> Station:
    """M/D(b)/1: requests of one step; their two prompt tokens make the step's time depend on the batch."""

    def draw(rng: Rng, n: int) -> Requests:
        return requests(poisson(rng, rate, n), 2)

    ns = [round(service(tokens // 2) * SECOND) for tokens in range(2 * seats + 1)]
    return Station(limits(seats, max_num_batched_tokens=2 * seats), cost([0, 0], ns), draw)


def _warm(rho: float, scv: float = 1.0) -> int:
    return round(6 * theory.relaxation(rho, scv))


def _mm1() -> Case:
    claims = (
        wait(4.0, 0.1),
        beyond(21.910, 0.01, 0.8),
        _claim("P(latency > 23.026)", lambda run, warm: float((run.latency[warm:] > 23.026).mean()), 0.01, 0.8),
        _claim("utilisation", lambda run, _: run.busy, 0.8, 0.02),
    )
    return Case("M/M/1 .8", single(0.8, exponential), _warm(0.8), 15_000, claims)


def _mg1(name: str, rho: float, service: Callable[[Rng, int], NDArray[np.float64]], scv: float, n: int) -> Case:
    exact = theory.pollaczek_khinchine(rho, scv)
    return Case(name, single(rho, service), _warm(rho, scv), n, (wait(exact, 0.12),))


def _mmc(servers: int, rho: float, steps: int, n: int, precision: float, *, p99: bool = False) -> Case:
    """The engine is exactly the stepped queue; that lies within 2 % of M/M/c (see test_queueing_formulas)."""
    exact = theory.SteppedMMc(servers, rho, steps)
    claims = [wait(exact.wait, precision)]
    if p99:
        boundaries = round(theory.mmc_wait_percentile(servers, rho, 99) * steps)
        t = (boundaries + 1e-6) / steps  # a wait of exactly so many steps is not above them, whatever the rounding
        claims.append(beyond(t, exact.wait_tail(boundaries), 0.9))
    station = stepped(servers, rho * servers, geometric, steps)
    return Case(f"M/M/{servers} {rho:g}", station, _warm(rho), n, tuple(claims))


def _mdc(servers: int, rho: float, steps: int, n: int) -> Case:
    """Bracketed by a step.

    Seats act at boundaries: the engine is a FIFO queue of c servers whose arrivals are put off by less than a step,
    to the next boundary. FIFO start times rise with arrival times, and by a step if all arrivals do.
    """
    claims = (wait(theory.mdc_wait(servers, rho), 0.2, 1 / steps),)
    return Case(f"M/D/{servers} {rho:g}", stepped(servers, rho * servers, fixed, steps), _warm(rho), n, claims)


def affine(batch: int) -> float:
    return 0.1 * batch + 1


def _batch(name: str, rate: float, service: Callable[[int], float], most: int | None = None) -> Case:
    mean, batch = theory.batch_service(rate, service, most)
    claims = (latency(mean, 0.03), _claim("mean batch", lambda run, _: run.batch, batch, 0.03))
    station = batches(rate, service) if most is None else batches(rate, service, most)
    return Case(f"M/D(b)/1 {name}", station, 200, 5000, claims)


def _infinite(name: str, lengths: Lengths) -> Case:
    """M/G/infinity with a mean of 20 in service; seats for 100 never fill, and the engine is never idle.

    Who arrives during a step is seated at its end: Poisson numbers each step, so those in service are exactly Poisson.
    """
    mean = 20.0

    def spread(run: Served, warm: int) -> float:
        return float(((run.running(warm) - mean) ** 2).mean())

    def few(run: Served, warm: int) -> float:
        return float((run.running(warm) <= 15).mean())

    claims = (
        _claim("mean in service", lambda run, warm: float(run.running(warm).mean()), mean, 0.03),
        _claim("variance in service", spread, mean, 0.1),
        _claim("P(in service <= 15)", few, float(theory.stats.poisson.cdf(15, mean)), 0.2),
    )
    return Case(f"M/G/inf {name}", stepped(100, mean, lengths, 10), 200, 10_000, claims)


ROUNDS = 50
"""Mean output tokens of a request under processor sharing."""


def _sharing(name: str, lengths: Lengths, pmf: NDArray[np.float64]) -> Case:
    """Rounds of one token for each request, b requests taking b tokens' time; within 1 % of M/G/1-PS."""
    seats = 100
    token_ns = np.arange(seats + 1) * (SECOND // ROUNDS)
    claims = (latency(theory.gated_processor_sharing(0.65, pmf), 0.12),)
    return Case(f"M/G/1-PS {name}", stepped(seats, 0.65, lengths, ROUNDS, token_ns), _warm(0.65, 1.5), 6000, claims)


def pmf_fixed(steps: int) -> NDArray[np.float64]:
    return np.eye(steps + 1)[steps]


def pmf_geometric(steps: int) -> NDArray[np.float64]:
    lengths = np.arange(35 * steps)
    return np.where(lengths > 0, (1 - 1 / steps) ** (lengths - 1.0) / steps, 0.0)


def pmf_two_point(steps: int) -> NDArray[np.float64]:
    return np.eye(4 * steps + 1)[steps // 2] * 6 / 7 + np.eye(4 * steps + 1)[4 * steps] / 7


def _no_queue(name: str, lengths: Lengths) -> Case:
    """M/G/4/4. A service takes up to one step more, the rest of the step at which it arrives: so the bracket."""
    steps = 50
    low, high = theory.erlang_b(4, 3.0), theory.erlang_b(4, 3.0 * (1 + 1 / steps))
    station = stepped(4, 3.0, lengths, steps, room=4)
    return Case(f"M/G/4/4 {name}", station, 500, 10_000, (lost(low, 0.04, high - low),))


def _room(rho: float, room: int) -> Case:
    exact = theory.mm1k_loss(rho, room)
    return Case(f"M/M/1/{room} {rho:g}", single(rho, exponential, room), 200, 10_000, (lost(exact, 0.08),))


CASES = (
    _mm1(),
    _mg1("M/D/1 .8", 0.8, constant, 0.0, 8000),
    _mg1("M/H2/1 .8", 0.8, hyperexponential, 4.0, 20_000),
    _mg1("M/U/1 .65", 0.65, uniform, 0.259516, 5000),
    _mg1("M/U/1 .8", 0.8, uniform, 0.259516, 10_000),
    _mmc(3, 0.65, 50, 8000, 0.12, p99=True),
    _mmc(4, 0.8, 20, 15_000, 0.12, p99=True),
    _mmc(8, 0.9, 20, 25_000, 0.2),
    _mmc(16, 0.9, 50, 20_000, 0.2),
    _mdc(2, 0.8, 100, 8000),
    _mdc(3, 0.65, 200, 5000),
    _mdc(4, 0.8, 200, 8000),
    _mdc(8, 0.9, 200, 10_000),
    _batch("take all, .5", 0.5, affine),
    _batch("take all, 2", 2.0, affine),
    _batch("take all, 5", 5.0, affine),
    _batch("at most 8, 2", 2.0, affine, 8),
    _batch("constant, 1", 1.0, lambda _: 1.0),
    _infinite("fixed", fixed),
    _infinite("geometric", geometric),
    _infinite("two lengths", two_point),
    _sharing("fixed", fixed, pmf_fixed(ROUNDS)),
    _sharing("geometric", geometric, pmf_geometric(ROUNDS)),
    _sharing("two lengths", two_point, pmf_two_point(ROUNDS)),
    _no_queue("fixed", fixed),
    _no_queue("geometric", geometric),
    _room(0.8, 5),
    _room(1.5, 3),
)

LONG_CASES = (_mmc(2, 0.975, 50, 40_000, 0.4),)
"""Too slow to settle for every day: six relaxation times are 37,000 requests."""
