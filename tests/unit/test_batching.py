"""Batching with padding as a policy of a scenario: conservation, what is forgotten, refused and reported."""

from collections.abc import Mapping

import numpy as np
import pytest
from pydantic import ValidationError

from sim.report import check_invariants, summarise
from sim.result import Ending, Outcome
from sim.rundir import read, write
from tests.unit.small_fleet import ENGINE, lengths, replicate, run, scenario
from tests.unit.under_fire import AT_ONCE

POLICIES: dict[str, dict] = {
    "static": {"policy": "static", "batch_size": 6, "max_wait_ms": 200.0},
    "timer": {"policy": "timer", "wait_ms": 40.0},
    "timer, capped": {"policy": "timer", "wait_ms": 400.0, "batch_size": 4},
    "repaired": {"policy": "two_level", "max_batch_size": 6, "drop_underfilled": False},
    "verbatim": {"policy": "two_level", "max_batch_size": 2, "drop_underfilled": True, "length_groups": 2},
}
FIRE = {
    "failures": [
        {"kind": "drill", "at_s": 1.5, "of": "replica"},
        {"kind": "drill", "at_s": 3.0, "of": "replica", "index": 1, "hang": True},
    ],
    "startup": AT_ONCE,
    "run": {"replications": 1, "max_time_s": 60.0},
}


def padded(policy: str, **flags: object) -> dict:
    return {"engine": ENGINE | {"batching": POLICIES[policy]} | flags}


def counts(outcome: np.ndarray) -> Mapping[Outcome, int]:
    return {one: int((outcome == one).sum()) for one in Outcome if (outcome == one).any()}


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "verbatim"])
@pytest.mark.parametrize(
    "workload",
    [
        {},
        {"arrivals": {"kind": "closed_loop", "concurrency": 9}},
        {"sessions": {"turns": 2, "think_s": 0.2}, "lengths": lengths(50, 30, 0.5)},
    ],
)
def test_everybody_is_served(policy: str, workload: dict) -> None:
    one = replicate(workload, **padded(policy))
    assert counts(one.outcome) == {Outcome.FINISHED: 60}
    assert one.counters["decode_tokens"].sum() == (one.requests.output_tokens - 1).sum()
    assert one.counters["prefill_tokens"].sum() == one.requests.prompt_tokens.sum()
    assert one.padding is not None
    assert one.padding["tokens"].sum() > 0


@pytest.mark.parametrize(
    "arrivals", [{"kind": "poisson", "request_rate": 400.0}, {"kind": "closed_loop", "concurrency": 9}]
)
def test_the_verbatim_pseudo_code_loses_requests_as_an_outcome_of_its_own(arrivals: dict) -> None:
    case = scenario({"arrivals": arrivals}, **padded("verbatim"))
    result = run(case)
    (one,) = result.replications
    found = counts(one.outcome)
    assert set(found) == {Outcome.FINISHED, Outcome.FORGOTTEN}
    assert found[Outcome.FORGOTTEN] > 0
    assert sum(found.values()) == 60
    assert (one.tries.ending == Ending.FORGOTTEN).sum() == found[Outcome.FORGOTTEN]
    summary = summarise(result)
    assert summary["forgotten_requests"].mean == summary["failed"].mean == found[Outcome.FORGOTTEN]
    assert any("forgotten: the batcher dropped them" in warning for warning in summary.warnings)


def test_at_low_load_nobody_is_served_who_comes_alone() -> None:
    workload = {"num_prompts": 20, "arrivals": {"kind": "poisson", "request_rate": 2.0}}
    batching = {"policy": "two_level", "drop_underfilled": True}
    assert counts(replicate(workload, engine=ENGINE | {"batching": batching}).outcome) == {Outcome.FORGOTTEN: 20}


