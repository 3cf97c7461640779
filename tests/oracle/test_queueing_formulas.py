"""The closed forms against published values, against each other, and in their limits."""

import numpy as np
import pytest

from tests.oracle import queueing as theory
from tests.oracle.queueing_cases import affine, pmf_fixed, pmf_geometric, pmf_two_point

# (servers, rho): Erlang B, Erlang C, mean wait, P99 of the wait; None where it was not tabulated
MMC = {
    (1, 0.8): (None, None, 4.0, 21.910),
    (3, 0.65): (0.203023, 0.421240, 0.401181, 3.5625),
    (4, 0.8): (None, 0.596432, 0.745541, 5.1105),
    (8, 0.9): (None, 0.701533, 0.876916, None),
    (16, 0.9): (None, 0.591343, 0.369590, None),
    (2, 0.975): (None, None, 19.2532, None),
}


@pytest.mark.parametrize(("servers", "rho"), MMC)
def test_mmc(servers, rho):
    blocked, waits, mean, p99 = MMC[servers, rho]
    if blocked:
        assert theory.erlang_b(servers, servers * rho) == pytest.approx(blocked, abs=6e-7)
    if waits:
        assert theory.erlang_c(servers, rho) == pytest.approx(waits, abs=6e-7)
    assert theory.mmc_wait(servers, rho) == pytest.approx(mean, rel=3e-6)
    if p99:
        assert theory.mmc_wait_percentile(servers, rho, 99) == pytest.approx(p99, abs=6e-4)
        assert theory.mmc_wait_tail(servers, rho, p99) == pytest.approx(0.01, rel=1e-3)


MDC = {(1, 0.8): 2.0, (2, 0.8): 0.903284, (3, 0.65): 0.212283, (4, 0.8): 0.386095, (8, 0.9): 0.449973}


@pytest.mark.parametrize(("servers", "rho"), MDC)
def test_mdc(servers, rho):
    assert theory.mdc_wait(servers, rho) == pytest.approx(MDC[servers, rho], abs=6e-7)


def test_mg1():
    assert [theory.pollaczek_khinchine(0.8, scv) for scv in (0, 1, 4)] == pytest.approx([2.0, 4.0, 10.0])
    lengths = np.linspace(128, 2048, 1_000_001)
    scv = lengths.var() / lengths.mean() ** 2
    assert scv == pytest.approx(0.259516, abs=1e-6)
    waits = [theory.pollaczek_khinchine(rho, scv) for rho in (0.65, 0.8)]
    assert waits == pytest.approx([1.16955, 2.51903], abs=1e-5)


BATCHES = {  # rate, service, at most: mean latency, mean batch
    (0.5, affine, None): (1.40191, 1.1298),
    (2.0, affine, None): (1.96613, 2.6047),
    (5.0, affine, None): (3.16664, 10.0003),
    (2.0, affine, 8): (1.96684, None),
    (1.0, lambda _: 1.0, None): (1.36553, 1.3679),
}


@pytest.mark.parametrize("setting", BATCHES)
def test_batch_service(setting):
    latency, batch = theory.batch_service(*setting)
    expected, mean_batch = BATCHES[setting]
    assert latency == pytest.approx(expected, abs=6e-6)
    assert mean_batch is None or batch == pytest.approx(mean_batch, abs=6e-5)


def test_batches_of_one_are_the_single_server():
    latency, batch = theory.batch_service(0.8, lambda _: 1.0, 1)
    assert latency == pytest.approx(1 + theory.pollaczek_khinchine(0.8, 0))
    assert batch == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("servers", "rho", "steps", "within"),
    [(3, 0.65, 50, 0.011), (4, 0.8, 20, 0.0071), (8, 0.9, 20, 0.0036), (16, 0.9, 50, 0.0172)],
)
def test_the_stepped_queue_is_near_mmc_and_comes_nearer(servers, rho, steps, within):
    """The settings with which the engine is held against it."""

    def error(steps):
        return abs(theory.SteppedMMc(servers, rho, steps).wait / theory.mmc_wait(servers, rho) - 1)

    assert error(steps) < within
    assert error(10 * steps) < error(steps) / 8
    fine = theory.SteppedMMc(servers, rho, 1000)
    p99 = theory.mmc_wait_percentile(servers, rho, 99)
    assert fine.wait_tail(round(1000 * p99)) == pytest.approx(0.01, rel=3e-3)


def test_the_stepped_queue_of_one_server_is_mg1():
    """With one seat boundaries are ends of services: M/G/1 with geometric services, SCV 1 - 1/steps."""
    exact = theory.pollaczek_khinchine(0.8, 1 - 1 / 10)
    assert theory.SteppedMMc(1, 0.8, 10).wait == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("pmf", [pmf_fixed, pmf_geometric, pmf_two_point])
def test_rounds_of_one_token_are_near_processor_sharing_whatever_the_lengths(pmf):
    ideal = 1 / (1 - 0.65)
    assert theory.gated_processor_sharing(0.65, pmf(50)) == pytest.approx(ideal, rel=0.0065)
    assert theory.gated_processor_sharing(0.65, pmf(100)) == pytest.approx(ideal, rel=0.0033)


def test_rounds_of_requests_of_one_token():
    """With every length 1 a round serves all who wait: batch service with D(b) = b."""
    latency, _ = theory.batch_service(0.65, float)
    assert theory.gated_processor_sharing(0.65, pmf_fixed(1)) == pytest.approx(latency, rel=1e-6)


def test_loss():
    birth_death = np.cumprod([1.0, *(1.5 / k for k in range(1, 4))])
    assert theory.erlang_b(3, 1.5) == pytest.approx(birth_death[-1] / birth_death.sum())
    powers = 0.8 ** np.arange(6)
    assert theory.mm1k_loss(0.8, 5) == pytest.approx(powers[-1] / powers.sum())


def test_closed_network():
    assert theory.machine_repair(1, 4.0) == (1.0, 0.2)
    response, throughput = theory.machine_repair(100, 4.0)
    assert throughput == pytest.approx(1.0)
    assert response == pytest.approx(100 - 4)
    response, throughput = theory.machine_repair(5, 4.0)
    assert response == pytest.approx(5 / throughput - 4.0)
    weights = np.array([np.prod(np.arange(5, 5 - n, -1)) / 4.0**n for n in range(6)])  # number at the server
    assert throughput == pytest.approx(1 - weights[0] / weights.sum())
