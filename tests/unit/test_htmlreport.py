"""The report of a run as one HTML file: what it says, what its charts hold, and that it asks nobody for anything."""

import importlib
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from sim import rundir
from sim.report import summarise
from sim.scenario.load import load
from sim.stats import t_interval
from tests.unit.small_fleet import run as simulate
from tests.unit.small_fleet import scenario
from tests.unit.synthetic_run import MS, REPLICA, random_replication, run, under_fire
from tests.unit.test_card_html import Page
from tests.unit.test_panels import requests_without_answer
from ui.cli import main
from ui.htmlplots import LEVELS
from ui.htmlreport import page

pytest.importorskip("plotly", reason='the page needs plotly: pip install "trilemma[ui]"')

HOSTILE = "<script>alert(1)</script><img src=https://example.com/x onerror=alert(2)>"


@pytest.fixture(scope="module")
def three():
    return run([random_replication(seed, n=300) for seed in (1, 2, 3)], slo={"ttft_ms": 700.0, "percentile": 95.0})


def chart(html, name):
    """Traces of a chart."""
    start = html.index(f'"{name}",', html.index("Plotly.newPlot(", html.index(f'id="{name}"'))) + len(name) + 3
    return json.JSONDecoder().raw_decode(html[start:].lstrip())[0]


def test_it_says_the_numbers_with_their_intervals(three):
    text, summary = Page(page(three)).text, summarise(three)
    ttft, rate = summary["p95_ttft_ms"], summary["request_throughput"]
    for words in (
        "by-hand",
        "3 replications, seed 7",
        f"{ttft.mean:,.0f} ± {ttft.half_width:,.0f} ms (P95)",
        f"{rate.mean:.2f} ± {rate.half_width:.2f} req/s",
        summary.classes[0].verdict.value,
        summary.bottleneck,
        *summary.warnings,
        "0123456789abcdef",  # the scenario's hash
        "Serving Benchmark Result",
        "ttft_ms: 700.0",
    ):
        assert words in text, words


def test_distributions_are_means_of_each_replications_percentiles(three):
    band, line = chart(page(three), "cdf-ttft")
    by_hand = [
        [np.percentile((one.first_token_ns - one.sent_ns) / MS, level) for one in three.replications]
        for level in LEVELS
    ]
    assert line["y"] == list(LEVELS)
    np.testing.assert_allclose(line["x"], [np.mean(one) for one in by_hand])
    n = len(LEVELS)
    np.testing.assert_allclose(band["x"][: n - 1 : -1], [t_interval(one).high for one in by_hand])
    low = np.maximum([t_interval(one).low for one in by_hand], min(line["x"]))
    np.testing.assert_allclose(band["x"][:n], low)


def test_goodput_counts_each_request_when_it_was_sent(three):
    traces = {trace["name"]: trace for trace in chart(page(three), "goodput")}
    width_s = 2 * traces["good"]["x"][0]
    for name, chosen in (("sent", lambda one: one.sent_ns >= 0), ("good", good)):
        counts = [
            np.histogram(one.sent_ns[chosen(one)] / 1e9, np.arange(len(traces[name]["y"]) + 1) * width_s)[0]
            for one in three.replications
        ]
        np.testing.assert_allclose(traces[name]["y"], np.mean(counts, axis=0) / width_s, err_msg=name)


def good(one):
    return one.first_token_ns - one.sent_ns <= 700 * MS


def test_the_replay_is_the_first_replication(three):
    names = {}
    for trace in chart(page(three), "replay"):
        names.setdefault(trace["name"], []).append(trace)
    width_s = names["generation"][0]["x"][0] * 2
    tokens = three.replications[0].requests.output_tokens.sum()
    assert sum(names["generation"][0]["y"]) * width_s == pytest.approx(tokens, rel=1e-3)
    assert len(names["P99"]) == 6  # three latencies, two lengths, queue time
    bars = chart(page(three), "worst")
    assert len(bars[0]["y"]) == 50


