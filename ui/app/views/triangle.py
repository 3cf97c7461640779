"""Triangle: performance, cost and flexibility of designs that serve the same requests."""

import csv
import io
from collections.abc import Sequence

import streamlit as st

from sim.study.triangle import Answer, Triangle, Verdict
from ui.app import charts, frame, legend, numbers, standing, theme
from ui.app.designs import design, link, own_kind
from ui.app.frame import ask, current, live, progress
from ui.app.jobs import task
from ui.app.planning import planned
from ui.app.scene import Scene
from ui.app.second import second_model
from ui.app.standing import Standing
from ui.app.ternary import panel, size, ternary
from ui.app.words import WORDS, plain

WIDTH = 472
# Pixels of a chart: two abreast on a usual screen, three on a wide one, one on a small one.

PANELS = (
    ("Tokens/s per user", "Output tokens/s per GPU"),
    ("P99 TTFT, ms", "USD per 1M output tokens"),
    ("Goodput kept, %", "USD an hour"),
)
SIDES = {
    "Tokens/s per user": lambda one: one.told.raw[0],
    "Output tokens/s per GPU": lambda one: one.tokens_per_gpu,
    "P99 TTFT, ms": lambda one: one.value("p99_ttft_ms"),
    "USD per 1k good requests": lambda one: one.told.raw[1],
    "USD per 1M output tokens": lambda one: one.value("usd_per_1m_output_tokens"),
    "Goodput kept, %": lambda one: one.told.raw[2].scaled(100),
    "USD an hour": lambda one: one.value("usd_per_hour"),
}


def main() -> None:
    """Draw the page; designs appear as they are simulated."""
    scene = current()

    def draw() -> bool:
        top = st.container()
        weights, within, second = choices(scene)
        own = design(scene, own_kind(scene), scene.bar.replicas, coarse=True)
        plans = ask("plan", [task(planned, own)])
        plan = plans[0].value if plans[0].state == "done" else None
        where = standing.places(scene, plan)
        if plans[0].state in {"waiting", "running"}:
            where = where[:1]
        coarse = ask("coarse", standing.tasks(scene, where, second, coarse=True))
        many = scene.replications > 1
        fine = ask("fine", standing.tasks(scene, where, second, coarse=False)) if many and plan else []
        all_, found = standing.standings(where, coarse, fine, within / 100)
        with top:
            headline(all_, found, within)
        if all_:
            drawings = st.container()
            selected = selection(all_)
            with drawings:
                figures(all_, weights, selected)
            card(scene, next(one for one in all_ if one.name == selected))
            table(all_, weights)
        for place, answer in zip(where, coarse, strict=False):
            if answer.state == "failed":
                st.caption(f"Without {plain(place.kind.name)}: {plain(answer.problem)}")
        return progress([*plans, *coarse, *fine], "designs")

    live(draw)


def choices(scene: Scene) -> tuple[tuple[float, float, float], int, str | None]:
    """Weights of the corners, what counts as near the best cost, and the second model."""
    with st.container(horizontal=True):
        weights = tuple(
            st.slider(
                f"Weight of {name}",
                0.0,
                1.0,
                1.0,
                0.1,
                key=f"w_{name}",
                bind="query-params",
                help=WORDS[name],
                width=180,
            )
            for name in ("performance", "cost", "flexibility")
        )
        within = st.slider(
            "Near the best, %",
            0,
            200,
            10,
            5,
            key="near",
            bind="query-params",
            help=WORDS["near_optimal"],
            width=180,
        )
        second = second_model(scene, 180)
    return (weights[0], weights[1], weights[2]), within, second


def headline(all_: Sequence[Standing], found: Triangle, within: int) -> None:
    """Whether one design is near the best in all three."""
    placed = [one for one in all_ if None not in one.told.scores]
    if not placed:
        st.header("Simulating designs and their stresses ..." if not all_ else "No design meets the SLO", anchor=False)
        st.markdown(
            "Scores are against the best design that meets the SLO." if all_ else "The first appear in seconds."
        )
        return
    answer = found.answer(within / 100)
    begin = {Verdict.YES: f"Yes, {answer.design}", Verdict.UNDECIDED: f"Perhaps {answer.design}"}
    asked = f"is within {within} % of the best in all three"
    st.header(f"{begin.get(answer.verdict, 'No design')} {asked}", anchor=False)
    first = [one.name for one in all_ if one.told.frontier]
    st.markdown(
        f"**{answer.design}** comes nearest: where it is farthest from the best it is {_gap(answer)}. {len(first)} "
        f"of {len(all_)} designs {'is' if len(first) == 1 else 'are'} beaten by none in performance, cost and "
        "flexibility together.",
        help=f"{WORDS['gap']} {WORDS['interval']}",
    )


def _gap(answer: Answer) -> str:
    gap = answer.gap.scaled(100)
    if gap.low is None or gap.high is None:
        return f"{gap.mean or 0.0:.0f} % off"
    chance = (
        "" if answer.probability is None else f"; the chance that one is near enough: {100 * answer.probability:.0f} %"
    )
    return f"{gap.mean or 0.0:.0f} % off (95 % interval {gap.low:.0f} to {gap.high:.0f} %{chance})"


