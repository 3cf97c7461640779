"""The article's batchers against closed forms (claims C9, C10, C16 to C20).

The engine is instantaneous (1 ns a step) wherever only the queue is asked about. Tolerances are 99.9 % normal
intervals of the estimates, from their theoretical variances where these are known.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sim.engine.batching import Batching, Static, Timer, TwoLevel, equally_wide
from sim.engine.padded import PaddedEngines
from sim.kernel.layout import FINISHED, GONE
from sim.streams import stream
from tests.oracle import queueing as theory
from tests.oracle.station import SECOND, cost, limits, requests

MS = 10**6
SIGMA = stats.norm.ppf(0.9995)


@dataclass(frozen=True, slots=True)
class Batches:
    """What became of the requests; times in seconds."""

    engine: PaddedEngines
    arrival: NDArray[np.float64]
    start: NDArray[np.float64]
    """Negative if never."""
    end: NDArray[np.float64]

    @property
    def wait(self) -> NDArray[np.float64]:
        return (self.start - self.arrival)[self.start >= 0]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.unique(self.start[self.start >= 0], return_counts=True)[1]

    @property
    def lost(self) -> float:
        """Share of requests that were forgotten."""
        rows = self.engine.rows
        assert np.isin(rows["status"], (FINISHED, GONE)).all()
        return float((rows["status"] == GONE).mean())


def poisson(rng: np.random.Generator, rate: float, count: int) -> NDArray[np.int64]:
    return np.cumsum(rng.exponential(SECOND / rate, count)).astype(np.int64)


def serve(
    policy: Batching, arrival_ns: NDArray[np.int64], prompt: object = 2, seats: int = 4000, mixed_ns: object = None
) -> Batches:
    """Serve prompts with answers of one token; a step takes 1 ns unless mixed_ns (by tokens) says otherwise."""
    drawn = requests(arrival_ns, prompt)
    longest = int(drawn.prompt_tokens.max())
    budget = seats * longest if mixed_ns is None else len(np.asarray(mixed_ns)) - 1
    step = cost(np.ones(seats + 1), np.ones(budget + 1) if mixed_ns is None else mixed_ns)
    weights = [np.zeros(budget + 1)]
    kind = limits(seats, max_num_batched_tokens=budget)
    engine = PaddedEngines([kind], [0], [step], weights, drawn, np.zeros(len(drawn), np.int32), [policy])
    for row, at in enumerate(arrival_ns.tolist()):
        while engine.advance(at) is not None:
            pass
        engine.enqueue(0, row, at, watched=False)
    while engine.advance(2**62 - 1) is not None:
        pass
    rows = engine.rows
    return Batches(engine, arrival_ns / SECOND, rows["first_scheduled_ns"] / SECOND, rows["last_token_ns"] / SECOND)


@pytest.mark.parametrize(("rate", "wait_ms"), [(20.0, 50), (400.0, 5), (2000.0, 5), (30.0, 200)])
def test_timer_batches_are_one_more_than_poisson(rate: float, wait_ms: int) -> None:
    mean, count = rate * wait_ms / 1e3, 5000
    run = serve(Timer(wait_ms * MS), poisson(stream(1, 0, "timer"), rate, count))
    sizes = run.sizes[:-1] - 1  # the traffic ends in the last one
    assert sizes.mean() == pytest.approx(mean, abs=SIGMA * (mean / len(sizes)) ** 0.5)
    assert sizes.var() == pytest.approx(mean, abs=SIGMA * mean * (2 / len(sizes) + 1 / mean / len(sizes)) ** 0.5)
    common = int(stats.poisson.ppf(0.999, mean))
    share = stats.poisson.cdf(np.arange(common), mean)
    empirical = np.searchsorted(np.sort(sizes), np.arange(common), side="right") / len(sizes)
    assert np.abs(empirical - share).max() < 1.95 / len(sizes) ** 0.5  # Kolmogorov, 99.9 %
    firsts = np.unique(run.start, return_index=True)[1]
    np.testing.assert_array_equal(np.rint((run.start - run.arrival)[firsts] * SECOND), wait_ms * MS)
    expected = wait_ms / 1e3 * (1 + mean / 2) / (1 + mean)  # T for the first, T/2 on average for the others
    assert run.wait.mean() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("rate", "size", "wait_ms"), [(50.0, 4, 100), (200.0, 32, 100), (1000.0, 32, 100)])
def test_static_waits_until_filled_or_timed_out(rate: float, size: int, wait_ms: int) -> None:
    """The first request of a batch waits for min(T, the arrival of size - 1 more): an Erlang time, cut off at T."""
    run = serve(Static(size, wait_ms * MS), poisson(stream(2, 0, "static"), rate, 5000))
    most = wait_ms / 1e3
    erlang = stats.gamma(size - 1, scale=1 / rate)
    exact = erlang.expect(lambda t: t, lb=0, ub=most) + most * erlang.sf(most)
    firsts = np.unique(run.start, return_index=True)[1][:-1]
    waits = (run.start - run.arrival)[firsts]
    assert waits.mean() == pytest.approx(exact, abs=SIGMA * waits.std() / len(waits) ** 0.5 + 1e-8)
    assert waits.max() <= most + 1e-8
    assert run.sizes.max() <= size


def verbatim(groups: int, shortest: int = 128, longest: int = 2048) -> TwoLevel:
    """The pseudo-code alone: 5 ms, 32, 70 %, no tick."""
    return TwoLevel(32, 5 * MS, 0.7, None, equally_wide(groups, shortest, longest), None)


def loss(rate: float, groups: int) -> float:
    """Share that the pseudo-code forgets: of groups of fewer than 22.4; the first request is in one of them."""
    mean = rate * 0.005 / groups
    few = np.arange(23)
    other = float((few * stats.poisson.pmf(few, mean)).sum())
    first = float(((few[:22] + 1) * stats.poisson.pmf(few[:22], mean)).sum())
    return (first + (groups - 1) * other) / (1 + rate * 0.005)


# claims.md, C19/C20: computed there from the pseudo-code, independently of this simulator
LOSS = [(1e6 / 86_400, 1, 1.0), (100, 1, 1.0), (1000, 1, 1.0), (2000, 1, 0.9987), (4000, 1, 0.56), (4150, 1, 0.50),
        (5000, 1, 0.19), (10_000, 1, 0.0), (10_000, 4, 0.988), (8500, 2, 0.5), (17_000, 4, 0.5),
        (34_000, 8, 0.5)]  # fmt: skip


@pytest.mark.parametrize(("rate", "groups", "published"), LOSS)
def test_what_the_pseudo_code_forgets(rate: float, groups: int, published: float) -> None:
    exact = loss(rate, groups)
    assert exact == pytest.approx(published, abs=0.03)  # the last three are given as "about"
    rng = stream(3, 0, f"loss {rate} {groups}")
    count = 10_000 if rate > 1000 else 1000
    prompts = rng.integers(128, 2049, count)
    run = serve(verbatim(groups), poisson(rng, rate, count), prompts)
    flushes = count / (1 + rate * 0.005)
    assert run.lost == pytest.approx(exact, abs=SIGMA * 0.6 / flushes**0.5 if 1e-4 < exact < 1 - 1e-9 else 1e-3)


def test_the_pseudo_code_never_enforces_its_cap() -> None:
    run = serve(verbatim(1), poisson(stream(4, 0, "cap"), 10_000, 10_000))
    sizes = run.sizes
    assert sizes.mean() == pytest.approx(51, abs=SIGMA * (50 / len(sizes)) ** 0.5)
    assert sizes.max() > 2 * 32


def repaired(groups: int, fill: float = 0.7, tick: int | None = 100 * MS) -> TwoLevel:
    return TwoLevel(32, 5 * MS, fill, tick, equally_wide(groups, 128, 2048), 100 * MS)


@pytest.mark.parametrize("rate", [11.6, 300.0, 3000.0])
@pytest.mark.parametrize("groups", [1, 4])
def test_repaired_it_loses_nobody_and_keeps_its_cap(rate: float, groups: int) -> None:
    rng = stream(5, 0, f"repaired {rate} {groups}")
    count = 300 if rate < 100 else 3000
    run = serve(repaired(groups), poisson(rng, rate, count), rng.integers(128, 2049, count))
    assert run.lost == 0
    assert run.sizes.sum() == count
    assert run.engine.state.replicas[0]["peak_running"] <= 32
    assert run.wait.max() <= 0.1 + 0.005 + 0.1 + 1e-3  # longest wait, the timer that notices it, the tick


def test_the_global_tick_adds_a_uniform_wait() -> None:
    """U(0, 100) ms: mean 50, P99 99 (C17). Every flush here is a batch, 5 ms after its only request."""
    run = serve(repaired(1, fill=0.0), poisson(stream(6, 0, "tick"), 2.0, 1500))
    added = run.wait - 0.005
    assert added.mean() == pytest.approx(0.05, abs=SIGMA * 0.1 / 12**0.5 / len(added) ** 0.5)
    assert np.percentile(added, 99) == pytest.approx(0.099, abs=0.0015)
    assert stats.kstest(added / 0.1, "uniform").pvalue > 0.001


def test_short_prompts_go_first() -> None:
    """At a tick, groups run in the order of length, whatever the order of arrival."""
    arrival = np.arange(1, 7) * 1000
    run = serve(TwoLevel(2, MS, 0.5, 10 * MS, (100, 500), None), arrival, [900, 50, 300, 60, 800, 400])
    assert np.argsort(run.start, kind="stable").tolist() == [1, 3, 2, 5, 0, 4]


def test_padding_of_32_uniform_prompts() -> None:
    """1 - 1088 / E max of 32 from U(128, 2048) = 45.3 % (claims.md, C8 and C10)."""
    tokens = np.arange(128, 2049)
    shares = ((tokens - 127) / 1921) ** 32 - ((tokens - 128) / 1921) ** 32
    exact = 1 - 1088 / float(tokens @ shares)
    assert exact == pytest.approx(0.453, abs=0.0005)
    prompts = stream(7, 0, "padding").integers(128, 2049, 32 * 400)
    run = serve(Static(32, 10**15), np.zeros(len(prompts), np.int64), prompts, seats=32)
    padded, useful = int(run.engine.padded["prefill_tokens"][0]), int(run.engine.state.replicas[0]["prefill_tokens"])
    assert useful == prompts.sum()
    assert padded / (padded + useful) == pytest.approx(exact, abs=0.008)  # 99.9 % for so many prompts


@pytest.mark.parametrize(
    ("rate", "most", "latency", "batch"),
    [(0.5, 300, 1.40191, 1.1298), (2.0, 300, 1.96613, 2.6047), (5.0, 300, 3.16664, 10.0003), (2.0, 8, 1.96684, None)],
)
def test_static_batching_without_a_wait_is_batch_service(
    rate: float, most: int, latency: float, batch: float | None
) -> None:
    """M/D(b)/1 with D(b) = 0.1 b + 1 (claims.md, section 5; arXiv:1912.06322)."""
    exact = theory.batch_service(rate, lambda b: 0.1 * b + 1, None if most == 300 else most)
    assert exact[0] == pytest.approx(latency, abs=2e-5)
    mixed = [0, *(round((0.1 * tokens / 2 + 1) * SECOND) for tokens in range(1, 2 * most + 1))]
    means, sizes = [], []
    for index in range(8):
        run = serve(Static(most, 0), poisson(stream(8, index, f"service {rate}"), rate, 3000), 2, most, mixed)
        means.append((run.end - run.arrival)[200:].mean())
        sizes.append(run.sizes.mean())
    half = SIGMA * np.std(means, ddof=1) / 8**0.5
    assert np.mean(means) == pytest.approx(latency, abs=1.65 * half)  # t with 7 degrees of freedom
    assert half < 0.04 * latency
    if batch is not None:
        assert np.mean(sizes) == pytest.approx(batch, rel=0.04)