def test_a_fleet_under_fire_is_drawn_and_told():
    fire = run([under_fire(), under_fire()], slo={"availability": 99.0}, replicas=(REPLICA, REPLICA))
    html = page(fire)
    text = Page(html).text
    assert "Availability" in text
    assert "Given up by their clients" in text
    bars = {trace["name"]: trace for trace in chart(html, "replay") if trace["type"] == "bar"}
    assert (bars["ready"]["y"], bars["ready"]["base"], bars["ready"]["x"]) == (["base 0", "base 1"], [0, 0], [3, 10])
    assert (bars["dead"]["base"], bars["dead"]["x"]) == ([3], [7])
    failed = next(trace for trace in chart(html, "goodput") if trace["name"] == "failed")
    assert sum(failed["y"]) * 10 == pytest.approx(3)  # lost, shed and given up, in a bin of 10 s


def test_it_needs_nothing_from_elsewhere(three):
    html = page(three)
    tags = Page(html).tags
    assert not [(tag, attrs) for tag, attrs in tags if {"src", "href", "srcset", "action"} & set(attrs)]
    assert html.count("plotly.js v") == 1
    assert "default-src 'none'" in html


def test_texts_of_users_stay_texts(three):
    scenario = three.scenario | {"name": HOSTILE, "description": HOSTILE, "model": HOSTILE}
    first = three.replications[0]
    named = replace(first, requests=replace(first.requests, classes=(HOSTILE, "b"), klass=np.arange(300) % 2))
    html = page(replace(three, scenario=scenario, replications=(named,), provenance={"commit": HOSTILE}))
    tags = Page(html).tags
    assert not [tag for tag, _ in tags if tag in {"img", "iframe"}]
    assert "<script>alert" not in html
    assert "<img" not in html.partition("<body>")[2]


def test_a_run_without_an_answer_or_a_slo_is_told_in_sentences():
    text = Page(page(run([requests_without_answer()]))).text
    assert "No request was answered, so there are no latencies." in text
    assert "None was given" in text
    assert "one replication, so no intervals" in text


def test_the_same_run_gives_the_same_bytes(three, tmp_path):
    there = rundir.write(three, summarise(three), tmp_path / "run")
    assert page(rundir.read(there)) == page(three)


def test_the_scenario_in_it_is_the_runs(tmp_path):
    made = simulate(scenario({}, slo={"ttft_ms": 100.0}))
    text = Page(page(made)).text
    path = tmp_path / "again.yaml"
    path.write_text("schema_version" + text.rpartition("schema_version")[2])
    assert load(path).scenario.model_dump(mode="json") == made.scenario


def test_the_command_writes_beside_the_run_or_where_it_is_told(three, tmp_path, capsys, monkeypatch):
    there = rundir.write(three, summarise(three), tmp_path / "run")
    assert main(["report", str(there)]) == 0
    assert capsys.readouterr().out.strip() == str(there / "report.html")
    assert (there / "report.html").read_text().startswith("<!doctype html>")
    rundir.read(there)
    assert main(["report", str(there), "--out", str(tmp_path / "x.pdf")]) == 2
    assert "ends in .html" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "found no run.json" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert main(["report", str(there), "--out", str(tmp_path / "other.html")]) == 2
    assert 'pip install "trilemma[ui]"' in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


def test_it_works_without_streamlit(three, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("ui.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "streamlit", None)
    assert importlib.import_module("ui.htmlreport").page(three) == page(three)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_offline_with_charts(three, tmp_path, width, scheme):
    api = pytest.importorskip(
        "playwright.sync_api", reason='browser tests need playwright: pip install "trilemma[test]"'
    )
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("browser tests need Chromium, found none")
    path = tmp_path / "report.html"
    path.write_text(page(three))
    said, asked = [], []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        for name in ("cdf-ttft", "cdf-tpot", "cdf-e2el", "goodput", "replay", "worst"):
            tab.wait_for_selector(f"#{name} .trace")
        drawn = tab.eval_on_selector_all(
            ".js-plotly-plot",
            "all => all.map(one => [one.getBoundingClientRect().width, one.querySelectorAll('.trace, .point').length])",
        )
        scrolls = tab.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        text = tab.evaluate("getComputedStyle(document.querySelector('.js-plotly-plot .infolayer text')).fill")
        back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert (said, [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]) == ([], [])
    assert len(drawn) == 6
    assert all(wide > 200 and marks > 0 for wide, marks in drawn)
    assert not scrolls
    assert contrast(text, back) >= 4.5


def contrast(one, other):
    """Of two CSS colours, as WCAG 2.2 defines it."""

    def luminance(colour):
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
