"""Replay: one run of the scenario, as its operator would see it."""

from collections.abc import Sequence

import streamlit as st

from sim.errors import InputError
from sim.study.evaluation import Evaluation
from ui.app import charts, numbers
from ui.app.designs import design, own_kind
from ui.app.frame import ask, current, live, note_hull, problem, progress
from ui.app.jobs import evaluation, task
from ui.app.replay import Replay, replay
from ui.app.replay_words import alt_of_time, alt_of_worst, ends, shown
from ui.app.scene import Scene
from ui.app.words import WORDS, plain
from ui.graphs import clock
from ui.runplots import through_time
from ui.worstplot import waterfall


def main() -> None:
    """Draw the page: first the one replication, then what all of them come to."""
    scene = current()
    number = which(scene)
    own = design(scene, own_kind(scene), scene.bar.replicas, coarse=False)
    try:
        tasks = [task(replay, own, number), evaluation(own)]
    except InputError as error:
        problem(str(error))
        return

    def draw() -> bool:
        answers = ask("replay", tasks)
        one, every = answers
        if one.state == "failed":
            st.header("There is no run to replay.", anchor=False)
            problem(one.problem)
        elif one.state != "done":
            st.header("Simulating this run ...", anchor=False)
        else:
            headline(scene, one.value)
            cards(scene, every.value if every.state == "done" else None)
            panels(scene, one.value)
            worst(one.value)
            events(one.value)
        if every.state == "failed" and one.state == "done":
            problem(every.problem)
        return progress(answers, "simulations")

    live(draw)


def which(scene: Scene) -> int:
    """The replication to look at, from 0."""
    if scene.replications == 1:
        return 0
    options = [str(number) for number in range(1, scene.replications + 1)]
    chosen = st.selectbox(
        "Replication", options, key="replay_replication", bind="query-params", help=WORDS["replication"], width=140
    )
    return int(chosen) - 1


def headline(scene: Scene, one: Replay) -> None:
    """How long it took and what became of the requests."""
    st.header(f"{sum(one.counts.values()) - one.counts['NOT_SENT']:,} requests in {shown(one.end_s)}", anchor=False)
    st.markdown(
        f"{plain(scene.name)}, replication {one.number + 1} of {one.replications}, seed "
        f"{scene.loaded.scenario.run.seed}: {plain(ends(one))}."
    )


def cards(scene: Scene, every: Evaluation | None) -> None:
    """What all replications come to, with intervals, beside the one that is drawn."""
    if every is None:
        st.caption("The means over all replications are being simulated.")
        return
    note_hull(scene, every)
    ttft, tpot = (numbers.latency(every, metric) for metric in ("ttft", "tpot"))
    used = numbers.value(every, "kv_cache_usage")
    told = [
        ("Goodput", numbers.percent(numbers.good_share(every)), "goodput_share"),
        (ttft[0], numbers.ms(ttft[1]), "ttft"),
        (tpot[0], numbers.ms(tpot[1]), "tpot"),
        ("KV occupancy", numbers.percent(used), "kv_cache_usage"),
    ]
    with st.container(horizontal=True):
        for label, value, word in told:
            st.metric(label, value, help=f"{WORDS[word]} {WORDS['interval']}", border=True, width="content")
    count = len(every.replications)
    st.caption(
        f"These are means over all {count} replications, ± their 95 % interval. What follows is one of them, so it has "
        "no intervals: choose another one to see what chance does."
        if count > 1
        else "This is the only replication, so nothing is known of its chance: more need run.replications above 1."
    )


def panels(scene: Scene, one: Replay) -> None:
    """The fleet, and the panels of vLLM's Grafana dashboard, over one time axis."""
    unit, second = clock(one.end_s)
    whole = round(one.end_s / second, 2)
    window = st.slider(
        f"From and to, {unit}",
        0.0,
        whole,
        (0.0, whole),
        key=f"replay_window_{scene.sha256}_{one.number}",
        help="Narrows all panels to this part of the run; dragging over a panel does the same.",
    )
    if not one.counts["FINISHED"]:
        st.markdown("No request was answered, so the panels of latencies, tokens and lengths have no lines.")
    figure = through_time(one, window if window[0] < window[1] else None)
    charts.show(figure, alt_of_time(one), "replay_time")
    there = one.lives
    rest = f" {there.hidden} of {there.in_all} replicas, those to which least happened, are not drawn."
    rest = rest if there.hidden else ""
    st.caption(
        f"Replication {one.number + 1} of {one.replications}, in bins of {one.bins.width_s:g} s. Panels, titles and "
        "order are those of vLLM's Grafana dashboard; a latency counts where it ended, TTFT at the first token, and "
        f"only answered requests have any. Scheduler state and cache are sampled, sums over the fleet.{rest}"
    )


def worst(one: Replay) -> None:
    """The requests that are furthest beyond the SLO."""
    many = len(one.worst) > 1
    st.subheader(f"The worst {len(one.worst)} answered requests" if many else "The worst request", anchor=False)
    if not one.worst:
        st.markdown("No request was answered in this replication, so there is none to take apart.")
        return
    judged = one.worst[0].over is not None
    st.caption(
        ("Furthest beyond their SLO first" if judged else "Slowest first, as there is no SLO")
        + ". Retried: the tries before the one that was answered, with the pauses between. Time lost to a preemption "
        "is part of prefill before the first token and of decode after it, as vLLM counts it."
    )
    charts.show(waterfall(one.worst), alt_of_worst(one), "replay_worst")


def events(one: Replay) -> None:
    """What happened to the fleet, as a table."""
    found = one.lives.events
    st.subheader("What happened to the fleet", anchor=False)
    if not found:
        st.markdown("Nothing: every replica was ready from the start to the end.")
        return
    if len(found) < one.lives.events_in_all:
        st.caption(f"The first {len(found)} of {one.lives.events_in_all:,} changes.")
    columns: dict[str, Sequence[object]] = {
        "Time, s": [round(event.at_s, 1) for event in found],
        "Replica": [event.place for event in found],
        "Node": [event.node if event.node >= 0 else None for event in found],
        "Becomes": [event.stage for event in found],
        "Because of": [event.why for event in found],
    }
    st.dataframe(columns, hide_index=True, height=min(38 + 35 * len(found), 360))


main()
