"""Calibration and sampling uncertainty, told apart: posterior draws against what they must give by construction."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from sim import rundir
from sim.deployment import deploy
from sim.report import BenchResult, Verdict, measured, summarise, to_bench_json
from sim.result import Draw
from sim.run import simulate
from sim.stats import Interval, next_value
from tests.unit.calibrated import NO_HOST, loaded, run, written
from tests.unit.small_fleet import lengths
from tests.unit.synthetic_run import random_replication
from tests.unit.synthetic_run import run as by_hand

ALONE = {
    "num_prompts": 30,
    "arrivals": {"kind": "closed_loop", "concurrency": 1},
    "lengths": lengths(100, 30),
}
"""No request meets another, and all are alike."""
THREE = {"replications": 3}


def scaled(*factors):
    return [{"mixed": factor, "decode": factor} for factor in factors]


def lone_tpot(folder, factors, **others):
    step_time = written(folder, NO_HOST, scaled(*factors))
    case = loaded(folder, ALONE, step_time | others, run=THREE)
    # logits and sampling are no part of what the two factors scale
    sampling_ms = deploy(case.scenario, folder)[0].cost.sampled_fs[1] / 1e12
    result = simulate(case, progress=lambda done, of: None)
    return summarise(result), sampling_ms


def test_draws_that_scale_the_steps_by_a_tenth_open_tpot_by_a_tenth(tmp_path):
    """Forty draws, half at 0.9 and half at 1.1: with as many, the range is that of their order statistics."""
    summary, sampling_ms = lone_tpot(tmp_path, [0.9, 1.1] * 20, draws=40)
    assert summary.draws == 40
    for key in ("mean_tpot_ms", "median_itl_ms", "p99_tpot_ms"):
        found = summary[key]
        tenth = 0.1 * (found.mean - sampling_ms)
        assert tenth > 0.09 * found.mean
        assert found.calibration_low == pytest.approx(found.mean - tenth, rel=1e-5)
        assert found.calibration_high == pytest.approx(found.mean + tenth, rel=1e-5)
        assert (found.low, found.high) == (found.mean, found.mean)  # nothing is random here


def test_few_draws_give_the_interval_that_holds_one_more(tmp_path):
    """TPOT is linear in the factors, so its range is the prediction interval of the factors themselves."""
    factors = np.random.default_rng(0).normal(1.0, 0.05, 12)
    summary, sampling_ms = lone_tpot(tmp_path, factors.tolist())
    found = summary["mean_tpot_ms"]
    reach = scipy_stats.t.ppf(0.975, 11) * factors.std(ddof=1) * np.sqrt(1 + 1 / 12)
    low, high = (1 + (factors.mean() - 1 + sign * reach) * (1 - sampling_ms / found.mean) for sign in (-1, 1))
    assert found.calibration_low == pytest.approx(low * found.mean, rel=1e-5)
    assert found.calibration_high == pytest.approx(high * found.mean, rel=1e-5)
    assert summary.draws == 12  # twenty are asked for; none is taken twice


def all_intervals(summary):
    for values in (summary.values, *(one.values for one in summary.classes), *(one.values for one in summary.pools)):
        yield from values.items()


def test_sampling_and_everything_else_stay_as_they_are_without_draws(tmp_path):
    step_time = written(tmp_path, NO_HOST, scaled(0.8, 1.0, 1.3))
    with_draws, without = (summarise(run(tmp_path, {}, step_time | {"draws": count}, run=THREE)) for count in (20, 0))
    assert (with_draws.draws, without.draws) == (3, 0)
    open_numbers = 0
    for (key, ours), (name, theirs) in zip(all_intervals(with_draws), all_intervals(without), strict=True):
        assert key == name
        assert (ours.mean, ours.low, ours.high, ours.n) == (theirs.mean, theirs.low, theirs.high, theirs.n), key
        assert theirs.calibration_low is theirs.calibration_high is None
        open_numbers += ours.calibration_low is not None and ours.calibration_low < ours.calibration_high
    assert open_numbers > 50
    assert with_draws.bottleneck == without.bottleneck
    assert any("calibration leaves the numbers open is not shown" in one for one in without.warnings)
    assert not any("not shown" in one for one in with_draws.warnings)


@pytest.mark.parametrize(
    ("workload", "blocks"),
    [
        ({}, {"router": {"kind": "power_of_two"}}),
        ({"sessions": {"turns": 3, "think_s": 0.1}, "shared_prefix": {"tokens": 64}}, {"router": {"kind": "random"}}),
        ({"num_prompts": 400}, {"run": {"replications": 2, "state": "steady"}}),
    ],
)
def test_draws_that_are_the_best_estimate_change_nothing_at_all(tmp_path, workload, blocks):
    """Same requests, same random streams, same warm-up: whatever is random cancels to the last bit."""
    step_time = written(tmp_path, {"decode": 1.1}, [{"decode": 1.1}] * 3)
    pools = [{"pool": name, "gpu": "h100-sxm-80gb", "replicas": 2} for name in ("a", "b")]
    result = run(tmp_path, workload, step_time, fleet=pools, **({"run": {"replications": 2}} | blocks))
    assert [(one.number, one.replication) for one in result.draws] == [(0, 0), (1, 1), (2, 0)]
    for key, found in all_intervals(summarise(result)):
        assert found.calibration_low == found.calibration_high == found.mean, key


def test_draws_are_measured_behind_the_warm_up_of_the_best_estimate(tmp_path):
    """Open loop, so they measure the very same requests, though the slow draws are overloaded and never settle."""
    crowded = {"num_prompts": 600, "arrivals": {"kind": "poisson", "request_rate": 60.0}}
    steady = {"replications": 2, "state": "steady"}
    summary = summarise(run(tmp_path, crowded, written(tmp_path, {}, scaled(0.6, 2.0, 3.0)), run=steady))
    dropped = summary["warm_up_requests"]
    assert dropped.mean > 0
    assert dropped.calibration_low == dropped.calibration_high == dropped.mean
    assert summary["mean_tpot_ms"].calibration_low < summary["mean_tpot_ms"].mean


def test_each_draw_is_its_own_deployment(tmp_path):
    step_time = written(tmp_path, {}, scaled(0.5, 2.0))
    fast, slow = run(tmp_path, ALONE, step_time).draws
    whole = run(tmp_path, ALONE, written(tmp_path, {"mixed": 2.0, "decode": 2.0})).replications[0]
    assert fast.measured.whole["duration"] < slow.measured.whole["duration"] == whole.end_ns / 1e9
    assert fast.measured.pools[0]["steps"] == slow.measured.pools[0]["steps"] == int(whole.counters["steps"].sum())


def test_progress_counts_the_draws(tmp_path):
    seen = []
    case = loaded(tmp_path, ALONE, written(tmp_path, {}, scaled(1.0, 1.1)) | {"draws": 2}, run=THREE)
    simulate(case, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(done, 5) for done in range(6)]


def test_a_run_with_draws_comes_back_and_has_the_same_bytes(tmp_path):
    step_time = written(tmp_path, NO_HOST, scaled(0.9, 1.0, 1.2))
    saved = []
    for name in ("one", "two"):
        result = run(tmp_path, {}, step_time, run=THREE, slo={"ttft_ms": 60.0})
        saved.append(rundir.write(result, summarise(result), tmp_path / name))
    one, two = saved
    for name in ("run.json", "summary.json", "requests.parquet", "counters.parquet", "itl.parquet", "gauges.parquet"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    back = rundir.read(one)
    assert back.draws == result.draws
    assert summarise(back) == summarise(result)
    bench = json.loads((one / "bench.json").read_text())
    BenchResult.model_validate(bench)
    found = bench["capacity"]["summary"]["values"]["mean_tpot_ms"]
    assert found["calibration_low"] < found["low"] < found["mean"] < found["high"] < found["calibration_high"]
    assert bench["capacity"]["summary"]["draws"] == 3


def test_without_draws_nothing_is_said_of_calibration(tmp_path):
    result = by_hand([random_replication(0), random_replication(1)])
    saved = rundir.write(result, summarise(result), tmp_path / "plain")
    text = "".join((saved / f"{name}.json").read_text() for name in ("run", "summary", "bench"))
    assert "calibration" not in text
    assert "draws" not in text


def with_good_share(result, *changes):
    """Draws that change the first replication's share of good requests, and nothing else."""
    best = measured(result, result.replications[0], None)
    draws = []
    for number, change in enumerate(changes):
        klass = best.classes[0] | {"good_share": best.classes[0]["good_share"] + change}
        draws.append(Draw(number, 0, replace(best, classes=(klass,))))
    return replace(result, draws=tuple(draws))


