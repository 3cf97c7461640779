"""Calibrated step times: the roofline with other efficiencies, factors by size, draws, the hull."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from sim import calibration as files
from sim import catalog, steptime
from sim.catalog.types import Layout
from sim.defaults import engine_defaults
from sim.errors import InputError
from sim.scenario import steptime as spec
from sim.scenario.engine import Engine
from sim.steptime.cost import StepCost, step_ns
from sim.steptime.efficiency import PRIOR, Efficiency
from sim.steptime.shape import StepShape
from tests.unit.calibration_files import calibration, draws, write

MODEL, GPU = catalog.model("llama-3.1-70b", Path()), catalog.gpu("h100-sxm-80gb")
ENGINE = Engine(max_num_seqs=64, max_num_batched_tokens=2048, max_model_len=4096)
DECODE = StepShape(decode_seqs=8, context_tokens=8000, sampled=8)
PREFILL = StepShape(prefill_tokens=2048, prefill_seqs=1, prefill_pairs=2048 * 2049 // 2, sampled=1)


def build(step_time: spec.StepTime, *, folder: Path = Path(), tp: int = 4, draw: int | None = None):
    defaults = engine_defaults(GPU, MODEL, ENGINE)
    return steptime.build(step_time, MODEL, GPU, Layout(tp, 1, False), ENGINE, defaults, folder, draw)


def calibrated(folder: Path, one: files.Calibration, *, tp: int = 4, draw: int | None = None):
    path = write(folder, one)
    return build(spec.Calibrated(kind="calibrated", calibration=path.name), folder=folder, tp=tp, draw=draw)


def roofline_cost() -> StepCost:
    return build(spec.Roofline(kind="roofline")).cost(2048, 64)


def test_a_calibration_that_states_the_priors_is_the_roofline(tmp_path):
    stated = {name: getattr(PRIOR, name) for name in ("memory", "gemm_8bit", "kernel_s", "collective_latency")}
    ours = calibrated(tmp_path, calibration(parameters=stated)).cost(2048, 64)
    for mine, theirs in zip(ours, roofline_cost(), strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("name", "shape", "slower"),
    [("decode", DECODE, True), ("mixed", DECODE, False), ("mixed", PREFILL, True), ("decode", PREFILL, False)],
)
def test_a_factor_scales_the_steps_of_its_kind_and_no_others(tmp_path, name, shape, slower):
    # Host time hides behind the device here, and logits and sampling are outside the factor.
    plain = calibrated(tmp_path, calibration(parameters={"host_step_s": 1e-9, "host_request_s": 1e-9})).cost(2048, 64)
    scaled = calibrated(
        tmp_path, calibration(name="twice", parameters={"host_step_s": 1e-9, "host_request_s": 1e-9, name: 2.0})
    ).cost(2048, 64)
    sampling = plain.sampled_fs[1 if shape is PREFILL else 8] // 1_000_000
    expected = 2 * step_ns(plain, shape) - sampling if slower else step_ns(plain, shape)
    assert step_ns(scaled, shape) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("name", [name for name in Efficiency.__dataclass_fields__ if name.endswith("_s")])
def test_no_time_falls_when_a_latency_rises(name):
    # By hand from the definition of each latency: times only add up, or hide behind a larger one.
    defaults = engine_defaults(GPU, MODEL, ENGINE)
    layout = Layout(4, 1, False)
    costs = [
        steptime.physics(MODEL, GPU, layout, ENGINE, defaults, Efficiency(**{name: value})).cost(2048, 64)
        for value in (1e-6, 1e-3)
    ]
    for shape in (DECODE, PREFILL):
        assert step_ns(costs[1], shape) >= step_ns(costs[0], shape)


def test_residual_factors_are_linear_between_sizes_and_constant_beyond(tmp_path):
    left = files.Residuals(tokens=(512, 1024), mixed=(1.0, 2.0), seqs=(8, 16), decode=(3.0, 1.0))
    cost, plain = calibrated(tmp_path, calibration(residuals=left)).cost(2048, 64), roofline_cost()
    for tokens, factor in ((100, 1.0), (512, 1.0), (768, 1.5), (1024, 2.0), (2048, 2.0)):
        assert cost.mixed_fs[tokens] == pytest.approx(plain.mixed_fs[tokens] * factor, abs=1)
        assert cost.comm_mixed_fs[tokens] == pytest.approx(plain.comm_mixed_fs[tokens] * factor, abs=1)
    for seqs, factor in ((1, 3.0), (12, 2.0), (64, 1.0)):
        assert cost.decode_fs[seqs] == pytest.approx(plain.decode_fs[seqs] * factor, abs=1)


def test_draws_replace_the_best_estimate_and_go_round(tmp_path):
    one = calibration(draws=draws({"decode": 1.1}, {"decode": 0.9}))
    times = [step_ns(calibrated(tmp_path, one, draw=draw).cost(2048, 64), DECODE) for draw in (None, 0, 1, 2)]
    assert times[1] > times[0] > times[2]
    assert times[3] == times[1]


def test_a_replica_that_was_not_measured_is_said_so(tmp_path):
    one = calibration()
    assert calibrated(tmp_path, one).reservations == ()
    (sentence,) = calibrated(tmp_path, one, tp=8).reservations
    assert "tensor_parallel_size 8" in sentence
    assert "only with 4" in sentence
    other = calibration(name="elsewhere", measured=one.measured.model_copy(update={"gpus": ("a100-sxm-80gb",)}))
    (sentence,) = calibrated(tmp_path, other).reservations
    assert "GPU h100-sxm-80gb" in sentence


def test_another_precision_or_eager_mode_is_said_so(tmp_path):
    one = calibration()
    other = one.measured.model_copy(update={"weight_dtypes": ("fp8",), "enforce_eager": True})
    said = calibrated(tmp_path, calibration(name="other", measured=other)).reservations
    assert ["weights in bfloat16" in said[0], "enforce_eager False" in said[1]] == [True, True]


def test_the_file_reads_back_as_it_was_written(tmp_path):
    one = calibration(draws=draws({"decode": 1.1, "memory": 0.7}), dropped=("2 rows: twice",))
    path = write(tmp_path, one)
    assert files.load(path.name, tmp_path) == one
    assert files.load(path.name, tmp_path).to_yaml() == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"surprise": 1}, "surprise"),
        ({"parameters": {"memory": -1}}, "parameters.memory"),
        ({"draws": {"names": ["memory"], "rows": [[0.1, 0.2]]}}, "a row has 2 values for 1 names"),
        ({"residuals": {"tokens": [2, 1], "mixed": [1, 1], "seqs": [1], "decode": [1]}}, "sizes must ascend"),
        ({"name": None}, "name"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, damage, said):
    text = yaml.safe_dump(calibration().model_dump(mode="json", exclude_defaults=True) | damage)
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        files.load("bad.yaml", tmp_path)
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_what_ships_and_an_unknown_efficiency_what_exists(tmp_path):
    with pytest.raises(InputError, match="neither a file nor shipped"):
        files.load("h100-vlm", tmp_path)
    with pytest.raises(InputError, match="found 'memroy', expected one of memory"):
        calibrated(tmp_path, calibration(parameters={"memroy": 0.8}))


@pytest.mark.parametrize("name", files.shipped())
def test_shipped_calibrations_have_provenance_a_card_draws_and_known_efficiencies(name):
    one = files.load(name, Path())
    assert one.name == name
    assert one.card
    assert one.parity
    assert one.draws is not None
    assert {*one.parameters, *one.draws.names} <= set(Efficiency.__dataclass_fields__)
    for gpu in one.measured.gpus:
        catalog.gpu(gpu)
