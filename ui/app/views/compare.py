"""Compare: pinned designs side by side, and which of their differences are more than chance."""

from collections.abc import Sequence

import streamlit as st

from sim.errors import InputError
from sim.study.evaluation import Evaluation
from ui.app import charts, numbers
from ui.app.bar import scene_of
from ui.app.compared import LATENCIES, Compared, compared
from ui.app.comparing import MEASURES, NO_DIFFERENCE, cost, distribution, forest, told
from ui.app.contenders import Contender, contenders, differences, same_requests
from ui.app.frame import ask, current, live, pinned, problem, progress, unpin
from ui.app.jobs import Answer, Task, task
from ui.app.scene import Scene
from ui.app.words import WORDS, plain

VERDICTS = {"met": "met", "missed": "missed", "undecided": "undecided", None: "none set"}


def main() -> None:
    """Draw the page: all designs in one replication, then in all."""
    all_ = contenders(scenes(current()))
    base = against(all_)

    def draw() -> bool:
        many = any(one.scene.replications > 1 for one in all_)
        coarse, fine = ([] if not wanted else tasks(all_, coarse=of) for of, wanted in ((True, True), (False, many)))
        answers = ask("coarse", coarse), ask("fine", fine)
        known = latest(all_, *answers)
        told_by = [(one, known[one.letter]) for one in all_ if one.letter in known]
        headline(all_, told_by)
        for one, *each in zip(all_, *(part for part in answers if part), strict=True):
            failed = next((answer.problem for answer in each if answer.state == "failed"), "")
            if failed:
                problem(f"{one.name} cannot be simulated. {failed}")
        if told_by:
            side_by_side(told_by)
        what_differs(all_)
        if len(told_by) > 1 and base.letter in known:
            paired(base, told_by)
        if told_by:
            latencies(told_by)
            costs(told_by)
        return progress([*answers[0], *answers[1]], "simulations")

    live(draw)


def scenes(own: Scene) -> list[Scene]:
    """The scenario on the left, and the pinned ones."""
    found = [own]
    for number, pin in enumerate(pinned(), start=1):
        try:
            one = scene_of(pin)
        except InputError as error:
            problem(f"Pin {number} cannot be opened. {error}")
            st.button("Drop this pin", key=f"compare_drop_{number}", on_click=unpin, args=(pin,))
            continue
        if one.sha256 not in {each.sha256 for each in found}:
            found.append(one)
    return found


def against(all_: Sequence[Contender]) -> Contender:
    """The design with which the others are compared."""
    if len(all_) == 1:
        return all_[0]
    named = {one.name: one for one in all_}
    if st.session_state.get("compare_against") not in named:
        st.session_state.pop("compare_against", None)
    chosen = st.selectbox(
        "Compared with", list(named), key="compare_against", bind="query-params", help=WORDS["paired"], width=320
    )
    return named[chosen]


def tasks(all_: Sequence[Contender], *, coarse: bool) -> list[Task]:
    """A simulation a design."""
    return [task(compared, one.design(coarse=coarse)) for one in all_]


def latest(all_: Sequence[Contender], coarse: Sequence[Answer], fine: Sequence[Answer]) -> dict[str, Compared]:
    """By letter; in all replications once all designs are, for differences are between equals."""
    ended = bool(fine) and all(one.state in {"done", "failed"} for one in fine)
    answers = fine if ended else coarse
    return {one.letter: answer.value for one, answer in zip(all_, answers, strict=True) if answer.state == "done"}


def headline(all_: Sequence[Contender], known: Sequence[tuple[Contender, Compared]]) -> None:
    """The cheapest that meets the SLO."""
    if not known:
        st.header(f"Simulating {len(all_)} design{'' if len(all_) == 1 else 's'} ...", anchor=False)
        return
    if len(all_) == 1:
        st.header("Nothing to compare with yet", anchor=False)
        st.markdown(
            "This is the scenario on the left alone. Pin it (above), change it, and both stand here; or pin designs "
            "in Triangle. The link of this page carries all pins."
        )
        return
    met = [(one, each.evaluation) for one, each in known if each.evaluation.summary["verdict"] == "met"]
    priced = [(one, each) for one, each in met if numbers.value(each, "usd_per_hour").mean is not None]
    if priced:
        first, best = min(priced, key=lambda pair: numbers.value(pair[1], "usd_per_hour").mean or 0.0)
        st.header(f"Cheapest that meets the SLO: {first.name}", anchor=False)
        dollars = numbers.usd(numbers.value(best, "usd_per_hour")).replace("$", r"\$")
        st.markdown(f"At {dollars} an hour; {len(met)} of {len(known)} designs meet their SLO.")
    elif any(each.evaluation.summary["verdict"] for _, each in known):
        st.header(f"None of {len(known)} designs meets its SLO" if not met else "Prices are unknown", anchor=False)
    else:
        st.header(f"{len(known)} designs, none with an SLO", anchor=False)
    if not same_requests([one.scene for one in all_]):
        st.caption(
            "They do not serve the same requests (workload or run.seed differ), so what differs between them is chance "
            "too: intervals are wider than between designs that do."
        )