def test_the_verdict_respects_both_uncertainties():
    """At 2 s all requests are good and sampling leaves nothing open; at 300 ms they miss by far."""
    three = [random_replication(seed) for seed in range(3)]
    met = by_hand(three, slo={"ttft_ms": 2000.0})
    assert summarise(met).verdict is Verdict.MET
    assert summarise(with_good_share(met, 0.0, 0.0, 0.0)).verdict is Verdict.MET
    assert summarise(with_good_share(met, -0.001, 0.0, -0.001, 0.0)).verdict is Verdict.MET  # within the one percent
    assert summarise(with_good_share(met, -0.05, 0.0, -0.05, 0.0)).verdict is Verdict.UNDECIDED
    missed = by_hand(three, slo={"ttft_ms": 300.0})
    assert summarise(with_good_share(missed, -0.01, 0.01, 0.0)).verdict is Verdict.MISSED
    assert summarise(with_good_share(missed, 0.5, -0.5, 0.5, -0.5)).verdict is Verdict.UNDECIDED
    alone = by_hand(three[:1], slo={"ttft_ms": 2000.0})
    assert summarise(with_good_share(alone, -0.05, 0.0, -0.05, 0.0)).verdict is Verdict.UNDECIDED


def test_the_combined_interval_adds_as_a_root_sum_of_squares_on_each_side():
    both = Interval(100.0, 97.0, 103.0, 5, 96.0, 112.0)
    assert both.combined == pytest.approx((95.0, 100.0 + np.hypot(3, 12)))
    assert both.calibration_half_width == 12.0
    assert Interval(100.0, 97.0, 103.0, 5).combined == (97.0, 103.0)
    assert Interval(100.0, None, None, 1, 96.0, 112.0).combined == (96.0, 112.0)
    assert Interval(100.0, None, None, 1).combined is None
    beside = Interval(100.0, 97.0, 103.0, 5, 104.0, 112.0)  # the mean of the draws is elsewhere
    assert beside.combined == pytest.approx((97.0, 100.0 + np.hypot(3, 12)))
    assert both.scaled(2.0) == Interval(200.0, 194.0, 206.0, 5, 192.0, 224.0)


