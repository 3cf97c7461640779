"""The page Resilience: every number that it draws, against the simulator asked directly."""

import json
import math

import pytest
import yaml

from sim.study.drills import CALM, NAMES, drilled
from sim.study.evaluation import Design, evaluate
from tests.ui.app import alts, charts, open_app, settled, traces
from ui.app.weighing import weigh

SCENARIO = {
    "schema_version": 1,
    "name": "small-fire",
    "model": "deepseek-llm-7b",
    "workload": {
        "kind": "synthetic",
        "num_prompts": 4000,
        "arrivals": {"kind": "poisson", "request_rate": 20.0},
        "lengths": {
            "kind": "separate",
            "input": {"kind": "uniform", "tokens": 100, "range_ratio": 0.5},
            "output": {"kind": "uniform", "tokens": 30, "range_ratio": 0.5},
        },
    },
    "engine": {"max_model_len": 512, "max_num_seqs": 1, "max_num_batched_tokens": 512},
    "fleet": [
        {
            "pool": "a",
            "gpu": "h100-sxm-80gb",
            "tensor_parallel_size": 4,
            "replicas": 4,
            "zones": [{"zone": "x"}, {"zone": "y"}],
        }
    ],
    "clients": {"timeout_s": 20, "retry": {}},
    "recovery": {"node_grace_s": 20, "toleration_s": 10, "repair": {"kind": "fixed", "s": 30}},
    "slo": {"ttft_ms": 300, "e2el_ms": 1000, "percentile": 90, "availability": 99},
    "run": {"seed": 3, "replications": 3},
}
TEXT = yaml.safe_dump(SCENARIO)
FEW = {"num_prompts": 600, "arrivals": {"kind": "poisson", "request_rate": 4.0}}
SHORT = SCENARIO | {"workload": SCENARIO["workload"] | FEW, "run": {"replications": 1}}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("resilience") / "small.yaml"
    path.write_text(TEXT)
    return Design(str(path))


@pytest.fixture(scope="module")
def direct(own):
    return {name: drilled(own, name) for name in (CALM, *NAMES)}


@pytest.fixture(scope="module")
def page():
    return settled(open_app(TEXT, page="resilience"))


def _metrics(page):
    return {one.label: one.value for one in page.metric}


def test_cards_are_the_drilled_runs_numbers_and_calms(page, direct):
    lost, calm = (direct[name].evaluation for name in ("node lost", CALM))
    shares = [
        min(one[0]["good"] / before[0]["good"], 1.0)
        for one, before in zip(lost.classes, calm.classes, strict=True)  # the same requests are sent in both
    ]
    told = _metrics(page)
    assert told["Goodput kept"].split(" ±")[0] == f"{100 * sum(shares) / 3:.1f}"
    values = lost.summary["values"]
    assert told["Availability"].split(" ±")[0] == f"{100 * values['availability']['mean']:.1f}"
    unanswered = 1 - values["availability"]["mean"]
    assert float(told["Error budget used"].split(" ±")[0].replace(",", "")) == pytest.approx(
        unanswered / 0.01 * 100, abs=0.06
    )
    assert float(told["Retried"].split(" ±")[0].replace(",", "")) == pytest.approx(
        values["retried_requests"]["mean"], abs=0.5
    )
    assert values["retried_requests"]["mean"] > 0, "or the test shows nothing"
    assert values["availability"]["mean"] < 1 or told["Error budget used"].startswith("0")


def test_goodput_through_time_with_its_band_and_the_outage(page, direct):
    figure = charts(page)[0]
    one = direct["node lost"]
    width = one.through.width_s
    drawn = traces(figure)
    assert drawn["good"]["y"] == pytest.approx([good / width for good in one.through.good.mean])
    assert drawn["sent"]["y"] == pytest.approx([sent / width for sent in one.through.sent.mean])
    assert sum(drawn["sent"]["y"]) * width == pytest.approx(4000)
    count = len(one.through.good.mean)
    band = drawn["good, 95 % band"]["y"]
    assert band[:count] == pytest.approx([high / width for high in one.through.good.high])
    assert band[count:][::-1] == pytest.approx([max(low, 0) / width for low in one.through.good.low])
    usual = direct[CALM].through.good.mean
    assert drawn["good without the drill"]["y"] == pytest.approx([good / width for good in usual])
    outages = [mark for replication in one.outages for mark in replication]
    boxes = figure["layout"]["shapes"]
    assert [(box["x0"], box["x1"]) for box in boxes] == [
        (pytest.approx(mark.start_s), pytest.approx(min(mark.whole_s or math.inf, count * width))) for mark in outages
    ]
    assert outages[0].start_s == pytest.approx(4000 / 20 / 3, rel=0.1), "a third into the traffic"
    assert figure["layout"]["xaxis"]["title"]["text"] == "Time of sending since the start, s"
    assert figure["layout"]["yaxis"]["title"]["text"] == "Requests/s"


