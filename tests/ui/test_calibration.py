"""The page Calibration: every number that it draws, against the calibration's file and the simulator asked directly."""

import json

import pytest
import yaml

from calibrate.learnt import learnt
from sim.calibration import load, shipped
from sim.run import simulate
from sim.scenario.load import load as load_scenario
from sim.study.evaluation import Design
from tests.ui.app import SMALL, alts, charts, open_app, settled, traces
from ui.app.hulls import card, operating, sides

NAME = "h100-vllm-bf16"
SCENARIO = yaml.safe_load(SMALL) | {
    "model": "qwen3-32b",
    "fleet": [{"pool": "base", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 2, "replicas": 2}],
    "step_time": {"kind": "calibrated", "calibration": NAME, "draws": 2},
}


def opened(data, **parameters):
    return settled(open_app(yaml.safe_dump(data), page="calibration", **parameters))


@pytest.fixture(scope="module")
def page():
    return opened(SCENARIO)


@pytest.fixture(scope="module")
def file():
    return load(NAME, None)


def _said(app):
    return " ".join(text.value.replace("\\", "") for text in (*app.markdown, *app.caption))


def test_a_design_like_those_measured(page):
    assert page.header[0].value.replace("\\", "") == f"Step times rest on {NAME}"
    assert "lie within what was measured" in _said(page)
    assert not page.warning


def test_the_card_is_the_files(page, file):
    table = page.dataframe[0].value
    assert list(table["Held out"]) == [one.held_out for one in file.card]
    assert list(table["MAPE, %"]) == [f"{100 * one.mape:.1f}" for one in file.card]
    assert list(table["Bias, %"]) == [f"{100 * one.bias:+.1f}" for one in file.card]
    assert list(table["In 95 % interval, %"]) == [f"{100 * one.coverage:.0f}" for one in file.card]
    for metric in page.metric:
        name = metric.label.removesuffix(" error").lower()
        largest = max(one.mape for one in file.card if one.metric == name and one.held_out != "priors")
        assert metric.value == f"{100 * largest:.1f} %"


def test_parity_and_errors_are_the_files_held_out_points(page, file):
    parity, errors = charts(page)[:2]
    rows = [one for one in file.parity if one.metric == "ttft"]
    for held_out in {one.held_out for one in rows}:
        mine = [one for one in rows if one.held_out == held_out]
        trace = traces(parity)[f"held out: {held_out}"]
        assert trace["x"] == [one.measured for one in mine]
        assert trace["y"] == [one.predicted for one in mine]
        tops = [y + more for y, more in zip(trace["y"], trace["error_y"]["array"], strict=True)]
        assert tops == pytest.approx([one.high for one in mine])
        low = [y - less for y, less in zip(trace["y"], trace["error_y"]["arrayminus"], strict=True)]
        assert low == pytest.approx([one.low for one in mine])
        shares = [100 * (one.predicted / one.measured - 1) for one in mine]
        assert traces(errors)[f"held out: {held_out}"]["y"] == pytest.approx(shares)
    near = sum(abs(one.predicted / one.measured - 1) <= 0.1 for one in rows)
    assert f"{near} of {len(rows)} held-out points of TTFT" in alts(page)[0]
    titles = [
        (one["layout"]["xaxis"]["title"]["text"], one["layout"]["yaxis"]["title"]["text"]) for one in charts(page)
    ]
    assert titles == [
        ("Measured TTFT, ms", "Predicted, ms"),
        ("Measured TTFT, ms", "Predicted / measured - 1, %"),
        ("Requests running at once", "Tokens a step"),
    ]


def test_another_metric_by_link(file):
    app = opened(SCENARIO, calibration_metric="TPOT")
    figure = charts(app)[0]
    assert figure["layout"]["xaxis"]["title"]["text"] == "Measured TPOT, ms"
    shown = [value for name, trace in traces(figure).items() if name.startswith("held out") for value in trace["x"]]
    assert sorted(shown) == sorted(one.measured for one in file.parity if one.metric == "tpot")


