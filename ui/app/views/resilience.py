"""Resilience: what drills and stresses do to the fleet when nobody touches it."""

from collections.abc import Sequence

import streamlit as st

from sim.errors import InputError
from sim.study.drills import CALM, NAMES, Drilled, drilled
from sim.study.flexibility import Flexibility
from ui.app import charts, numbers, outages, spotmap
from ui.app.designs import design, own_kind
from ui.app.drilling import COLUMNS, available, count, keeps, line, recovery, spent, verdict
from ui.app.frame import ask, current, live, note_hull, problem, progress
from ui.app.jobs import Answer, task
from ui.app.scene import Scene
from ui.app.second import second_model
from ui.app.weighing import weigh
from ui.app.words import WORDS, plain

WHAT = {
    "replica crash": "the oldest replica's engine process crashes",
    "node lost": "the fullest node falls silent",
    "zone lost": "all nodes of the first zone fall silent",
    "spot reclaim": "a third of the spot nodes get notice and are taken back",
    "retry storm": (
        "the fullest node is away for 7 minutes (a sixth of the traffic's time if that is less) among clients that "
        "wait 30 s and try three times more while nobody tells the engines"
    ),
    CALM: "nothing but what the scenario itself says",
}
ENDS = {"lost_requests": "Lost", "shed_requests": "Shed", "timed_out_requests": "Timed out"}


def main() -> None:
    """Draw the page: the chosen drill first, the others and the stresses as they come."""
    scene = current()
    chosen, second, mapped = choices(scene)

    def draw() -> bool:
        passes = [True, False] if scene.replications > 1 else [False]
        own = own_kind(scene)
        designs = {coarse: design(scene, own, scene.bar.replicas, coarse=coarse) for coarse in passes}
        order = list(dict.fromkeys([chosen, CALM, *NAMES]))
        wanted = [(name, coarse) for part in (order[:2], order[2:]) for coarse in passes for name in part]
        try:
            tasks = [task(drilled, designs[coarse], name) for name, coarse in wanted]
            stresses = [task(weigh, designs[coarse], second) for coarse in passes]
        except InputError as error:
            problem(str(error))
            return False
        answers = ask("drills", tasks)
        weighed = ask("stresses", stresses)
        known = latest(wanted, answers)
        failed = next((one.problem for one in answers if one.state == "failed"), "")
        if chosen in known:
            drill(scene, known[chosen], known.get(CALM))
        else:
            st.header("This drill cannot be simulated" if failed else "Simulating the drill ...", anchor=False)
        if failed:
            problem(failed)
        if known:
            every(scene, [known[name] for name in (CALM, *NAMES) if name in known])
        flexible(scene, weighed)
        cells = spot_map(scene, passes) if mapped else []
        return progress([*answers, *weighed, *cells], "simulations")

    live(draw)


