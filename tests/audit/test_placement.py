"""Attention and linear layers apart."""

import pytest

from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_the_articles_roles_lose_and_the_reverse_may_gain() -> None:
    found = ask("C21")
    assert found.ruling.verdict == Verdict.CONDITIONAL
    assert found.evidence["article"].ours.high < 0.1
    assert found.evidence["scarce"].ours.low > 1
    assert found.evidence["ample"].ours.high < 1
    assert ask("C21", hop_us=200.0, clients=16.0).ruling.verdict == Verdict.CONTRADICTED


def test_cpu_and_nvme_are_slower_by_their_bandwidth() -> None:
    found = ask("C23")
    assert found.ruling.verdict == Verdict.CONTRADICTED
    numbers = {name: mean(found, name) for name in ("cpu", "drives", "prefill_cpu")}
    assert numbers == pytest.approx({"cpu": 225, "drives": 2408, "prefill_cpu": 18}, rel=0.05)  # claims.md
    assert numbers["cpu"] / 12.6 > 17
    assert ask("C23", cpus=64.0, hop_us=0.0).ruling.verdict == Verdict.CONDITIONAL  # CPUs would do, drives would not


def test_no_kernel_reads_kv_three_times_as_fast() -> None:
    found = ask("C24")
    assert found.ruling.verdict == Verdict.CONTRADICTED
    assert mean(found, "ceiling") == pytest.approx(1 / 0.9)
    assert mean(found, "attained") == pytest.approx(90, abs=0.01)
    assert mean(found, "latent") == pytest.approx(5.5, abs=0.05)
    assert found.evidence["throughput"].ours.low > 1
    assert ask("C24", attained=30.0).ruling.verdict == Verdict.SUPPORTED
    assert ask("C24", bits=4.0).ruling.verdict == Verdict.SUPPORTED
