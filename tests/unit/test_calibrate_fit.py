"""The fit against known truths: a linear world with an exact posterior, and a simulated one with a secret."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibrate import write
from calibrate.fit import BOUND, Data, fit
from calibrate.holdout import Discrepancy, Held, discrepancy, leave_out, parity
from calibrate.parameters import Parameter, parameters
from calibrate.points import Bench, Point, data_of
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.steptime.efficiency import Efficiency

SECRET = {"memory": 0.7, "gemm_8bit": 0.5, "kernel_s": 5e-6, "collective_bandwidth": 0.8}


def quiet(_done: int, _total: int) -> None:
    """No progress."""


def linear(design, noise: float):
    """Logarithms that depend linearly on the logarithms of two efficiencies."""

    def predict(one: Efficiency):
        return design @ np.log([one.memory / 0.8, one.kernel_s / 3e-6])

    return lambda measured: Data(predict, measured, np.full(len(design), noise))


PAIR = (Parameter("memory", 0.8, 0.1), Parameter("kernel_s", 3e-6, 0.3))


def test_the_posterior_of_a_linear_world_is_bayes_formula():
    rng = np.random.default_rng(1)
    design, truth, noise = rng.normal(size=(6, 2)), np.array([0.07, -0.2]), 0.05
    measured = design @ truth
    found = fit(linear(design, noise)(measured), PAIR, quiet)
    scaled = design * [0.1, 0.3] / noise
    covariance = np.linalg.inv(scaled.T @ scaled + np.eye(2))
    assert found.covariance == pytest.approx(covariance, rel=1e-6)
    assert found.z == pytest.approx(covariance @ scaled.T @ (measured / noise), abs=2e-2)


def test_an_outlier_moves_the_fit_less_than_least_squares_would():
    design = np.column_stack([np.ones(12), np.linspace(-1, 1, 12)])
    clean = np.zeros(12)
    spoilt = clean.copy()
    spoilt[3] = 1.0  # e times as slow
    found = fit(linear(design, 0.05)(spoilt), PAIR, quiet)
    scaled = design * [0.1, 0.3] / 0.05
    squares = np.linalg.solve(scaled.T @ scaled + np.eye(2), scaled.T @ (spoilt / 0.05))
    assert abs(found.z[0]) < 0.5 * abs(squares[0])


def test_an_efficiency_stays_within_its_bounds():
    found = fit(linear(np.array([[1.0, 0.0]]), 1e-3)(np.array([5.0])), PAIR, quiet)
    assert found.z[0] == pytest.approx(BOUND, abs=0.01)


def point(concurrency: int, tp: int) -> Point:
    length = {"kind": "uniform", "tokens": 200, "range_ratio": 0.2}
    scenario = Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "p",
            "model": "llama-3.1-70b",
            "workload": {
                "kind": "synthetic",
                "num_prompts": 4 * concurrency,
                "arrivals": {"kind": "closed_loop", "concurrency": concurrency},
                "lengths": {"kind": "separate", "input": length, "output": length},
            },
            "engine": {
                "quantization": "fp8",
                "max_num_seqs": 64,
                "max_num_batched_tokens": 2048,
                "max_model_len": 4096,
            },
            "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": tp}],
            "run": {"replications": 1},
        }
    )
    groups = {"concurrency": str(concurrency), "tensor_parallel_size": str(tp)}
    return Point(f"TP{tp} c={concurrency}", Loaded(scenario, Path("p.yaml"), (), "0"), {}, groups)


def measured(one: Point, efficiency: Efficiency) -> Point:
    """The point as a machine with such efficiencies would have measured it."""
    means = Bench(one).predict(efficiency).means
    return Point(one.name, one.loaded, {"ttft": means["ttft"], "tpot": means["tpot"]}, one.groups)


@pytest.fixture(scope="module")
def benches() -> list[Bench]:
    truth = Efficiency(**SECRET)
    return [Bench(measured(point(concurrency, tp), truth)) for concurrency in (1, 4, 16) for tp in (2, 8)]


@pytest.fixture(scope="module")
def fitted(benches):
    chosen = [one for one in parameters() if one.name in {*SECRET, "attention_s", "prefill_attention"}]
    return fit(data_of(benches), chosen, quiet)


def test_six_simulated_points_tell_unseen_loads_within_two_percent(fitted):
    for concurrency, tp in ((2, 4), (32, 4), (64, 2)):
        unseen = Bench(measured(point(concurrency, tp), Efficiency(**SECRET)))
        before = unseen.predict(Efficiency()).means["tpot"]
        after = unseen.predict(fitted.efficiency()).means["tpot"]
        assert after == pytest.approx(unseen.point.measured["tpot"], rel=0.02)
        assert abs(before / unseen.point.measured["tpot"] - 1) > 0.05


def test_what_nothing_measured_keeps_its_prior_and_its_spread(fitted):
    index = [one.name for one in fitted.parameters].index("prefill_attention")  # prompts are too short to show it
    assert fitted.z[index] == pytest.approx(0.0, abs=0.1)
    assert fitted.covariance[index, index] > 0.9


def test_a_left_out_measurement_does_not_move_its_own_prediction(benches, fitted):
    held = leave_out(benches, fitted, "concurrency", quiet)
    lied = [
        Bench(
            Point(one.point.name, one.point.loaded, {k: 3 * v for k, v in one.point.measured.items()}, one.point.groups)
        )
        if one.point.groups["concurrency"] == "4"
        else one
        for one in benches
    ]
    again = leave_out(lied, fitted, "concurrency", quiet)
    inside = np.array(["c=4" in name for name in held.points])
    assert again.predicted[inside] == pytest.approx(held.predicted[inside], rel=1e-12)
    assert np.median(np.abs(held.errors)) < 0.03


def test_discrepancy_finds_the_factors_that_made_the_errors():
    rng = np.random.default_rng(2)
    rows, spread = 4000, np.array([0.08, 0.02])
    sensitivity = rng.uniform(0, 1, (rows, 2))
    errors = (sensitivity * rng.normal(0, spread, (rows, 2))).sum(axis=1)
    held = Held(
        ("p",) * rows, ("tpot",) * rows, (False,) * rows, np.ones(rows), np.exp(errors), np.zeros(rows), sensitivity
    )
    found = discrepancy([held])
    assert (found.mixed, found.decode) == pytest.approx(tuple(spread), rel=0.1)
    inside = [one.low <= one.measured <= one.high for one in parity(held, "concurrency", found)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_draws_are_the_same_each_time_and_as_wide_as_the_posterior(fitted):
    unknown = Discrepancy(0.05, 0.02)
    first = write.draws(fitted, unknown)
    assert json.dumps(first.model_dump()) == json.dumps(write.draws(fitted, unknown).model_dump())
    logs = np.log(np.array(first.rows))
    spread = np.sqrt(np.diag(fitted.covariance)) * [one.spread for one in fitted.parameters]
    assert logs.std(axis=0)[:-2] == pytest.approx(spread, rel=0.5)
    assert logs.std(axis=0)[-2:] == pytest.approx([0.05, 0.02], rel=0.5)