def test_minutes_to_recover_of_every_replication_and_their_mean(page, direct):
    figure = charts(page)[1]
    assert figure["layout"]["xaxis"]["title"]["text"] == "Minutes to recover"
    drawn = traces(figure)
    told = [(minutes, name) for name in (CALM, *NAMES) for minutes in direct[name].longest if minutes is not None]
    dots = drawn["a replication"]
    assert list(zip(dots["x"], dots["y"], strict=True)) == [(pytest.approx(minutes), name) for minutes, name in told]
    assert len(told) >= 6
    crosses = drawn["did not recover while the traffic lasted"]["y"]
    assert 0 < crosses.count("node lost") < 3
    lost = crosses.count("node lost")
    assert page.header[0].value == f"Node lost: did not recover while the traffic lasted in {lost} of 3 replications"
    means = drawn["mean, 95 % interval"]
    assert "replica crash" in means["y"]
    assert "node lost" not in means["y"], "there is no mean where some never ended"
    for name, mean, reach in zip(means["y"], means["x"], means["error_x"]["array"], strict=True):
        found = direct[name].longest
        assert mean == pytest.approx(sum(found) / 3)
        assert reach == pytest.approx(direct[name].recovery.high - mean, abs=1e-9)


def test_the_table_has_every_drill(page, direct):
    table = page.dataframe[0].value.set_index("Drill")
    assert list(table.index) == [CALM, *NAMES]
    assert (table.loc["spot reclaim"] == "-").all()
    assert any("no spot nodes" in one.value for one in page.caption)
    for name in (CALM, "replica crash", "node lost", "zone lost", "retry storm"):
        lost = direct[name].evaluation.summary["values"]["lost_requests"]["mean"]
        assert float(table.loc[name, "Lost"].split(" ±")[0].replace(",", "")) == pytest.approx(lost, abs=0.5)
    assert table.loc[CALM, "Goodput kept, %"].startswith("100.0")


def test_flexibility_by_stress(page, own):
    found = weigh(own, "deepseek-r1-distill-llama-70b").flexibility
    bars = charts(page)[2]["data"][0]
    there = [one for one in found.kept if one.applies]
    assert bars["y"] == [one.stress for one in there]
    assert bars["x"] == pytest.approx([100 * one.share.mean for one in there])
    assert bars["error_x"]["array"] == pytest.approx([100 * (one.share.high - one.share.mean) for one in there])
    assert any(f"{100 * found.mean.mean:.1f}" in text.value for text in page.markdown if "Flexibility" in text.value)


def test_a_link_to_another_drill():
    app = settled(open_app(TEXT, page="resilience", resilience_drill="replica crash"))
    assert app.header[0].value.startswith("Replica crash: ")
    assert "engine process crashes" in " ".join(text.value for text in app.markdown)


def test_a_drill_that_does_not_apply_is_a_sentence():
    app = settled(open_app(TEXT, page="resilience", resilience_drill="spot reclaim"))
    assert app.header[0].value == "Spot reclaim: does not apply"
    assert any("no spot nodes" in text.value.replace("\\", "") for text in app.markdown)


def test_a_fleet_that_never_comes_back_says_so():
    """Both replicas lie on one node, whose replacement comes after the traffic has ended."""
    fleet = [{"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 4, "replicas": 2}]
    scenario = {key: value for key, value in SHORT.items() if key not in {"clients", "recovery"}}
    app = settled(open_app(yaml.safe_dump(scenario | {"fleet": fleet}), page="resilience"))
    assert app.header[0].value == "Node lost: did not recover while the traffic lasted"
    assert _metrics(app)["Minutes to recover"] == "did not recover"
    crosses = traces(charts(app)[1])["did not recover while the traffic lasted"]
    assert "node lost" in crosses["y"]


def test_without_availability_there_is_no_error_budget():
    scenario = SHORT | {"slo": {"e2el_ms": 1000}}
    app = settled(open_app(yaml.safe_dump(scenario), page="resilience"))
    assert "Error budget used" not in _metrics(app)
    assert any("no error budget" in one.value for one in app.caption)


def test_the_spot_map_is_goodput_and_cost_of_every_cell(tmp_path):
    text = yaml.safe_dump(SHORT)
    app = settled(open_app(text, page="resilience", resilience_map="true"))
    figure = charts(app)[-1]
    heat, lines = figure["data"]
    path = tmp_path / "small.yaml"
    path.write_text(text)
    for row, life in ((0, 0.25), (4, 168.0)):
        pool = SHORT["fleet"][0] | {
            "pool": "a-spot",
            "market": "spot",
            "spot": {"reclaims": {"kind": "hazard", "mean_life_hours": life}},
        }
        values = evaluate(Design(str(path), (f"fleet={json.dumps([pool])}",))).summary
        column = heat["x"].index(100)
        assert heat["z"][row][column] == pytest.approx(100 * values["classes"][0]["values"]["good_share"]["mean"])
        assert lines["z"][row][column] == pytest.approx(values["values"]["usd_per_hour"]["mean"])
    steady = evaluate(Design(str(path))).summary["values"]
    assert [row[0] for row in lines["z"]] == pytest.approx([steady["usd_per_hour"]["mean"]] * 5)
    assert figure["layout"]["yaxis"]["ticktext"] == ["15 min", "1 h", "4 h", "1 day", "1 week"]
    assert "25 of 25 cells" in " ".join(text.value for text in app.caption)


def test_what_cannot_be_simulated_is_a_sentence():
    app = settled(open_app(yaml.safe_dump(SCENARIO | {"model": "deepseek-v3", "engine": {}}), page="resilience"))
    assert app.header[0].value == "This drill cannot be simulated"
    assert "does not fit" in app.error[0].value


def test_every_chart_says_in_words_what_it_shows(page):
    assert all(alt.endswith(".") and len(alt) > 20 for alt in alts(page))
    assert "NaN" not in json.dumps(charts(page))
