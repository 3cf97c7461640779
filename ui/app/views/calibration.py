"""Calibration: what the step times rest on, how wrong they are, and whether this design is like what was measured."""

from collections.abc import Sequence

import streamlit as st

from sim.calibration import Calibration, shipped
from sim.errors import InputError
from sim.scenario.steptime import Calibrated
from ui.app import charts, parity
from ui.app.designs import design, own_kind
from ui.app.errorcard import PRIORS, covers_table, learnt_table, scores_table, sides_table, worst
from ui.app.frame import ask, current, live, note_hull, problem, progress
from ui.app.hulls import Card, Operating, card, operating, sides
from ui.app.jobs import Answer, task
from ui.app.scene import Scene
from ui.app.words import WORDS, plain
from ui.commands.card import METRICS

OTHERS = {
    "table": "a table of measured steps, interpolated",
    "opdb": "NVIDIA's measured latencies of operations (aiconfigurator)",
}
# Step times that are neither the roofline's nor calibrated.


def main() -> None:
    """Draw the page: the card first, then where the design stands to what was measured."""
    scene = current()
    named = choice(scene)

    def draw() -> bool:
        passes = [True, False] if scene.replications > 1 else [False]
        own = own_kind(scene)
        designs = [design(scene, own, scene.bar.replicas, coarse=coarse, more=draws(scene)) for coarse in passes]
        try:
            read = [task(card, designs[0], named)]
            runs = [task(operating, one) for one in designs]
        except InputError as error:
            problem(str(error))
            return False
        answers, simulated = ask("card", read), ask("operating", runs)
        (shown,) = answers
        known: Operating | None = next((one.value for one in reversed(simulated) if one.state == "done"), None)
        headline(scene, known, shown.value)
        if shown.state == "failed":
            problem(shown.problem)
        if shown.state == "done":
            scores(shown.value.calibration)
            parities(shown.value.calibration)
        where(scene, shown.value if shown.state == "done" else None, known, simulated)
        others(shown.value, known)
        if shown.state == "done":
            learnt(shown.value)
            provenance(shown.value.calibration)
        return progress([*answers, *simulated], "parts")

    live(draw)


def own_calibration(scene: Scene) -> str | None:
    """The one that the scenario names."""
    step_time = scene.loaded.scenario.step_time
    return step_time.calibration if isinstance(step_time, Calibrated) else None


def draws(scene: Scene) -> tuple[str, ...]:
    """The page needs no posterior draws."""
    return ("step_time.draws=0",) if own_calibration(scene) else ()


def choice(scene: Scene) -> str:
    """The calibration to look at: the scenario's own, else one of its first GPU's family."""
    mine = own_calibration(scene)
    names = shipped() if mine is None or mine in shipped() else [mine, *shipped()]
    family = scene.loaded.scenario.fleet[0].gpu.partition("-")[0]
    usual = mine or next((name for name in names if name.startswith(family)), names[0])
    return st.selectbox(
        "Calibration",
        names,
        names.index(usual),
        key="calibration_name",
        bind="query-params",
        help=WORDS["calibration"],
        width=320,
    )


def headline(scene: Scene, known: Operating | None, shown: Card | None) -> None:
    """What the step times rest on, and what to beware of."""
    step_time = scene.loaded.scenario.step_time
    mine = own_calibration(scene)
    if known is not None:
        note_hull(scene, known.evaluation)
    warned = [one for one in known.evaluation.summary["warnings"] if "measured" in one] if known is not None else []
    if mine is not None:
        outside = ", outside what it was measured with" if warned else ""
        st.header(f"Step times rest on {plain(mine)}{outside}", anchor=False)
    elif step_time.kind in {"roofline", "split"}:
        st.header("Step times rest on physics alone", anchor=False)
        st.warning(
            "Roofline only: nothing was measured on your engine. The efficiencies are the catalogue's; how wrong such "
            f"predictions are stands below as “held out: {PRIORS}”.",
            icon=":material/warning:",
        )
        if shown is None or known is None:
            return
        fits = [name for name, one in shown.shipped.items() if all(side.inside for side in sides(one, known))]
        if fits:
            st.markdown(
                f"Measured like this design: **{', '.join(fits)}**. To rest on it, write "
                f"`step_time: {{kind: calibrated, calibration: {fits[0]}}}` into the scenario."
            )
        else:
            st.markdown("No shipped calibration was measured with a design and traffic like this.")
        return
    else:
        st.header(f"Step times rest on {OTHERS[step_time.kind]}", anchor=False)
    for one in warned:
        st.warning(plain(one), icon=":material/warning:")
    if known is not None and not warned:
        st.markdown("This design and its traffic lie within what was measured.")


def scores(calibration: Calibration) -> None:
    """The error card: of predictions of what no fit had seen."""
    st.subheader(f"How wrong {calibration.name} is", anchor=False)
    st.caption(f"{plain(calibration.engine)}, calibrated {calibration.date}. {plain(calibration.description)}")
    if not calibration.card:
        st.markdown("Too few measurements to hold any out: nothing is known of its errors.")
        return
    with st.container(horizontal=True):
        for one in worst(calibration.card):
            label = f"{METRICS[one.metric]} error"
            st.metric(
                label,
                f"{one.mape:.1%}".replace("%", " %"),
                f"bias {one.bias:+.1%}".replace("%", " %"),
                delta_color="off",
                delta_arrow="off",
                help=WORDS["mape"].format(held_out=one.held_out, points=one.points),
                border=True,
                width=200,
            )
    columns = scores_table(calibration.card)
    st.dataframe(columns, hide_index=True, column_config={key: HELP[key] for key in columns if key in HELP})


