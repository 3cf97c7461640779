"""Cold prompts and the index service."""

import pytest

from sim.audit.claims.cold import prefill_ms, prompt_of
from sim.audit.lab import Lab
from sim.audit.verdict import Verdict
from tests.audit.asked import ask, mean


def test_no_prompt_of_the_article_takes_2_3_s() -> None:
    found = ask("C38")
    assert found.ruling.verdict == Verdict.INCONSISTENT
    assert mean(found, "tokens") > 4096
    assert mean(found, "cold") == pytest.approx(140, rel=0.1)  # claims.md
    assert mean(found, "breaks_even") == pytest.approx(5.7, rel=0.1)
    assert mean(found, "r1") < mean(found, "breaks_even")
    assert mean(found, "burst") == pytest.approx(16 * 140, rel=0.1)


@pytest.mark.parametrize(("gb_per_s", "expected"), [(7.0, 114), (12.1, 66), (50.0, 16), (3.1, 257)])
def test_loading_takes_the_bytes_over_the_bandwidth(gb_per_s: float, expected: float) -> None:
    warm = mean(ask("C38", gb_per_s=gb_per_s, latency_us=0.0), "warm")
    last_tokens_ms = 17
    assert warm == pytest.approx(expected + last_tokens_ms, abs=4)


def test_the_longest_prompt_within_a_time_is_found() -> None:
    one = Lab().deployments("cold-prompt", "engine.kv_index=null")[0]
    found = prompt_of(one, 2300)
    assert prefill_ms(one, found) <= 2300 < prefill_ms(one, found + 1)


def test_the_verdict_follows_the_check_and_the_readings() -> None:
    # With the check of 2.3 s against the article's lengths apart, 150 ms can be had and 2.3 s cannot.
    found = ask("C38", gb_per_s=6.0)
    assert found.evidence["warm"].holds
    assert not found.evidence["tokens"].holds
    assert found.ruling.verdict == Verdict.INCONSISTENT