def side_by_side(known: Sequence[tuple[Contender, Compared]]) -> None:
    """A row a design."""
    st.subheader("Side by side", anchor=False)
    all_ = [each.evaluation for _, each in known]
    shown = [one for one in MEASURES if any(one.of(each).mean is not None for each in all_)]
    columns = {
        "Design": [one.name for one, _ in known],
        "SLO": [VERDICTS[each.summary["verdict"]] for each in all_],
    } | {one.label: [numbers.plus_minus(one.of(each), one.digits) for each in all_] for one in shown}
    st.dataframe(
        columns,
        hide_index=True,
        column_config={
            "Design": st.column_config.TextColumn(pinned=True),
            "SLO": st.column_config.TextColumn(help=WORDS["slo"]),
        }
        | {one.label: st.column_config.TextColumn(help=f"{WORDS[one.word]} {WORDS['interval']}") for one in shown},
    )


def what_differs(all_: Sequence[Contender]) -> None:
    """Keys in which the scenarios differ."""
    if len(all_) < 2:
        return
    st.subheader("What differs between the scenarios", anchor=False)
    rows = differences([one.scene for one in all_])
    if not rows:
        st.markdown("Nothing but their names.")
        return
    columns = {"Key": list(rows)} | {
        one.name: [row[number] for row in rows.values()] for number, one in enumerate(all_)
    }
    st.dataframe(columns, hide_index=True, height=min(38 + 35 * len(rows), 360))


def paired(base: Contender, known: Sequence[tuple[Contender, Compared]]) -> None:
    """Differences from the base, by replication."""
    st.subheader(f"Differences from {base.name}", anchor=False)
    usual = next(each.evaluation for one, each in known if one == base)
    others = [(one, each.evaluation) for one, each in known if one != base]
    alt = f"Differences from {base.name} in per cent. " + " ".join(in_words(one, each, usual) for one, each in others)
    charts.show(forest(base, others, usual), alt, "compare_forest")
    st.caption(
        f"Paired by replication: mean difference in per cent of the mean of {base.letter}, and its 95 % interval. Open "
        f"symbols: the interval contains 0, so there is {NO_DIFFERENCE}, or there is only one replication. ↓ less is "
        "better, ↑ more is better."
    )
    shown = [one for one in MEASURES if any(one.less(each, usual).mean is not None for _, each in others)]
    columns = {"Measure": [row.label for row in shown]} | {
        one.name: [told(row.less(each, usual), row.digits) for row in shown] for one, each in others
    }
    st.dataframe(columns, hide_index=True)


def in_words(contender: Contender, one: Evaluation, usual: Evaluation) -> str:
    """What differs for sure, for those who cannot see the chart."""
    gaps = [(row, row.less(one, usual)) for row in MEASURES]
    real = [f"{row.label} {told(gap, row.digits)}" for row, gap in gaps if gap.mean is not None and gap.mean != 0.0]
    return f"{contender.name}: {'; '.join(real) or NO_DIFFERENCE}."


def latencies(known: Sequence[tuple[Contender, Compared]]) -> None:
    """Distributions of TTFT and TPOT, with the limits of the SLOs."""
    st.subheader("Latencies", anchor=False)
    for name, column in zip(LATENCIES, st.columns(2), strict=True):
        limits: dict[float, str] = {}
        for _, each in known:
            limit = numbers.worst_class(each.evaluation)["slo_ms"].get(name)
            if limit is not None:
                limits.setdefault(limit, f"SLO: {limit:,g} ms")
        medians = ", ".join(
            f"{one.name} {numbers.ms(numbers.value(each.evaluation, f'median_{name}_ms'))}" for one, each in known
        )
        alt = f"Distribution of {name.upper()} of answered requests, a line a design; medians: {medians}."
        with column:
            charts.show(distribution(known, name, limits), alt, f"compare_{name}")
    st.caption(
        "Share of the answered requests within a latency: quantiles of each replication, averaged, with 95 % bands. "
        "Dashed red: limits of the SLO."
    )


def costs(known: Sequence[tuple[Contender, Compared]]) -> None:
    """USD an hour."""
    st.subheader("Cost", anchor=False)
    priced = [
        (one, each.evaluation) for one, each in known if numbers.value(each.evaluation, "usd_per_hour").mean is not None
    ]
    for one, each in known:
        if numbers.value(each.evaluation, "usd_per_hour").mean is None:
            st.caption(f"{plain(one.name)}: neither the catalogue nor the scenario has a price for each of its GPUs.")
    if not priced:
        return
    words = ", ".join(f"{one.name} {numbers.usd(numbers.value(each, 'usd_per_hour'))}" for one, each in priced)
    charts.show(cost(priced), f"Cost of each fleet in USD an hour: {words}.", "compare_cost")
    st.caption("A piece a pool of the fleet, as the run's leases come to; hatched: on spot nodes.")


main()