HELP = {
    "Held out": st.column_config.TextColumn(help=WORDS["held_out"]),
    "MAPE, %": st.column_config.TextColumn(help="Mean absolute error, as a share of what was measured."),
    "Bias, %": st.column_config.TextColumn(help="Mean error: above 0, predictions are too high."),
    "P50, %": st.column_config.TextColumn(help="Median of the absolute error."),
    "P90, %": st.column_config.TextColumn(help="90th percentile of the absolute error."),
    "P99, %": st.column_config.TextColumn(help="99th percentile of the absolute error."),
    "In 95 % interval, %": st.column_config.TextColumn(
        help="Share of the points whose measurement lies in the prediction's 95 % interval: 95 would be right."
    ),
}


def parities(calibration: Calibration) -> None:
    """Predicted against measured, of one metric."""
    rows = [one for one in calibration.parity if one.measured > 0 and one.predicted > 0]
    if not rows:
        st.markdown("No held-out points are kept with it, so there is no parity plot.")
        return
    metrics = list(dict.fromkeys(one.metric for one in rows))
    names = {METRICS[one]: one for one in metrics}
    if st.session_state.get("calibration_metric") not in names:
        st.session_state.pop("calibration_metric", None)
    shown = st.segmented_control(
        "Metric",
        list(names),
        default=next(iter(names)),
        key="calibration_metric",
        bind="query-params",
        required=True,
        help=WORDS["held_out_metric"],
    )
    metric = names[shown]
    mine = [one for one in rows if one.metric == metric]
    near = sum(abs(one.predicted / one.measured - 1) <= parity.TENTH for one in mine)
    words = f"{near} of {len(mine)} held-out points of {shown} lie within 10 % of what was measured."
    left, right = st.columns(2)
    with left:
        charts.show(parity.parity(mine, shown), f"Predicted over measured: {words}", "calibration_parity")
    with right:
        charts.show(parity.errors(mine, shown), f"Errors over measured: {words}", "calibration_errors")
    st.caption(
        f"{words} Bars are the predictions' 95 % intervals; open: the queue grew, so a small error of a step becomes a "
        f"large one. “{PRIORS}” are predictions without any fit."
    )


def where(scene: Scene, shown: Card | None, known: Operating | None, simulated: Sequence[Answer]) -> None:
    """The hull of what was measured, and the design."""
    st.subheader("What was measured, and this design", anchor=False)
    failed = next((one.problem for one in simulated if one.state == "failed"), "")
    if failed:
        problem(failed)
    if shown is None or known is None:
        if not failed:
            st.caption("The design is being simulated to see where its steps lie.")
        return
    rows = sides(shown.calibration, known)
    st.dataframe(sides_table(rows, shown.calibration.name), hide_index=True)
    outside = [one.what for one in rows if not one.inside]
    words = f"outside in {', '.join(outside)}" if outside else "inside in everything"
    figure = parity.coverage(known.points, shown.calibration.measured, own_kind(scene).look)
    alt = f"Tokens a step over requests running at once of each replica, and the box that was measured: {words}."
    charts.show(figure, alt, "calibration_hull")
    st.caption(
        "A filled symbol is the mean step of one replica in one replication, an open one the most that it ever had at "
        "once; the box is what was measured. Beyond it step times are extrapolated by physics."
    )


def others(shown: Card | None, known: Operating | None) -> None:
    """Whether another shipped calibration covers the design."""
    if shown is None or known is None:
        return
    st.subheader("Does a shipped calibration cover this design?", anchor=False)
    st.dataframe(covers_table(shown.shipped, known), hide_index=True)


def learnt(of: Card) -> None:
    """Efficiencies, and what the physics left over."""
    st.subheader("What was learnt", anchor=False)
    st.dataframe(
        learnt_table(of.learnt),
        hide_index=True,
        column_config={
            "Efficiency": st.column_config.TextColumn(
                help="Share of a peak, seconds (_s), or a factor of the physics."
            ),
            "Learnt, %": st.column_config.TextColumn(
                help="How much of the prior's uncertainty the measurements removed."
            ),
        },
    )
    left = of.calibration.residuals
    if left is None:
        return
    furthest = max((*left.mixed, *left.decode), key=lambda one: abs(one - 1))
    alt = f"Factors on step times by the size of a step, linear in between; furthest from 1: {furthest:.2f}."
    charts.show(parity.residuals(left), alt, "calibration_residuals")
    st.caption("What the physics left over: factors on the part of a step's time that depends on its size.")


def provenance(of: Calibration) -> None:
    """Where the measurements came from."""
    with st.expander("Sources, and measurements that were not used"):
        lines = [*of.sources, *(f"Not used: {one}" for one in of.dropped)]
        st.markdown("\n".join(f"- {plain(one)}" for one in lines))


main()
