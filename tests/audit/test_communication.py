"""All-reduces, replicas and hops."""

import pytest

from sim.audit.claims.communication import all_reduce_us
from sim.audit.claims.readings import saturated
from sim.audit.lab import Lab, value
from sim.audit.verdict import Verdict
from sim.units import MIB
from tests.audit.asked import ask, mean


def test_communication_costs_15_to_20_percent_of_four_gpus_with_many_requests() -> None:
    found = ask("C5")
    assert found.ruling.verdict == Verdict.SUPPORTED
    assert not found.ruling.is_open
    assert mean(found, "alone") < 15 < mean(found, "nccl") < 20
    assert mean(found, "eight") > 20
    assert ask("C5", clients=1.0).ruling.verdict == Verdict.CONTRADICTED
    assert ask("C5", gpus=8.0).ruling.verdict != Verdict.SUPPORTED


def test_the_loss_is_the_share_of_communication() -> None:
    # To first order: what all-reduces take of the steps is what throughput gains without them.
    share = value(saturated(Lab(coarse=True), 64), "communication").mean
    assert mean(ask("C5"), "loss") == pytest.approx(100 * share, rel=0.1)


def test_dense_replicas_do_not_wait_for_each_other() -> None:
    found = ask("C6")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert mean(found, "added") < 0.1
    assert mean(found, "experts") > 1
    assert mean(found, "kept") == pytest.approx(1, abs=0.05)
    assert ask("C6", hop_ms=50.0).ruling.verdict == Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("mib", "gpus", "measured"),  # claims.md, section 3: pynccl of PR 42324, custom of PR 24111
    [(16, 8, 121), (0.5, 4, 17), (4, 4, 37)],
)
def test_all_reduces_are_the_measured_ones(mib: float, gpus: int, measured: float) -> None:
    assert all_reduce_us(mib * MIB, gpus, custom=False) == pytest.approx(measured, rel=0.2)


def test_the_link_does_not_make_120_us_45_but_a_kernel_may() -> None:
    found = ask("C22")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert mean(found, "best") == pytest.approx(87, rel=0.1)  # claims.md: multimem, 16 MiB
    assert mean(found, "floor") == pytest.approx(65, abs=0.5)  # claims.md: ring at 450 GB/s
    assert mean(found, "saved") == pytest.approx(14.3, abs=0.1)
    assert ask("C22", after=90.0).ruling.verdict == Verdict.CONDITIONAL  # the best kernel is there, the floor is not
    assert ask("C22", after=110.0).ruling.verdict == Verdict.CONTRADICTED


def test_rpc_holds_back_layers_that_are_split() -> None:
    found = ask("C43")
    assert found.ruling.verdict == Verdict.SUPPORTED
    assert mean(found, "hops") == pytest.approx(28.5)
    assert [mean(ask("C43", hop_us=us), "hops") for us in (100.0, 200.0)] == pytest.approx([19, 38])
    assert ask("C43", hop_us=5.0).ruling.verdict == Verdict.CONTRADICTED
