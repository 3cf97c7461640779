"""The fleet, made to degenerate, against reliability theory.

Seeds are fixed and were chosen once. As in test_queueing, 99.9 % intervals over 20 replications must hold the closed
form and be narrow: no wider to either side than a stated share of it. The first tenth of each run is left out.
"""

import numpy as np
import pytest
from scipy import stats

from sim.result import Cause, Replication, State
from tests.oracle import fleet_theory as theory
from tests.oracle import queueing
from tests.oracle.fleet_cases import CASES, Case
from tests.oracle.fleet_station import QUICK, REPLICATIONS, check, entered, fixed, hours, pool, quiet, scenario
from tests.oracle.station import SECOND


def name(case: Case) -> str:
    return case.name


def hold(case: Case, seconds: float, narrower: float) -> None:
    runs = quiet(case.fleet, seconds, REPLICATIONS)
    for claim, (of, exact, precision) in case.claims.items():
        check([of(one) for one in runs], exact, precision * narrower, claim)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_theory(case):
    hold(case, case.seconds, 1.0)


@pytest.mark.full
@pytest.mark.parametrize("case", CASES, ids=name)
def test_theory_for_ten_times_as_long(case):
    hold(case, 10 * case.seconds, 0.45)


def weibull_failures(shape: float, of: str, replications: int) -> list[Replication]:
    """40 nodes with a replica each, or 5 with eight; lives of scale 1 s, mended at once, for 4 s."""
    nodes = pool(40) if of == "node" else pool(40, tensor_parallel_size=1)
    fleet = scenario(
        fleet=nodes,
        failures=[{"kind": "weibull", "of": of, "scale_hours": hours(1), "shape": shape}],
        recovery=QUICK | {"repair": fixed(0)},
    )
    return quiet(fleet, 4, replications)


@pytest.mark.parametrize(("shape", "of"), [(0.7, "node"), (2.5, "node"), (2.5, "gpu")])
def test_weibull_failures_are_a_renewal_process(shape, of):
    """Mean failures up to a time; first lives by Kolmogorov and Smirnov. A GPU does not age with its neighbours."""
    runs = weibull_failures(shape, of, REPLICATIONS)
    cause = Cause.NODE if of == "node" else Cause.GPU
    failed = [entered(one, State.DEAD, cause, since=0.0) / SECOND for one in runs]
    for t, exact in zip((0.5, 1, 2, 4), theory.weibull_renewals(shape, (0.5, 1, 2, 4)), strict=True):
        check([(times <= t).sum() / 40 for times in failed], exact, 0.5 if t < 1 else 0.15, f"M({t})")
    lives = np.concatenate([first_lives(one, cause) for one in runs]) / SECOND
    life = stats.weibull_min(shape)
    assert len(lives) > 700
    assert stats.kstest(lives, lambda x: life.cdf(x) / life.cdf(4)).pvalue > 0.001  # those that end in time


def first_lives(one: Replication, cause: Cause) -> np.ndarray:
    """When each replica fell first, if it did, ns."""
    timeline = one.timeline
    fell = np.flatnonzero((timeline.state == State.DEAD) & (timeline.cause == cause))
    return timeline.time_ns[fell[np.unique(timeline.replica[fell], return_index=True)[1]]]


def test_the_closed_forms_agree_with_each_other():
    assert theory.mmck_loss(1, 5, 0.8) == pytest.approx(queueing.mm1k_loss(0.8, 5))
    assert theory.mmck_loss(4, 4, 3.0) == pytest.approx(queueing.erlang_b(4, 3.0))
    assert theory.stepped_mmck_loss(3, 5, 3.0, 2000) == pytest.approx(theory.mmck_loss(3, 5, 3.0), rel=1e-4)
    enough = theory.machine_repair(6, 6, 10, 1)
    assert enough == pytest.approx(theory.up(6, theory.up_share(10, 1)))
    response, throughput = queueing.machine_repair(4, 5.0)
    one_crew = theory.machine_repair(4, 1, 5, 1)
    assert 1 - one_crew[4] == pytest.approx(throughput)
    assert np.arange(5) @ one_crew == pytest.approx(4 - throughput * response)
    assert theory.reclaim_rate(20, 3, 1) == pytest.approx(1 / 60)
    assert theory.reclaim_rate(20, 3, 100) == pytest.approx(1 / 20)
    assert theory.weibull_renewals(1.0, [0.5, 1, 4]) == pytest.approx([0.5, 1, 4], rel=1e-5)
    life = stats.weibull_min(2.5)
    late = 8 / life.mean() + (life.var() / life.mean() ** 2 - 1) / 2  # Smith's theorem
    assert theory.weibull_renewals(2.5, [8]) == pytest.approx([late], rel=1e-5)
