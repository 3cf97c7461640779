"""Batching as the article has it: closed forms, the verdicts, and what would turn them."""

import pytest

from sim.audit.answer import Question, answer
from sim.audit.claims._pseudo_code import forgotten
from sim.audit.claims.batching import timer_wait
from sim.audit.evidence import Evidence
from sim.audit.verdict import Verdict


def found(claim: str, **inputs: float) -> tuple[Verdict, Evidence]:
    one = answer(Question(claim, inputs, influences=False))
    assert not one.ruling.is_open
    return one.ruling.verdict, one.evidence


def verdict(claim: str, **inputs: float) -> Verdict:
    return found(claim, **inputs)[0]


def mean(evidence: Evidence, name: str) -> float:
    number = evidence[name].ours.mean
    assert number is not None
    return number


def test_vllm_lets_requests_join_a_batch() -> None:
    ruled, evidence = found("C7")
    assert ruled == Verdict.CONTRADICTED
    assert mean(evidence, "static") == 0
    assert mean(evidence, "joined") > 95
    assert verdict("C7", seats=1.0) == Verdict.SUPPORTED  # one at a time


def test_idle_memory_is_not_the_fixed_batchs_doing() -> None:
    ruled, evidence = found("C8")
    assert ruled == Verdict.CONDITIONAL
    assert mean(evidence, "padding") == pytest.approx(45.3, abs=1.5)  # 1 - 1088 / E max of 32 from U(128, 2048)
    assert mean(evidence, "vllm") == pytest.approx(
        46.5, abs=0.6
    )  # claims.md: KV is 46.5 % of the HBM, 45 % with 10 live
    assert abs(mean(evidence, "because")) < 1
    assert verdict("C8", utilisation=0.6, size=4.0) == Verdict.CONTRADICTED


def test_two_hundred_milliseconds_take_a_timer_of_as_many() -> None:
    ruled, evidence = found("C9")
    assert ruled == Verdict.CONDITIONAL
    assert timer_wait(2, 250) == pytest.approx(1000 * 0.250 * 1.25 / 1.5)
    assert mean(evidence, "timer") == pytest.approx(timer_wait(2, 250), rel=0.03)
    assert 7 <= mean(evidence, "vllm") <= 75  # claims.md: half a step, 7 to 20 ms, more behind prompts
    assert verdict("C9", wait=50.0) == Verdict.CONTRADICTED


def test_five_milliseconds_are_the_first_level_alone() -> None:
    assert verdict("C16") == Verdict.CONDITIONAL
    assert verdict("C16", wait=20.0) == Verdict.CONTRADICTED
    assert verdict("C16", tick=0.01, fill=0.0) == Verdict.SUPPORTED


def test_the_tick_adds_half_a_period() -> None:
    ruled, evidence = found("C17")
    assert ruled == Verdict.INCONSISTENT
    assert evidence["added"].ours.low < 50 < evidence["added"].ours.high
    assert verdict("C17", tick=5.0) == Verdict.SUPPORTED


def test_62_per_cent_is_all_padding_of_a_certain_traffic() -> None:
    ruled, evidence = found("C18")
    assert ruled == Verdict.CONDITIONAL
    assert mean(evidence, "mix") == pytest.approx(61.5, abs=1)  # claims.md, C10: one long prompt in ten
    assert mean(evidence, "mask") == pytest.approx(2.4, abs=0.1)
    assert mean(evidence, "vllm") < 0
    assert verdict("C18", long=0.5) == Verdict.CONTRADICTED


def test_the_pseudo_code_serves_nobody_at_a_million_a_day() -> None:
    ruled, evidence = found("C19")
    assert ruled == Verdict.INCONSISTENT
    assert mean(evidence, "served") == 0
    assert mean(evidence, "half") == pytest.approx(4150, rel=0.01)  # claims.md
    assert verdict("C19", rate=20_000.0) == Verdict.SUPPORTED
    assert verdict("C19", fill=0.0) == Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("rate", "groups", "lost"), [(2000, 1, 0.9987), (4000, 1, 0.56), (5000, 1, 0.19), (10_000, 4, 0.988)]
)
def test_what_is_forgotten_is_as_claims_md_has_it(rate: float, groups: int, lost: float) -> None:
    assert forgotten(rate, groups) == pytest.approx(lost, abs=0.006)


def test_simulated_and_closed_form_loss_agree() -> None:
    one = answer(Question("C19", {"rate": 4500.0}, influences=False)).evidence["served"].ours
    assert one.low is not None
    assert one.high is not None
    assert one.low - 2 < 100 * (1 - forgotten(4500, 1)) < one.high + 2


def test_nothing_caps_a_batch() -> None:
    ruled, evidence = found("C20")
    assert ruled == Verdict.INCONSISTENT
    assert mean(evidence, "mean") == pytest.approx(51, abs=2)  # 1 + 10,000 x 0.005
    assert mean(evidence, "repaired") <= 32
    assert verdict("C20", rate=3000.0) == Verdict.SUPPORTED