def selection(all_: Sequence[Standing]) -> str:
    """The selected design: chosen here, by a click on a point, or by the link."""
    names = [one.name for one in all_]
    if st.session_state.get("design") not in names:
        st.session_state.pop("design", None)
    return st.selectbox("Selected design", names, key="design", bind="query-params", help="Or click on a point.")


def _select(name: str) -> None:
    st.session_state["design"] = name


def figures(all_: Sequence[Standing], weights: Sequence[float], selected: str) -> None:
    """The ternary, and beside it three panels in raw units."""
    kinds = dict.fromkeys(one.kind for one in all_)
    sizes = [legend.disc(f"score {score:.1f}", size(score)) for score in (0.5, 1.0)]
    rings = [legend.ring("on the frontier", theme.MUTED), legend.ring("selected", theme.LIMIT)]
    legend.legend(kinds, *rings, *sizes, legend.mark("+", "your weights"))
    with st.container(horizontal=True):
        best = max((one for one in all_ if one.score(weights)), key=lambda one: one.score(weights) or 0.0, default=None)
        alt = (
            f"Triangle with the corners performance, cost and flexibility and {len(all_)} designs. "
            f"{', '.join(one.name for one in all_ if one.told.frontier) or 'None'} on the frontier"
        )
        alt += f"; {best.name} has the highest weighted score, {best.score(weights):.2f}." if best else "."
        with st.container(width=WIDTH):
            charts.show(ternary(all_, weights, selected), alt, "ternary", select=_select)
        for number, (across, up) in enumerate(PANELS):
            figure = panel(all_, (across, SIDES[across]), (up, SIDES[up]), selected, log="TTFT" in across)
            with st.container(width=WIDTH):
                charts.show(figure, f"{up} over {across} of {len(all_)} designs.", f"panel_{number}", select=_select)
    st.caption(
        "In the triangle a point lies towards the corners in which it scores high; its size is its weighted score, 0 "
        "to 1 against the best design that meets the SLO. Open: does not meet the SLO. Pale: its cost is not near the "
        "best. Grey edge: on spot nodes. Lines are 95 % intervals."
    )


def card(scene: Scene, one: Standing) -> None:
    """The selected design in raw units, and what each stress leaves of it."""
    tokens, usd, kept = one.told.raw
    with st.container(horizontal=True):
        st.metric("Tokens/s per user", numbers.plus_minus(tokens, 1), help=WORDS["performance"], border=True)
        st.metric("USD per 1k good requests", numbers.usd(usd), help=WORDS["cost"], border=True)
        st.metric("Goodput kept", numbers.percent(kept), help=WORDS["flexibility"], border=True)
        minutes = one.weighed.flexibility.minutes_to_recover
        shown = (
            "not seen" if one.weighed.flexibility.not_recovered else "-" if minutes is None else f"{minutes:.1f} min"
        )
        st.metric("Longest recovery", shown, help=WORDS["recovery"], border=True)
    rows = one.weighed.flexibility.kept
    kept_of_each = [numbers.plus_minus(each.share.scaled(100), 1) if each.applies else numbers.NOTHING for each in rows]
    st.table(
        {
            "Stress": [plain(each.stress) for each in rows],
            "Goodput kept, %": [plain(share) for share in kept_of_each],
            "Minutes to recover": [plain(_minutes(each.minutes_to_recover, each.recovered)) for each in rows],
            "Remark": [plain(each.remark) for each in rows],
        },
        hide_index=True,
    )
    query = link(scene, one.kind, one.place.replicas)
    with st.container(horizontal=True):
        st.button("Use it", on_click=frame.use, args=(one.kind.gpu, one.kind.tp, one.kind.spot, one.place.replicas))
        frame.pin_button("Pin to compare", query)


def _minutes(minutes: float | None, recovered: bool | None) -> str:
    if minutes is not None:
        return f"{minutes:.1f}"
    return "not seen" if recovered is False else "-"


def table(all_: Sequence[Standing], weights: Sequence[float]) -> None:
    """All designs, to be sorted and taken along."""
    st.subheader("All designs", anchor=False)
    columns = _columns(all_, weights)
    st.dataframe(
        columns, hide_index=True, column_config={"Design": st.column_config.TextColumn(pinned=True, width=160)}
    )
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    st.download_button(
        "CSV", text.getvalue(), "triangle.csv", "text/csv", on_click="ignore", icon=":material/download:"
    )


def _columns(all_: Sequence[Standing], weights: Sequence[float]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {
        "Design": [one.name for one in all_],
        "SLO": ["met" if one.told.feasible else "not met" for one in all_],
        "Frontier": ["yes" if one.told.frontier else "" for one in all_],
        "Near": ["yes" if one.near else "" for one in all_],
        "Score": [None if (score := one.score(weights)) is None else round(score, 3) for one in all_],
    }
    for side in ("Tokens/s per user", "USD per 1k good requests", "Goodput kept, %", "P99 TTFT, ms", "USD an hour"):
        values = [SIDES[side](one) for one in all_]
        found[side] = [_rounded(value.mean) for value in values]
        if any(numbers.reach(value) is not None for value in values):
            found[f"± {side}"] = [_rounded(numbers.reach(value)) for value in values]
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


main()
