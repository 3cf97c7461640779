"""The page Compare: every number that it draws, against the simulator asked directly."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest
import yaml
from scipy import stats

from sim import metrics
from sim.run import simulate
from sim.scenario.load import load
from sim.study.evaluation import Design, evaluate
from tests.ui.app import SMALL, alts, charts, open_app, settled, traces
from ui.app import whatif
from ui.app.comparing import MEASURES

OPENED = {"preset": "opened", "scenario": whatif.pack(SMALL)}
PIN = urlencode(OPENED | {"replicas": 1})
OTHER = urlencode(OPENED | {"gpu": "l40s-48gb", "replicas": 1})
ROWS = {row.label: row for row in MEASURES}


def opened(*pins, text=SMALL, **parameters):
    return settled(open_app(text, page="compare", pin=list(pins), **parameters))


@pytest.fixture(scope="module")
def page():
    return opened(PIN, OTHER)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def direct(saved):
    two, one = (evaluate(Design(str(saved), (f"fleet.0.replicas={n}",))) for n in (2, 1))
    other = evaluate(Design(str(saved), ("fleet.0.gpu=l40s-48gb", "fleet.0.replicas=1")))
    return {"A: 2 x 1 A100": two, "B: 1 x 1 A100": one, "C: 1 x 1 L40S": other}


def test_the_scenario_and_its_pins_stand_side_by_side(page, direct):
    table = page.dataframe[0].value.set_index("Design")
    assert list(table.index) == list(direct)
    for name, one in direct.items():
        values = one.summary["values"]
        assert table.loc[name, "SLO"] == one.summary["verdict"]
        assert table.loc[name, "P99 TTFT, ms"].split(" ±")[0] == f"{values['p99_ttft_ms']['mean']:,.0f}"
        assert table.loc[name, "Cost, USD an hour"].split(" ±")[0] == f"{values['usd_per_hour']['mean']:.2f}"
        share = one.summary["classes"][0]["values"]["good_share"]["mean"]
        assert table.loc[name, "Within the SLO, %"].split(" ±")[0] == f"{100 * share:.1f}"


def test_headline_is_the_cheapest_that_meets_the_slo(page, direct):
    prices = {
        name: one.summary["values"]["usd_per_hour"]["mean"]
        for name, one in direct.items()
        if one.summary["verdict"] == "met"
    }
    assert page.header[0].value == f"Cheapest that meets the SLO: {min(prices, key=prices.get)}"


def test_what_differs_are_the_keys_that_the_pins_changed(page):
    table = page.dataframe[1].value.set_index("Key")
    assert dict(table.loc["fleet.0.replicas"]) == {"A: 2 x 1 A100": "2", "B: 1 x 1 A100": "1", "C: 1 x 1 L40S": "1"}
    assert list(table.loc["fleet.0.gpu"]) == ["a100-sxm-80gb", "a100-sxm-80gb", "l40s-48gb"]
    assert set(table.index) == {"fleet.0.replicas", "fleet.0.gpu"}


@pytest.mark.parametrize("label", ["P99 TTFT, ms", "Output tokens/s", "USD per 1k good requests"])
def test_differences_are_paired_by_replication(page, direct, label):
    figure = charts(page)[0]
    key = ROWS[label].key
    base = [one[key] for one in direct["A: 2 x 1 A100"].replications]
    place = [tick.rstrip(" ↓↑") for tick in figure["layout"]["yaxis"]["ticktext"]].index(
        label.rpartition(",")[0] or label
    )
    for name in list(direct)[1:]:
        gaps = np.subtract([one[key] for one in direct[name].replications], base)
        trace = traces(figure)[name]
        i = [round(y) for y in trace["y"]].index(place)
        assert trace["x"][i] == pytest.approx(100 * gaps.mean() / np.mean(base))
        half = stats.t.ppf(0.975, 2) * gaps.std(ddof=1) / np.sqrt(3)
        assert trace["error_x"]["array"][i] == pytest.approx(100 * half / np.mean(base))
        assert trace["marker"]["symbol"][i].endswith("-open") == (abs(gaps.mean()) <= half)
        told = page.dataframe[2].value.set_index("Measure").loc[label, name]
        assert ("no real difference" in told) == (abs(gaps.mean()) <= half)
    assert figure["layout"]["xaxis"]["title"]["text"] == "Difference from A, %"


def test_latencies_are_distributed_as_in_the_run(page, saved):
    run = simulate(load(saved), progress=lambda done, of: None)
    for name, figure in zip(("ttft", "tpot"), charts(page)[1:3], strict=True):
        trace = traces(figure)["A: 2 x 1 A100"]
        for share, shown in zip(trace["y"], trace["x"], strict=True):
            each = [
                np.percentile(metrics.LATENCIES[name](one, metrics.finished(one)), share) for one in run.replications
            ]
            assert shown == pytest.approx(np.mean(each))
        band = traces(figure)["A: 2 x 1 A100, 95 % band"]
        count = len(trace["x"])
        assert all(low <= x for low, x in zip(band["x"][:count], trace["x"], strict=True))
        assert all(high >= x for high, x in zip(band["x"][count:][::-1], trace["x"], strict=True))
        limit = {"ttft": 500, "tpot": 50}[name]
        assert [(line["x0"], line["x1"]) for line in figure["layout"]["shapes"]] == [(limit, limit)]
        assert figure["layout"]["xaxis"]["title"]["text"] == f"{name.upper()}, ms"


def test_cost_bars_are_the_bills_of_the_pools(page, direct):
    figure = charts(page)[3]
    bars = {bar["y"][0]: bar["x"][0] for bar in figure["data"] if bar["type"] == "bar"}
    assert bars == {name: pytest.approx(one.summary["values"]["usd_per_hour"]["mean"]) for name, one in direct.items()}


def test_one_colour_a_design_in_all_charts(page, direct):
    found = {name: set() for name in direct}
    for figure in charts(page):
        for trace in figure["data"]:
            name = trace["y"][0] if trace["type"] == "bar" else trace["name"]
            if name in found:
                found[name].add((trace.get("marker") or trace["line"])["color"])
    colours = [next(iter(one)) for one in found.values()]
    assert all(len(one) == 1 for one in found.values())
    assert len(set(colours)) == 3


def test_another_base_by_link():
    app = opened(PIN, compare_against="B: 1 x 1 A100")
    assert app.selectbox(key="compare_against").value == "B: 1 x 1 A100"
    assert charts(app)[0]["layout"]["xaxis"]["title"]["text"] == "Difference from B, %"
    assert list(traces(charts(app)[0])) == ["A: 2 x 1 A100"]


def test_alone_it_says_how_to_pin():
    app = opened()
    assert app.header[0].value == "Nothing to compare with yet"
    assert any("carries all pins" in text.value for text in app.markdown)
    assert len(charts(app)) == 3, "latencies and cost are there all the same"


def test_the_scenario_itself_pinned_stands_once():
    app = opened(urlencode(OPENED))
    assert app.header[0].value == "Nothing to compare with yet"


def test_other_traffic_is_said_and_its_differences_are_wider(page):
    app = opened(urlencode(OPENED | {"rate": 10}))
    assert any("do not serve the same requests" in text.value for text in app.caption)
    assert not any("do not serve the same requests" in text.value for text in page.caption)


def test_a_broken_pin_is_a_sentence_and_can_be_dropped():
    app = opened("preset=nosuch", PIN)
    assert "Pin 1 cannot be opened. nosuch: no such" in app.error[0].value.replace("\\", "")
    app.button(key="compare_drop_1").click().run()
    settled(app)
    assert not app.error
    assert app.dataframe[0].value["Design"].tolist() == ["A: 2 x 1 A100", "B: 1 x 1 A100"]


def test_a_pin_that_cannot_be_simulated_leaves_the_others():
    app = opened(urlencode(OPENED | {"model": "deepseek-r1"}), PIN)
    assert "does not fit" in app.error[0].value
    assert app.dataframe[0].value["Design"].tolist() == ["A: 2 x 1 A100", "C: 1 x 1 A100"]


def test_one_replication_has_no_intervals():
    once = SMALL.replace("replications: 3", "replications: 1")
    scenario = {"preset": "opened", "scenario": whatif.pack(once)}
    app = opened(urlencode(scenario | {"replicas": 1}), text=once)
    table = app.dataframe[2].value.set_index("Measure")
    assert "(one replication)" in table.loc["P99 TTFT, ms", "B: 1 x 1 A100"]
    assert all(symbol.endswith("-open") for symbol in traces(charts(app)[0])["B: 1 x 1 A100"]["marker"]["symbol"])


def test_without_an_slo_there_is_still_a_comparison():
    free = {key: value for key, value in yaml.safe_load(SMALL).items() if key != "slo"}
    text = yaml.safe_dump(free)
    app = opened(urlencode({"preset": "opened", "scenario": whatif.pack(text), "replicas": 1}), text=text)
    assert app.header[0].value == "2 designs, none with an SLO"
    assert not charts(app)[1]["layout"].get("shapes")


def test_every_chart_says_in_words_what_it_shows(page):
    assert len(alts(page)) == 4
    assert all(alt.endswith(".") and len(alt) > 20 for alt in alts(page))
    assert "NaN" not in json.dumps(charts(page))