def choices(scene: Scene) -> tuple[str, str | None, bool]:
    """The drill to look at, the model with which the fleet is restarted, and whether the spot map is wanted."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Drill",
            [*NAMES, CALM],
            NAMES.index("node lost"),
            key="resilience_drill",
            bind="query-params",
            help=WORDS["drill"],
            width=200,
        )
        second = second_model(scene, 280)
        mapped = st.toggle("Spot map", key="resilience_map", bind="query-params", help=WORDS["spot_map"])
    return chosen, second, mapped


def latest(wanted: Sequence[tuple[str, bool]], answers: Sequence[Answer]) -> dict[str, Drilled]:
    """Of each drill what rests on most replications."""
    found: dict[str, Drilled] = {}
    for (name, coarse), answer in zip(wanted, answers, strict=True):
        if answer.state == "done" and (name not in found or not coarse):
            found[name] = answer.value
    return found


def drill(scene: Scene, one: Drilled, calm: Drilled | None) -> None:
    """The chosen drill: what became of the requests, and when the fleet was back."""
    if one.evaluation is None:
        st.header(f"{one.name.capitalize()}: does not apply", anchor=False)
        st.markdown(plain(one.why_not))
        return
    note_hull(scene, one.evaluation)
    st.header(f"{one.name.capitalize()}: {verdict(one)}", anchor=False)
    st.markdown(f"A third into the traffic {WHAT[one.name]}." if one.name != CALM else f"{WHAT[CALM].capitalize()}.")
    cards(scene, one, calm)
    figure = outages.through_time(one, calm, own_kind(scene).look)
    charts.show(figure, alt_of_time(one), "resilience_time")
    count = len(one.outages)
    st.caption(
        f"Requests by the time at which they were sent, in bins of {one.through.width_s if one.through else 0} s, mean "
        f"over {count} replication{'' if count == 1 else 's'}{' with 95 % band' if count > 1 else ''}. Shaded: from "
        "the fall of a replica until as many are ready again, the darker in the more replications."
    )


def cards(scene: Scene, one: Drilled, calm: Drilled | None) -> None:
    """Goodput kept, recovery, requests and availability."""
    assert one.evaluation is not None
    needed = scene.loaded.scenario.slo.availability
    share = keeps(calm, [one])
    told = [
        ("Goodput kept", numbers.percent(share[0].share) if share else numbers.NOTHING, "goodput_kept"),
        ("Minutes to recover", recovery(one), "recovery_drill"),
        *((words, count(one.evaluation, key), key) for key, words in ENDS.items()),
        ("Retried", count(one.evaluation, "retried_requests"), "retried_requests"),
        ("Availability", numbers.percent(available(one.evaluation)), "availability"),
    ]
    if needed is not None:
        told.append(("Error budget used", numbers.percent(spent(one.evaluation)), "error_budget"))
    with st.container(horizontal=True):
        for label, value, word in told:
            st.metric(label, value, help=f"{WORDS[word]} {WORDS['interval']}", border=True, width="content")
    if needed is None:
        st.caption("The SLO states no availability (slo.availability), so there is no error budget to spend.")
    else:
        judged = one.evaluation.summary["availability_verdict"]
        words = {"met": "is met", "missed": "is missed", "undecided": "may or may not be met", None: "is met"}[judged]
        st.caption(f"{needed:g} % of the requests must be answered (slo.availability): this {words}.")


def alt_of_time(one: Drilled) -> str:
    """The chart in words."""
    through = one.through
    assert through is not None
    sent, good = sum(through.sent.mean), sum(through.good.mean)
    return (
        f"Requests a second through time under the drill {one.name}: of {sent:,.0f} sent {good:,.0f} were good; "
        f"{verdict(one)}."
    )


def every(scene: Scene, of: Sequence[Drilled]) -> None:
    """All drills side by side."""
    st.subheader("All drills", anchor=False)
    there = [one for one in of if one.longest]
    if there:
        worst = ", ".join(f"{one.name} {recovery(one)}" for one in there)
        charts.show(
            outages.recoveries(there, own_kind(scene).look), f"Minutes to recover by drill: {worst}.", "recoveries"
        )
    calm = next((one for one in of if one.name == CALM), None)
    rows = [line(one, calm) for one in of]
    columns = {"Drill": [one.name for one in of]} | {key: [row[key] for row in rows] for key in COLUMNS}
    st.dataframe(
        columns,
        hide_index=True,
        column_config={
            key: st.column_config.TextColumn(help=f"{WORDS[word]} {WORDS['interval']}") for key, word in COLUMNS.items()
        },
    )
    for one in of:
        if one.evaluation is None:
            st.caption(f"{one.name.capitalize()} does not apply: {plain(one.why_not)}")


def flexible(scene: Scene, weighed: Sequence[Answer]) -> None:
    """Flexibility, stress by stress."""
    st.subheader("Flexibility, stress by stress", anchor=False)
    done = [one.value.flexibility for one in weighed if one.state == "done"]
    failed = next((one.problem for one in weighed if one.state == "failed"), "")
    if not done:
        if failed:
            problem(failed)
        else:
            st.caption("The stresses are being simulated.")
        return
    found: Flexibility = done[-1]
    if found.mean.mean is None:
        st.markdown("No stress applies to this design.")
        return
    st.markdown(
        f"Flexibility **{numbers.percent(found.mean)}**: the mean over the stresses that apply.",
        help=f"{WORDS['flexibility']} {WORDS['interval']}",
    )
    least = min((one for one in found.kept if one.applies), key=lambda one: one.share.mean or 0.0)
    alt = f"Share of goodput kept under each stress; least under {least.stress}, {numbers.percent(least.share)}."
    charts.show(outages.kept(found.kept, own_kind(scene).look), alt, "stresses")
    for one in found.kept:
        if one.remark:
            st.caption(f"{one.stress.capitalize()}: {plain(one.remark)}")


def spot_map(scene: Scene, passes: Sequence[bool]) -> list[Answer]:
    """Goodput and cost over the share of spot nodes and how long these live; returns the answers it waits for."""
    st.subheader("Spot share against interruptions", anchor=False)
    try:
        asked = {coarse: ask(f"map {coarse}", spotmap.tasks(scene, coarse=coarse)) for coarse in passes}
    except InputError as error:
        problem(str(error))
        return []
    answers = [one for part in asked.values() for one in part]
    failed = next((one.problem for one in answers if one.state == "failed"), "")
    if failed:
        problem(failed)
    known = spotmap.known(*asked.values())
    if not known:
        st.caption("The first simulations of the map are running.")
        return answers
    charts.show(spotmap.figure(known), spotmap.in_words(known), "resilience_map_chart")
    st.caption(
        f"{len(known)} of {len(spotmap.CELLS)} cells, each a simulation of the scenario with so many of its replicas "
        "on spot nodes, none to spare. Lines: USD an hour. Hover for intervals."
    )
    return answers


main()