def test_a_forgotten_request_may_be_sent_again() -> None:
    clients = {"retry": {"max_retries": 50, "backoff_s": 0.02, "jitter": "full"}}
    workload = {"arrivals": {"kind": "poisson", "request_rate": 400.0}}
    one, once = (replicate(workload, clients=how, **padded("verbatim")) for how in (clients, {}))
    found = counts(one.outcome)
    assert found[Outcome.FINISHED] > counts(once.outcome)[Outcome.FINISHED]
    assert (one.tries.ending == Ending.FORGOTTEN).sum() > found.get(Outcome.FORGOTTEN, 0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("cancellation", ["engine", "none"])
def test_invariants_hold_under_fire(policy: str, cancellation: str) -> None:
    """Crashes, time-outs, retries and hedges; `run` asserts conservation, order and Little's law."""
    clients = {
        "timeout_s": 0.6,
        "retry": {"max_retries": 2, "backoff_s": 0.1},
        "hedge": {"after_s": 0.3},
        "cancellation": cancellation,
    }
    one = replicate({"num_prompts": 150}, clients=clients, **FIRE, **padded(policy))
    assert (one.tries.ending == Ending.LOST).sum() > 0
    assert (one.outcome == Outcome.FINISHED).sum() > 10
    check_invariants(one)


def test_the_same_seed_gives_the_same_run() -> None:
    first, again = (replicate({}, **padded("repaired")) for _ in range(2))
    for name in ("first_scheduled_ns", "last_token_ns", "itl_ns"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.padding is not None
    np.testing.assert_array_equal(first.padding, again.padding)


def test_a_batch_beyond_the_kv_cache_is_cut() -> None:
    """199 blocks of 16 hold two of 500 + 500 tokens (63 blocks each), and a third, but not four."""
    workload = {"num_prompts": 4, "arrivals": {"kind": "poisson", "request_rate": 1e4}, "lengths": lengths(500, 500)}
    engine = ENGINE | {"max_model_len": 1024, "max_num_batched_tokens": 1024, "batching": POLICIES["timer"]}
    one = replicate(workload, engine=engine, fleet=[{"pool": "a", "gpu": "h100-sxm-80gb"}])
    starts, sizes = np.unique(one.first_scheduled_ns, return_counts=True)
    assert sizes.tolist() == [3, 1]
    assert starts[1] == one.last_token_ns[one.first_scheduled_ns == starts[0]].max()
    assert one.counters["peak_running"][0] == 3


def test_padding_by_hand() -> None:
    """Prompts of 10 and 30 with answers of 4 and 2 in one batch: 60 prompt tokens and 6 later ones are computed."""
    workload = {
        "num_prompts": 2,
        "arrivals": {"kind": "poisson", "request_rate": 1e4},
        "classes": [
            {"name": "x", "share": 1, "lengths": lengths(10, 4)},
            {"name": "y", "share": 1, "lengths": lengths(30, 2)},
        ],
    }
    fleet = [{"pool": "a", "gpu": "h100-sxm-80gb"}]
    cases = (
        scenario(workload, fleet=fleet, run={"replications": 1, "seed": seed}, **padded("timer")) for seed in range(9)
    )
    result = next(found for found in map(run, cases) if len(set(found.replications[0].requests.klass)) == 2)
    summary = summarise(result)
    assert summary["padding_share"].mean == (66 - 40 - 3 - 1) / 66
    (one,) = result.replications
    assert one.padding is not None
    prefill = float(one.first_token_ns[0] - one.first_scheduled_ns[0])
    assert one.itl_count.tolist() == [2, 1, 1]  # the second token of both, then x alone
    later = one.itl_ns.astype(float)
    held = prefill * 40 + later[0] * 42 + (10 + 2) * later[1] + (10 + 3) * later[2]
    assert one.padding["kv_reserved_ns"][0] == pytest.approx(2 * 48 * (prefill + later.sum()))
    assert one.padding["kv_held_ns"][0] == pytest.approx(held)
    assert summary["kv_reserved_unused"].mean == pytest.approx(1 - held / (96 * (prefill + later.sum())))


def test_measures_of_padding_are_there_only_with_padding(tmp_path) -> None:
    plain, static = (run(scenario({}, engine=engine)) for engine in (ENGINE, padded("static")["engine"]))
    of_padding = {"padding_share", "padding_flops_share", "kv_reserved_unused", "forgotten_requests"}
    assert not of_padding & set(summarise(plain).values)
    summary = summarise(static)
    assert of_padding <= set(summary.values)
    assert all(0 < (summary[key].mean or 0) < 1 for key in of_padding - {"forgotten_requests"})
    again = read(write(static, summary, tmp_path / "static"))
    assert summarise(again).values == summary.values
    assert read(write(plain, summarise(plain), tmp_path / "plain")).replications[0].padding is None


def test_empty_hbm_of_continuous_batching() -> None:
    """Share of KV in the HBM times its mean emptiness."""
    result = run(scenario({}))
    summary, info = summarise(result), result.replicas[0]
    blocks_bytes = 200 * 16 * 2 * 30 * 32 * 128 * 2  # DeepSeek-LLM-7B: 30 layers, 32 KV heads of 128, 16 bits
    assert info.kv_share == pytest.approx(blocks_bytes / (79.1 * 2**30), rel=0.01)
    usage = summary["kv_cache_usage"].mean or 0.0
    assert summary["hbm_unused"].mean == pytest.approx(info.kv_share * (1 - usage))


TWO_LEVEL = {"policy": "two_level", "drop_underfilled": True}
POOL = {"gpu": "h100-sxm-80gb"}
REFUSED: list[tuple[dict, str]] = [
    (
        {"fleet": [POOL | {"pool": "a"}, POOL | {"pool": "b", "engine": {"batching": POLICIES["timer"]}}]},
        "fleet.1.engine.batching: found one, expected none as in the first pool",
    ),
    (padded("timer", scheduling_policy="priority"), "scheduling_policy: found priority beside batching, expected fcfs"),
    ({"engine": {"batching": TWO_LEVEL | {"longest_wait_ms": 9.0}}}, "longest_wait_ms goes with"),
    ({"engine": {"batching": TWO_LEVEL | {"length_groups": [9, 9]}}}, "length_groups must ascend"),
    ({"engine": {"batching": {"policy": "dynamic"}}}, "dynamic"),
]


@pytest.mark.parametrize(("blocks", "sentence"), REFUSED)
def test_what_is_refused(blocks: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        scenario({}, **blocks)


def test_the_bottleneck_is_the_batch() -> None:
    said = summarise(run(scenario({}, **padded("static")))).bottleneck
    assert "of their time for a batch: for it to form, or for the one under way to end" in said
