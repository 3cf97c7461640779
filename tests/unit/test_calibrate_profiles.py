"""From a step profile to step times: what is read, what is fitted, what is left over, what is held out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from calibrate import profiles
from calibrate.measurements import from_measurements
from calibrate.parameters import parameters
from calibrate.request import Request
from calibrate.residuals import fit_residuals
from calibrate.stepfit import FOLDS, fit_steps, hold_out
from calibrate.steps import Steps
from sim.errors import InputError
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from tests.unit.measured import TRUTH, prefill, replica, shapes, write_profile

FAR = parameters(known_machine=False)


def quiet(done: int, total: int) -> None:
    """No progress."""


def calibrated(*read, **changes):
    request = Request(profiles=read, results=(), unseen=(), name="cpu", engine="vLLM 0.32.0", prior=None)
    return from_measurements(replace(request, **changes), quiet)


def test_repeats_of_a_step_become_their_median(tmp_path):
    write_profile(tmp_path, noise=0.0, repeats=1)
    lines = (tmp_path / "steps.csv").read_text().splitlines()
    cells = lines[1].split(",")
    for repeat, factor in ((1, 1.1), (2, 50.0)):  # one step in between, one that another process held up
        times = [str(float(cell) * factor) for cell in cells[-2:]]
        lines.append(",".join([cells[0], str(repeat), *cells[2:-2], *times]))
    (tmp_path / "steps.csv").write_text("\n".join(lines))
    read = profiles.read(tmp_path)
    assert read.shapes == tuple(shapes())
    assert read.wall_ms[0] == pytest.approx(1.1 * float(cells[-2]))
    assert read.wall_spread[0] > 2 * read.wall_spread[1]


def test_a_machine_far_from_every_prior_is_found(tmp_path):
    read = profiles.read(write_profile(tmp_path))
    steps = [read.steps(host=True), read.steps(host=False)]
    fitted = fit_steps(steps, FAR).fit.values()
    for name in ("memory", "kv_16bit", "gemm_16bit", "prefill_attention", "host_step_s"):
        assert fitted[name] == pytest.approx(getattr(TRUTH, name), rel=0.2), name
    unseen = [StepShape(0, 0, 0, 24, 24 * 600, 24), prefill(2, 700)]
    cost, true = read.replica.cost(fit_steps(steps, FAR).fit.efficiency()), read.replica.cost(TRUTH)
    for shape in unseen:
        assert step_ns(cost, shape) == pytest.approx(step_ns(true, shape), rel=0.03)


def test_a_model_that_is_wrong_by_half_shows_in_the_held_out_errors(tmp_path):
    read = profiles.read(write_profile(tmp_path))
    good = hold_out([read.steps(host=True)], FAR)
    stiff = [replace(one, spread=0.01) for one in parameters()]  # not allowed to leave a GPU's priors
    bad = hold_out([read.steps(host=True)], stiff)
    right, wrong = (np.abs(np.concatenate([part.errors for part in one])).mean() for one in (good, bad))
    assert right < 0.03
    assert wrong > 3 * right  # residuals mend much of it where neighbours were measured


def test_held_out_steps_are_every_shape_once_and_never_in_the_fit(tmp_path, monkeypatch):
    read = profiles.read(write_profile(tmp_path, repeats=2))
    seen: list[set[StepShape]] = []

    def spying(profiles, parameters):
        seen.append({shape for one in profiles for shape in one.shapes})
        return fit_steps(profiles, parameters)

    monkeypatch.setattr("calibrate.stepfit.fit_steps", spying)
    folds = hold_out([read.steps(host=True), read.steps(host=False)], FAR)
    assert len(folds) == FOLDS
    assert sum(len(part.points) for part in folds) == len(read.shapes)
    assert all(len(fitted) + len(part.points) == len(read.shapes) for fitted, part in zip(seen, folds, strict=True))


def test_residuals_mend_what_the_physics_misses_and_stay_at_one_where_it_is_right(tmp_path):
    bent = replica(tmp_path)
    cost = bent.cost(TRUTH)
    true = np.array([step_ns(cost, shape) / 1e6 for shape in shapes()])
    small = np.array(
        [0 < shape.prefill_tokens + shape.decode_seqs <= 64 and shape.prefill_seqs > 0 for shape in shapes()]
    )
    measured = np.where(small, 1.25 * true, true)
    steps = Steps(bent, tuple(shapes()), measured, np.full(len(true), 0.03), host=True)
    residuals = fit_residuals([steps], TRUTH)
    assert residuals.mixed[0] > 1.15
    assert residuals.mixed[-1] == pytest.approx(1.0, abs=0.05)
    assert np.allclose(residuals.decode, 1.0, atol=0.02)
    before, after = (np.abs(steps.predict_ms(TRUTH, one) / measured - 1).mean() for one in (None, residuals))
    assert after < before / 2


def test_residuals_never_make_a_larger_step_faster_nor_leave_their_bounds(tmp_path):
    wild = replica(tmp_path)
    cost = wild.cost(TRUTH)
    rng = np.random.default_rng(3)
    true = np.array([step_ns(cost, shape) / 1e6 for shape in shapes()])
    steps = Steps(
        wild, tuple(shapes()), true * rng.choice([0.02, 1.0, 40.0], len(true)), np.full(len(true), 0.03), host=True
    )
    residuals = fit_residuals([steps], TRUTH)
    assert all(0.25 <= one <= 4 for one in (*residuals.mixed, *residuals.decode))
    corrected = wild.cost(TRUTH, residuals)
    assert np.all(np.diff(corrected.mixed_fs[1:]) >= -1000)  # a picosecond of rounding
    assert np.all(np.diff(corrected.decode_fs[1:]) >= -1000)  # a picosecond of rounding


def test_a_few_measurements_move_the_residuals_less_than_many(tmp_path):
    one = replica(tmp_path)
    cost = one.cost(TRUTH)
    shape = prefill(1, 256)
    slow = 1.3 * step_ns(cost, shape) / 1e6
    few, many = (
        fit_residuals([Steps(one, (shape,) * count, np.full(count, slow), np.full(count, 0.2), host=True)], TRUTH)
        for count in (1, 50)
    )
    assert 1 < few.mixed[0] < many.mixed[0] < 1.35


def test_the_calibration_says_what_was_measured_and_how_wrong_it_is(tmp_path):
    found = calibrated(profiles.read(write_profile(tmp_path)))
    assert found.measured.gpus == ("cpu-x86-2core",)
    assert found.measured.models == ("LlamaForCausalLM",)
    assert (found.measured.max_num_seqs, found.measured.max_context) == (64, 2000)
    (score,) = found.card
    assert (score.held_out, score.metric, score.points) == ("shapes", "step", len(shapes()))
    assert score.mape < 0.03
    assert score.coverage is not None
    assert score.coverage >= 0.9
    assert len(found.parity) == len(shapes())


def test_engine_versions_and_gpus_are_never_pooled(tmp_path):
    old = profiles.read(write_profile(tmp_path / "a", vllm_version="0.31.0", repeats=1))
    new = profiles.read(write_profile(tmp_path / "b", repeats=1))
    with pytest.raises(InputError, match=r"vLLM 0\.31\.0 and 0\.32\.0, expected one version"):
        calibrated(old, new)
    other = profiles.read(write_profile(tmp_path / "c", gpu="h100-sxm-80gb", repeats=1))
    with pytest.raises(InputError, match="expected one GPU"):
        calibrated(new, other)


def test_an_earlier_calibration_is_a_prior_that_few_steps_update(tmp_path):
    earlier = calibrated(profiles.read(write_profile(tmp_path / "all")))
    few = profiles.read(write_profile(tmp_path / "few", repeats=1))
    cut = replace(few, shapes=few.shapes[:3], wall_ms=few.wall_ms[:3], model_ms=few.model_ms[:3])
    cut = replace(cut, wall_spread=few.wall_spread[:3], model_spread=few.model_spread[:3])
    with_prior, without = (calibrated(cut, prior=one) for one in (earlier, None))
    error = {
        name: abs(np.log(found.parameters["kv_16bit"] / TRUTH.kv_16bit))
        for name, found in (("with", with_prior), ("without", without))
    }
    assert error["with"] < 0.1 < error["without"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "nowhere.json"}, "cannot read the model's config"),
        ({"gpu": "h900"}, "unknown GPU 'h900'"),
        ({"engine": {"dtype": "float33"}}, "float33"),
    ],
)
def test_a_profile_of_something_unknown_is_one_sentence(tmp_path, change, says):
    write_profile(tmp_path, repeats=1, **change)
    with pytest.raises(InputError, match=says) as error:
        profiles.read(tmp_path)
    assert "profile.json" in str(error.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("prefill,0,x,1,36,0,0,1,3.0,2.0", "line 2: expected numbers"),
        ("prefill,0,8,1,36,0,0,1,2.0,3.0", "line 2: expected 0 < model_ms <= wall_ms"),
        ("prefill,0,8,1,36,0,0,1,nan,nan", "line 2"),
        ("prefill,0", "line 2: expected numbers"),
    ],
)
def test_a_damaged_step_is_one_sentence(tmp_path, line, says):
    write_profile(tmp_path, repeats=1)
    head = (tmp_path / "steps.csv").read_text().splitlines()[0]
    (tmp_path / "steps.csv").write_text(f"{head}\n{line}\n")
    with pytest.raises(InputError, match=says):
        profiles.read(tmp_path)


def test_a_profile_without_its_columns_or_keys_is_one_sentence(tmp_path):
    write_profile(tmp_path, repeats=1)
    (tmp_path / "steps.csv").write_text("kind,wall_ms\n")
    with pytest.raises(InputError, match="found no context_tokens"):
        profiles.read(tmp_path)
    (tmp_path / "profile.json").write_text(json.dumps({"model": "config.json"}))
    with pytest.raises(InputError, match="found no engine, gpu, vllm_version"):
        profiles.read(tmp_path)
