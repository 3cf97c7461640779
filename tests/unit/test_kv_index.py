"""KV blocks loaded from an index service, against arithmetic by hand: DeepSeek-LLM-67B on four H100s."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sim.deployment import Deployment, deploy
from sim.result import Replication
from sim.scenario.engine import Engine
from sim.scenario.scenario import Scenario
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from tests.unit.small_fleet import run

KV_TOKEN = 2 * 95 * 8 * 128 * 2
PROMPT, BLOCK = 2048, 16
HIT = (PROMPT - 1) // BLOCK * BLOCK
"""Tokens that a hit of 1 loads: whole blocks, and one token is left to compute."""


def case(index: dict | None, prompts: int = 1, **workload: object) -> Scenario:
    engine = {} if index is None else {"kv_index": index}
    lengths = {"input": {"kind": "fixed", "tokens": PROMPT}, "output": {"kind": "fixed", "tokens": 2}}
    return Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "index",
            "model": "deepseek-llm-67b",
            "workload": {
                "kind": "synthetic",
                "num_prompts": prompts,
                "arrivals": {"kind": "poisson", "request_rate": 0.01},
                "lengths": {"kind": "separate"} | lengths,
            }
            | workload,
            "engine": engine,
            "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 4}],
            "run": {"replications": 1},
        }
    )


def served(index: dict | None, prompts: int = 1, **workload: object) -> Replication:
    return run(case(index, prompts, **workload)).replications[0]


def ttft_ms(index: dict | None) -> float:
    one = served(index)
    return float(one.first_token_ns[0] - one.sent_ns[0]) / 1e6


def deployment() -> Deployment:
    return deploy(case(None), Path())[0]


def prefill_ns(tokens: int, computed: int = 0) -> int:
    pairs = tokens * computed + tokens * (tokens + 1) // 2
    return step_ns(deployment().cost, StepShape(tokens, 1, pairs, sampled=1))


@pytest.mark.parametrize(("gb_per_s", "claimed_ms"), [(7, 114), (12.1, 66), (50, 16), (3.1, 257)])
def test_a_prompt_is_loaded_at_the_bandwidth(gb_per_s, claimed_ms):
    # Claims: 0.80 GB of KV take 114 ms from NVMe, 66 by 100 GbE, 16 by PCIe 5, 257 by 25 GbE.
    bound = HIT * KV_TOKEN / (gb_per_s * 1e9) * 1e3
    assert bound == pytest.approx(claimed_ms, rel=0.02)
    rest = prefill_ns(PROMPT - HIT, HIT) / 1e6
    assert ttft_ms({"hit": 1.0, "gb_per_s": gb_per_s}) == pytest.approx(bound + rest, abs=1e-4)


def test_recomputing_takes_140_ms_and_breaks_even_at_5_7_gb_a_second():
    recompute = ttft_ms(None)
    assert recompute == pytest.approx(prefill_ns(PROMPT) / 1e6, abs=1e-9)
    assert recompute == pytest.approx(140, rel=0.15)
    breaks_even = HIT * KV_TOKEN / ((recompute - prefill_ns(PROMPT - HIT, HIT) / 1e6) * 1e6)
    assert breaks_even == pytest.approx(5.7, rel=0.15)
    slower, faster = (ttft_ms({"hit": 1.0, "gb_per_s": breaks_even * factor}) for factor in (0.99, 1.01))
    assert faster < recompute < slower


def test_half_a_hit_and_the_latency():
    half = (PROMPT - 1) // BLOCK // 2 * BLOCK
    found = ttft_ms({"hit": 0.5, "gb_per_s": 10, "latency_us": 2000})
    expected = 2 + half * KV_TOKEN / 10e9 * 1e3 + prefill_ns(PROMPT - half, half) / 1e6
    assert found == pytest.approx(expected, abs=1e-4)
    one = served({"hit": 0.5, "gb_per_s": 10})
    assert one.cached_tokens[0] == half
    assert one.counters["prefix_hits"][0] == 0  # those are the replica's own


def test_requests_that_are_admitted_together_load_one_after_another():
    together = {"arrivals": {"kind": "closed_loop", "concurrency": 4}}
    one = served({"hit": 1.0, "gb_per_s": 10, "latency_us": 500}, 4, **together)
    load = 0.5 + HIT * KV_TOKEN / 10e9 * 1e3
    took = (one.first_token_ns - one.sent_ns) / 1e6
    tokens = 4 * (PROMPT - HIT)
    pairs = tokens * HIT + 4 * 16 * 17 // 2
    step = step_ns(deployment().cost, StepShape(tokens, 4, pairs, sampled=4)) / 1e6
    assert took == pytest.approx(4 * load + step, abs=1e-3)


def test_what_the_replica_has_itself_is_not_loaded():
    one = served({"hit": 0.3, "gb_per_s": 0.1}, 3, shared_prefix={"tokens": 1024, "prompts": 1})
    loaded = int((1024 + PROMPT - 1) // BLOCK * 0.3) * BLOCK
    assert one.cached_tokens.tolist() == [loaded, 1024, 1024]
    took = (one.first_token_ns - one.sent_ns) / 1e6
    assert took[0] == pytest.approx(
        loaded * KV_TOKEN / 0.1e9 * 1e3 + prefill_ns(1024 + PROMPT - loaded, loaded) / 1e6, abs=1e-3
    )
    assert took[1:] == pytest.approx(prefill_ns(PROMPT, 1024) / 1e6, abs=1e-6)


def test_padded_batches_take_nothing_from_an_index():
    with pytest.raises(ValidationError, match="kv_index: found an index service beside batching"):
        Engine.model_validate({"kv_index": {"hit": 1.0, "gb_per_s": 1.0}, "batching": {"policy": "static"}})