@pytest.mark.parametrize(("draw", "n"), [("normal", 3), ("normal", 20), ("exponential", 39), ("exponential", 200)])
def test_the_range_holds_one_more_draw_95_times_in_100(draw, n):
    values = getattr(np.random.default_rng(n), draw)(size=(4000, n + 1))
    ranges = [next_value(row[:n].tolist()) for row in values]
    hits = np.mean([low <= row[n] <= high for (low, high), row in zip(ranges, values, strict=True)])
    assert 0.94 < hits < 0.96  # three standard errors are 0.010


def test_less_than_two_draws_say_nothing():
    assert next_value([]) is next_value([1.0]) is None
    assert next_value([2.0, 2.0]) == (2.0, 2.0)


BURST = {"num_prompts": 40, "arrivals": {"kind": "closed_loop", "concurrency": 40}, "lengths": lengths(100, 30)}


def test_what_the_replications_exceed_is_said_once_with_the_largest(tmp_path):
    few = {"num_prompts": 20, "lengths": lengths(100, 100, 0.9)}
    result = run(
        tmp_path, few, written(tmp_path, max_context=150, max_num_seqs=2, max_num_batched_tokens=64), run=THREE
    )
    drawn = [(one.requests.prompt_tokens + one.requests.output_tokens).max() for one in result.replications]
    running, tokens = (
        [one.counters[name].max() for one in result.replications] for name in ("peak_running", "peak_step_tokens")
    )
    assert len(set(drawn)) == len(set(tokens)) == 3
    said = result.provenance["warnings"].splitlines()
    assert [one.split(",")[0] for one in said] == [
        f"Pool a: contexts reach {max(drawn)} tokens",
        f"Pool a: steps reach {max(tokens)} tokens",
        f"Pool a: batches reach {max(running)} requests",
    ]


@pytest.mark.parametrize(
    ("hull", "sentence"),
    [
        ({"max_num_seqs": 15}, "Pool a: batches reach 16 requests, but step times were measured up to 15: "),
        ({"max_num_batched_tokens": 200}, "Pool a: steps reach 512 tokens, but step times were measured up to 200: "),
        ({"max_context": 120}, "Pool a: contexts reach 130 tokens, but step times were measured up to 120: "),
        ({"gpus": ("h200-141gb",)}, "was not measured with GPU h100-sxm-80gb, only with h200-141gb"),
    ],
)
def test_leaving_the_measured_hull_is_warned_of(tmp_path, hull, sentence):
    def said(**changed):
        return "\n".join(summarise(run(tmp_path, BURST, written(tmp_path, **changed), run=THREE)).warnings)

    assert said(**hull).count(sentence) == 1
    assert "measured" not in said()


def test_a_hull_that_the_limits_would_leave_but_the_run_did_not_is_no_warning(tmp_path):
    quiet = summarise(run(tmp_path, ALONE, written(tmp_path, max_num_seqs=1, max_num_batched_tokens=100)))
    assert not any("reach" in one for one in quiet.warnings)


def test_the_bench_result_has_the_means_of_the_best_estimate(tmp_path):
    result = run(tmp_path, ALONE, written(tmp_path, {}, scaled(2.0, 3.0)))
    plain = replace(result, draws=())
    with_draws = to_bench_json(result, summarise(result))
    assert with_draws["mean_tpot_ms"] == to_bench_json(plain, summarise(plain))["mean_tpot_ms"]
