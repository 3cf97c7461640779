"""The page Triangle: every number that it draws, against the study layer asked directly."""

import json

import pytest

from sim.study.evaluation import Design
from sim.study.triangle import triangle
from tests.ui.app import SMALL, alts, charts, open_app, settled, traces
from ui.app.weighing import Weighed, weigh

SECOND = "deepseek-r1-distill-llama-70b"


@pytest.fixture(scope="module")
def page():
    return settled(open_app(page="triangle"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Weighed:
    path = tmp_path_factory.mktemp("triangle") / "small.yaml"
    path.write_text(SMALL)
    return weigh(Design(str(path)), SECOND)


def _point(figure: dict, name: str) -> tuple[dict, int]:
    for trace in figure["data"]:
        names = [one[0] for one in trace.get("customdata", ())]
        if name in names:
            return trace, names.index(name)
    raise AssertionError(f"{name} is not drawn")


def test_own_design_in_raw_units(page, own) -> None:
    _, speed, delay, flex = charts(page)
    values = own.evaluation.summary["values"]
    trace, i = _point(speed, "2 x 1 A100")
    tokens = [1000 / one["mean_tpot_ms"] for one in own.evaluation.replications]
    assert trace["x"][i] == pytest.approx(sum(tokens) / 3)
    assert trace["y"][i] == pytest.approx(values["output_throughput"]["mean"] / 2)
    trace, i = _point(delay, "2 x 1 A100")
    assert trace["x"][i] == pytest.approx(values["p99_ttft_ms"]["mean"])
    assert trace["y"][i] == pytest.approx(values["usd_per_1m_output_tokens"]["mean"])
    high = trace["error_x"]["array"][i]
    assert high == pytest.approx(values["p99_ttft_ms"]["high"] - values["p99_ttft_ms"]["mean"])
    trace, i = _point(flex, "2 x 1 A100")
    assert trace["x"][i] == pytest.approx(100 * own.flexibility.mean.mean)
    assert trace["y"][i] == pytest.approx(2 * 4.1171)


def test_axis_titles_have_units(page) -> None:
    _, *panels = charts(page)
    told = [(one["layout"]["xaxis"]["title"]["text"], one["layout"]["yaxis"]["title"]["text"]) for one in panels]
    assert told == [
        ("Tokens/s per user", "Output tokens/s per GPU"),
        ("P99 TTFT, ms", "USD per 1M output tokens"),
        ("Goodput kept, %", "USD an hour"),
    ]


def test_ternary_places_are_the_mix_of_scores_and_sizes_their_level(page) -> None:
    ternary = charts(page)[0]
    table = page.dataframe[0].value.set_index("Design")
    axes = ternary["layout"]["ternary"]
    assert [axes[key]["title"]["text"] for key in ("aaxis", "baxis", "caxis")] == ["Performance", "Cost", "Flexibility"]
    raw = ["Tokens/s per user", "USD per 1k good requests", "Goodput kept, %"]
    met = table[table["SLO"] == "met"][raw]
    best = (met[raw[0]].max(), met[raw[1]].min(), met[raw[2]].max())
    for name, row in table.iterrows():
        scores = [row[raw[0]] / best[0], best[1] / row[raw[1]], row[raw[2]] / best[2]]
        scores = [min(score, 1.0) for score in scores]
        trace, i = _point(ternary, name)
        mix = [trace[side][i] for side in "abc"]
        assert mix == pytest.approx([score / sum(scores) for score in scores], rel=2e-3)  # the table has four digits
        assert row["Score"] == pytest.approx(sum(scores) / 3, rel=2e-3)
        assert trace["marker"]["size"][i] == pytest.approx(4 + 12 * row["Score"] ** 0.5, rel=1e-3)


def test_one_colour_a_design_in_all_charts(page) -> None:
    figures = charts(page)
    for name in page.dataframe[0].value["Design"]:
        colours = {_point(figure, name)[0]["marker"]["color"] for figure in figures}
        assert len(colours) == 1, name


def test_designs_that_miss_the_slo_are_drawn_open() -> None:
    app = settled(open_app(SMALL.replace("ttft_ms: 500", "ttft_ms: 45"), page="triangle"))
    table = app.dataframe[0].value.set_index("Design")
    assert {"met", "not met"} == set(table["SLO"])
    for name, row in table.iterrows():
        for figure in charts(app)[1:]:
            trace, i = _point(figure, name)
            assert trace["marker"]["symbol"][i].endswith("-open") == (row["SLO"] == "not met")


def test_frontier_and_answer_are_the_studys(page, own) -> None:
    answered = triangle(["2 x 1 A100"], [own.evaluation], [own.flexibility])
    assert answered.places[0].raw[2].mean == pytest.approx(own.flexibility.mean.mean)
    table = page.dataframe[0].value
    rings = traces(charts(page)[0])["on the frontier"]
    assert len(rings["a"]) == (table["Frontier"] == "yes").sum() > 0


def test_the_answer_is_the_nearest_design_and_how_far_it_is(page) -> None:
    met = page.dataframe[0].value.query("SLO == 'met'").set_index("Design")
    most, least = met.max(), met.min()
    off = {
        name: max(
            1 - row["Tokens/s per user"] / most["Tokens/s per user"],
            row["USD per 1k good requests"] / least["USD per 1k good requests"] - 1,
            1 - row["Goodput kept, %"] / most["Goodput kept, %"],
        )
        for name, row in met.iterrows()
    }
    nearest = min(off, key=off.get)
    said = next(text.value for text in page.markdown if "comes nearest" in text.value)
    assert page.header[0].value == "No design is within 10 % of the best in all three"
    assert said.startswith(f"**{nearest}** comes nearest: where it is farthest from the best it is ")
    assert f"is {100 * off[nearest]:.0f} % off (95 % interval " in said
    wide = settled(open_app(page="triangle", near="200"))
    assert wide.header[0].value == f"Yes, {nearest} is within 200 % of the best in all three"


def test_stress_table_of_the_selected_design(page, own) -> None:
    told = page.table[0].value.map(lambda text: text.replace("\\", ""))
    assert list(told["Stress"]) == [kept.stress for kept in own.flexibility.kept]
    shares = [f"{100 * kept.share.mean:.1f}" if kept.applies else "-" for kept in own.flexibility.kept]
    assert [text.split(" ±")[0] for text in told["Goodput kept, %"]] == shares


def test_selection_rings_the_same_design_everywhere(page) -> None:
    app = settled(open_app(page="triangle", design="1 x 1 L40S"))
    assert app.selectbox(key="design").value == "1 x 1 L40S"
    for figure in charts(app)[1:]:
        trace, i = _point(figure, "1 x 1 L40S")
        ring = traces(figure)["selected"]
        assert (ring["x"], ring["y"]) == ([trace["x"][i]], [trace["y"][i]])


def test_near_optimal_slider_pales_dear_designs() -> None:
    app = settled(open_app(page="triangle", near="0"))
    table = app.dataframe[0].value.set_index("Design")
    met = table[table["SLO"] == "met"]
    cheapest = met["USD per 1k good requests"].idxmin()
    assert list(table.index[table["Near"] == "yes"]) == [cheapest]
    trace, i = _point(charts(app)[1], cheapest)
    assert trace["marker"]["opacity"][i] == 1


def test_weights_move_the_cross_and_the_scores() -> None:
    app = settled(open_app(page="triangle", w_performance="0", w_flexibility="0"))
    ternary = charts(app)[0]
    cross = traces(ternary)["your weights"]
    assert (cross["a"], cross["b"], cross["c"]) == ([0], [1], [0])
    table = app.dataframe[0].value.set_index("Design")
    cheapest = table["USD per 1k good requests"].min()
    for _, row in table.iterrows():
        assert row["Score"] == pytest.approx(cheapest / row["USD per 1k good requests"], rel=2e-3)


def test_every_chart_says_in_words_what_it_shows(page) -> None:
    assert len(alts(page)) == 4
    assert all(alt.endswith(".") and len(alt) > 20 for alt in alts(page))


def test_nothing_in_the_charts_is_no_number(page) -> None:
    text = json.dumps(charts(page))
    assert "NaN" not in text
    assert "Infinity" not in text
