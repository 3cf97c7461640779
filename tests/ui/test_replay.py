"""The Replay page: what it draws is the replication that `trilemma run` simulates."""

import json
import time
from pathlib import Path

import pytest
import yaml

from sim import metrics
from sim.report import summarise
from sim.run import simulate
from sim.scenario.load import load
from tests.unit.small_fleet import lengths

pytest.importorskip("streamlit", reason='the app needs streamlit: pip install "trilemma[ui]"')

from streamlit.testing.v1 import AppTest

from ui.app.whatif import pack

APP = Path(__file__).parents[2] / "ui" / "app" / "app.py"
SCENARIO = {
    "schema_version": 1,
    "name": "small-fire",
    "model": "deepseek-llm-7b",
    "workload": {
        "kind": "synthetic",
        "num_prompts": 600,
        "arrivals": {"kind": "poisson", "request_rate": 4.0},
        "lengths": lengths(100, 30, 0.5),
    },
    "engine": {"max_model_len": 512, "num_gpu_blocks_override": 200, "max_num_seqs": 16, "max_num_batched_tokens": 512},
    "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": 2}],
    "failures": [{"kind": "drill", "at": "0:00:30", "of": "replica", "index": 0}],
    "clients": {"timeout_s": 20, "retry": {}},
    "slo": {"ttft_ms": 200, "percentile": 90},
    "run": {"replications": 3},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "small.yaml"
    path.write_text(yaml.safe_dump(SCENARIO))
    return path


@pytest.fixture(scope="module")
def run(saved):
    return simulate(load(saved), progress=lambda done, of: None)


def opened(text, **parameters):
    """The page with everything simulated."""
    at = AppTest.from_file(str(APP), default_timeout=120)
    for key, value in {"preset": "opened", "scenario": pack(text), **parameters}.items():
        at.query_params[key] = value
    at.switch_page("views/replay.py")
    return settled(at)


def settled(at):
    for _ in range(240):
        at.run()
        assert not at.exception
        assert not at.title, [one.value for one in at.error]  # a scenario that cannot be read
        if any("simulations done" in one.value for one in at.caption):
            return at
        time.sleep(0.5)
    raise AssertionError("never done")


def charts(at):
    """Figures with their alt texts, by key."""
    return [(json.loads(one.proto.spec), one.proto.alt) for one in at.get("plotly_chart")]


def traces(figure, axis):
    return {trace["name"]: trace for trace in figure["data"] if trace.get("yaxis", "y") == axis}


def test_it_draws_the_chosen_replication_of_the_run(saved, run):
    at = opened(saved.read_text(), replay_replication="2")
    (time_figure, alt), (worst_figure, _) = charts(at)
    one = run.replications[1]
    rows = metrics.finished(one)
    titles = [note["text"] for note in time_figure["layout"]["annotations"] if note["text"].startswith("<b>")]
    assert titles[:3] == ["<b>Fleet</b>", "<b>E2E Request Latency</b>", "<b>Token Throughput</b>"]
    generated = traces(time_figure, "y3")["generation"]
    width_s = generated["x"][1] - generated["x"][0]
    assert sum(generated["y"]) * width_s == pytest.approx(metrics.answer_tokens(one)[rows].sum(), rel=1e-3)
    ready, failed = (traces(time_figure, "y")[name] for name in ("ready", "failure"))
    assert ("a 0", 0, 30) in list(zip(ready["y"], ready["base"], ready["x"], strict=True))  # until the drill
    assert (failed["x"], failed["y"]) == ([30], ["a 0"])
    assert time_figure["layout"]["hovermode"] == "x unified"
    slowest = metrics.ttft(one, rows).max()  # the SLO is on TTFT alone
    sums = {}
    for trace in worst_figure["data"]:
        for y, x in zip(trace["y"], trace["x"], strict=True):
            sums[y] = sums.get(y, 0) + x * (trace["name"] != "decode")
    scale = 1000 if "ms" not in worst_figure["layout"]["xaxis"]["title"]["text"] else 1
    assert sums[worst_figure["data"][0]["y"][0]] * scale == pytest.approx(slowest)
    assert "Replication 2 of 3" in alt
    assert "1 failure;" in alt
    assert f"{len(rows):,} answered" in " ".join(part.value for part in at.markdown)
    assert at.dataframe[0].value["Because of"].tolist()[0] == "crash"


def test_numbers_are_means_with_intervals_over_all_replications(saved, run):
    at = opened(saved.read_text())
    good = summarise(run).classes[0].values["good_share"].scaled(100)
    found = {one.label: one.value for one in at.metric}
    assert found["Goodput"] == f"{good.mean:,.1f} ± {good.half_width:,.1f} %"
    assert any("means over all 3 replications" in one.value for one in at.caption)


def test_the_window_narrows_the_axis(saved):
    at = opened(saved.read_text())
    next(one for one in at.slider if one.label == "From and to, s").set_value((20.0, 60.0))
    settled(at)
    assert charts(at)[0][0]["layout"]["xaxis"]["range"] == [20, 60]


def test_one_calm_replication_says_so(saved):
    calm = {key: value for key, value in SCENARIO.items() if key not in {"failures", "slo"}}
    at = opened(yaml.safe_dump(calm | {"run": {"replications": 1}}))
    said = " ".join(one.value for one in (*at.markdown, *at.caption))
    assert "every replica was ready from the start to the end" in said
    assert "only replication" in said
    assert "Slowest first" in said
    assert not [box for box in at.selectbox if box.label == "Replication"]


def test_what_cannot_be_simulated_is_a_sentence(saved):
    large = SCENARIO | {"engine": {}, "model": "deepseek-v3"}
    at = opened(yaml.safe_dump(large))
    assert at.header[0].value == "There is no run to replay."
    assert len(at.error) == 1
    assert "Traceback" not in at.error[0].value
