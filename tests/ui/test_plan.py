"""The page Plan: every number that it draws, against the simulator asked directly."""

import pytest
import yaml

from sim.study.evaluation import Design, Evaluation, evaluate
from tests.ui.app import SMALL, alts, charts, open_app, settled, traces

A100 = 4.1171
"""USD a GPU-hour on demand, prices.yaml."""


@pytest.fixture(scope="module")
def plan():
    return settled(open_app())


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Evaluation]:
    """By replicas."""
    path = tmp_path_factory.mktemp("plan") / "small.yaml"
    path.write_text(SMALL)
    return {n: evaluate(Design(str(path), (f"fleet.0.replicas={n}",))) for n in range(1, 6)}


def test_headline_names_the_fleet_its_price_and_the_verdict(plan) -> None:
    assert plan.header[0].value == f"2 replicas of 1 x A100: ${2 * A100:.2f} an hour, meets the SLO"


def test_cards_tell_the_summary_against_the_slo(plan, direct) -> None:
    told = direct[2].summary["classes"][0]["values"]
    goodput, ttft, tpot, cost = plan.metric
    assert [card.label for card in plan.metric] == ["Goodput", "P90 TTFT", "P90 TPOT", "Cost an hour"]
    assert goodput.value.startswith(f"{100 * told['good_share']['mean']:.1f} ± ")
    assert ttft.value.startswith(f"{told['p90_ttft_ms']['mean']:.1f} ± ")
    assert tpot.value.startswith(f"{told['p90_tpot_ms']['mean']:.1f} ± ")
    assert cost.value == f"${2 * A100:.2f}"
    assert [card.delta for card in plan.metric] == [
        "SLO: at least 90 %",
        "SLO: at most 500 ms",
        "SLO: at most 50 ms",
        f"${2 * A100 * 730:,.0f} a month",
    ]


def test_hero_draws_the_good_share_of_each_number_of_replicas(plan, direct) -> None:
    (figure,) = charts(plan)
    own = traces(figure)["1 x A100"]
    shares = [one.summary["classes"][0]["values"]["good_share"] for one in direct.values()]
    assert own["x"] == [1, 2, 3, 4, 5]
    assert own["y"] == pytest.approx([100 * share["mean"] for share in shares])
    assert own["marker"]["symbol"] == ["circle"] * 5  # filled: all replications are in
    band = traces(figure)["1 x A100, 95 % band"]
    highs, lows = band["y"][:5], band["y"][5:][::-1]
    assert lows == pytest.approx([100 * share["low"] for share in shares])
    assert highs == pytest.approx([100 * share["high"] for share in shares])


def test_hero_says_units_marks_the_slo_and_the_first_that_meets_it(plan, direct) -> None:
    (figure,) = charts(plan)
    assert figure["layout"]["xaxis"]["title"]["text"] == "Replicas"
    assert figure["layout"]["yaxis"]["title"]["text"] == "Requests within the SLO, %"
    assert [(shape["y0"], shape["y1"]) for shape in figure["layout"]["shapes"]] == [(90, 90)]
    first = min(n for n, one in direct.items() if one.summary["verdict"] == "met")
    assert traces(figure)["1 x A100: first that meets the SLO"]["x"] == [first]
    assert f"1 x A100 from {first}" in alts(plan)[0]


def test_across_cost_the_axis_is_dollars() -> None:
    app = settled(open_app(across="cost"))
    (figure,) = charts(app)
    assert figure["layout"]["xaxis"]["title"]["text"] == "Cost of the fleet, USD an hour"
    assert traces(figure)["1 x A100"]["x"] == pytest.approx([n * A100 for n in range(1, 6)], rel=1e-6)


def test_why_is_the_summarys_bottleneck(plan, direct) -> None:
    why = next(text.value for text in plan.markdown if text.value.startswith("**Why:**"))
    assert why.replace("\\", "") == f"**Why:** {direct[2].summary['bottleneck']}"


def test_a_move_sets_the_bar_to_its_fleet() -> None:
    app = settled(open_app())
    assert "saves" in next(text.value for text in app.markdown if "an hour; goodput" in text.value)
    app.button(key="move_0").click().run()
    assert app.selectbox(key="gpu").value == "l40s-48gb"
    assert app.number_input(key="replicas").value == 1
    settled(app)
    assert app.header[0].value == "1 replica of 1 x L40S: $1.86 an hour, meets the SLO"
    assert any("No cheaper fleet" in text.value for text in app.markdown)


def test_nothing_meets_impossible_limits_and_a_sentence_says_why() -> None:
    scenario = yaml.safe_load(SMALL)
    scenario["slo"] = {"ttft_ms": 1.0, "tpot_ms": 50.0, "percentile": 90}
    app = settled(open_app(yaml.safe_dump(scenario)))
    assert "misses the SLO" in app.header[0].value
    assert any(heading.value == "No fleet meets the SLO" for heading in app.subheader)
    assert any("Even idle replicas are too slow" in error.value for error in app.error)


def test_without_an_slo_there_is_still_an_answer() -> None:
    scenario = yaml.safe_load(SMALL)
    del scenario["slo"]
    app = settled(open_app(yaml.safe_dump(scenario)))
    assert "has no SLO" in app.header[0].value
    assert not charts(app)[0]["layout"].get("shapes")


def test_a_model_that_does_not_fit_is_a_sentence() -> None:
    app = settled(open_app(model="deepseek-r1"))
    assert app.header[0].value == "This scenario cannot be simulated"
    assert "does not fit" in app.error[0].value


def test_the_first_answer_is_there_before_the_others() -> None:
    """One design is asked for first, so a page has a headline while the rest is still simulated."""
    app = open_app(SMALL.replace("seed: 1", "seed: 77"))
    for _ in range(200):
        if app.metric:
            break
        app.run()
    assert app.metric
    assert any(button.label == "Cancel" for button in app.button)


def test_cancel_stops_and_go_on_resumes() -> None:
    app = open_app(SMALL.replace("seed: 1", "seed: 78"))
    app.button(key="cancel_simulations").click().run()
    assert any(caption.value.startswith("Cancelled after") for caption in app.caption)
    app.button(key="go_on_simulations").click().run()
    settled(app)
    assert app.metric[0].label == "Goodput"