def test_replicas_in_the_box_that_was_measured(page, file, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SCENARIO))
    run = simulate(load_scenario(path, ["step_time.draws=0"]), progress=lambda done, of: None)
    figure = charts(page)[2]
    most = traces(figure)["most of a replica"]
    rows = [row for one in run.replications for row in one.counters]
    assert most["x"] == [row["peak_running"] for row in rows]
    assert most["y"] == [row["peak_step_tokens"] for row in rows]
    mean = traces(figure)["mean step of a replica"]
    assert mean["y"] == pytest.approx([(row["prefill_tokens"] + row["decode_tokens"]) / row["steps"] for row in rows])
    box = traces(figure)["measured"]
    assert (max(box["x"]), max(box["y"])) == (file.measured.max_num_seqs, file.measured.max_num_batched_tokens)
    assert set(page.dataframe[1].value["Inside"]) == {"yes"}


def test_which_of_the_shipped_cover_it(page):
    table = page.dataframe[2].value.set_index("Calibration")
    assert list(table.index) == shipped()
    assert list(table.index[table["Covers"] == "yes"]) == [NAME]
    assert table.loc["h100-vllm-fp8", "Outside in"] == "Model, Weights in"


def test_what_was_learnt(page, file):
    table = page.dataframe[3].value
    assert list(table["Efficiency"]) == [one.name for one in learnt(file)]
    assert list(table["Fitted"]) == [f"{one.fitted:.3g}" for one in learnt(file)]


def test_physics_alone_is_warned_of_and_a_measured_one_is_named():
    app = opened({key: value for key, value in SCENARIO.items() if key != "step_time"})
    assert app.header[0].value == "Step times rest on physics alone"
    assert "Roofline only" in app.warning[0].value
    assert app.selectbox(key="calibration_name").value == NAME
    assert f"Measured like this design: **{NAME}**" in " ".join(text.value for text in app.markdown)


def test_outside_is_said_in_the_simulators_own_words():
    app = opened(SCENARIO, gpu="a100-sxm-80gb")
    assert app.header[0].value.replace("\\", "") == f"Step times rest on {NAME}, outside what it was measured with"
    assert "was not measured with GPU a100-sxm-80gb" in app.warning[0].value.replace("\\", "")
    table = app.dataframe[1].value.set_index("Of")
    assert list(table.index[table["Inside"] == "no"]) == ["GPU"]
    assert any("outside what was measured" in badge.value for badge in app.markdown)


def test_the_app_and_the_simulator_agree_on_what_is_outside(tmp_path):
    long = {"kind": "uniform", "tokens": 3000, "range_ratio": 0.1}
    cases = {
        "": {},
        "GPU": {"fleet.0.gpu": "a100-sxm-80gb"},
        "Pipeline parallel": {"fleet.0.pipeline_parallel_size": 2},
        "Enforce eager": {"engine.enforce_eager": True},
        "Context, tokens": {"workload.lengths.input": long},
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SCENARIO | {"run": {"replications": 1}}))
    for what, changed in cases.items():
        settings = tuple(f"{key}={json.dumps(value)}" for key, value in changed.items())
        design = Design(str(path), ("step_time.draws=0", *settings))
        known = operating(design)
        warned = [one for one in known.evaluation.summary["warnings"] if "measured" in one]
        outside = [side.what for side in sides(card(design, NAME).calibration, known) if not side.inside]
        assert outside == ([what] if what else [])
        assert len(warned) == len(outside), warned


def test_a_calibration_that_is_not_there_is_a_sentence():
    app = opened(SCENARIO | {"step_time": {"kind": "calibrated", "calibration": "**mine**"}})
    assert "neither a file nor shipped" in app.error[0].value
    assert app.header[0].value == r"Step times rest on \*\*mine\*\*"


def test_residuals_of_another_calibration_by_link():
    name = "cpu-x86-2core-vllm-moe"
    app = opened(SCENARIO, calibration_name=name)
    left = load(name, None).residuals
    assert app.selectbox(key="calibration_name").value == name
    drawn = traces(charts(app)[3])
    assert drawn["steps with prefill, by tokens"]["y"] == list(left.mixed)
    assert drawn["decode-only steps, by requests"]["x"] == list(left.seqs)
    assert charts(app)[0]["layout"]["xaxis"]["title"]["text"] == "Measured step time, ms"


def test_what_cannot_be_simulated_is_a_sentence_beside_the_card():
    app = opened(SCENARIO, model="deepseek-r1")
    assert "does not fit" in app.error[0].value
    assert app.dataframe[0].value["Held out"].tolist()


def test_every_chart_says_in_words_what_it_shows(page):
    assert len(alts(page)) == 3
    assert all(alt.endswith(".") and len(alt) > 20 for alt in alts(page))
    assert "NaN" not in json.dumps(charts(page))
