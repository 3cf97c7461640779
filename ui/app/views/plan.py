"""Plan: how many GPUs, and what will it cost?"""

from collections.abc import Mapping, Sequence

import streamlit as st

from sim import catalog
from sim.errors import InputError
from sim.stats import Interval
from sim.study.evaluation import Evaluation
from ui.app import charts, curves, numbers
from ui.app.curves import Place, Point
from ui.app.designs import Kind, design, fleet_name, kinds, own_kind, short_name
from ui.app.frame import ask, current, live, note_hull, problem, progress, use
from ui.app.jobs import Answer, evaluation, task
from ui.app.moves import moves
from ui.app.planning import Answer as Fleet
from ui.app.planning import Planned, planned
from ui.app.scene import Scene
from ui.app.words import WORDS, plain

VERDICTS = {
    "met": "meets the SLO",
    "missed": "misses the SLO",
    "undecided": "may or may not meet the SLO",
    None: "has no SLO",
}


ACROSS = {"replicas": "Replicas", "cost": "Cost of the fleet, USD an hour"}


def main() -> None:
    """Draw the page; what is not simulated yet appears as it comes."""
    scene = current()

    def draw() -> bool:
        here = Place(own_kind(scene), scene.bar.replicas)
        passes = [True, False] if scene.replications > 1 else [False]
        mine = [design(scene, here.kind, here.replicas, coarse=coarse) for coarse in passes]
        own = ask("own", [evaluation(one) for one in mine])
        plans = ask("plan", [task(planned, mine[0])])
        known_plan = latest(plans)
        lines = kinds(scene, known_plan)
        asked = curves.tasks(scene, curves.grid(scene, lines, known_plan))
        answers = ask("curves", [one for _, _, one in asked])
        plans += ask("refined plan", [task(planned, one) for one in mine[1:]])
        known_plan = latest(plans)
        known = curves.points(asked, answers)
        point = known.get(here)
        failed = next((one.problem for one in own if one.state == "failed"), None)
        if point is None and failed:
            st.header("This scenario cannot be simulated", anchor=False)
            problem(failed)
            return progress(own, "simulations")
        if point is None:
            st.header("Simulating this fleet ...", anchor=False)
        else:
            note_hull(scene, point.one)
            headline(scene, point, known_plan)
            cards(point.one, curves.line(here.kind, known))
        hero(lines, known, point)
        if point is not None:
            st.markdown(f"**Why:** {plain(point.one.summary['bottleneck'])}")
        cheapest(point, plans)
        if point is not None:
            assumptions(scene, point.one)
        return progress([*own, *plans, *answers], "simulations")

    live(draw)


def latest(plans: Sequence[Answer]) -> Planned | None:
    """The plan that rests on most replications."""
    return next((one.value for one in reversed(plans) if one.state == "done"), None)


def headline(scene: Scene, own: Point, known: Planned | None) -> None:
    """The answer in two sentences."""
    one = own.one
    name, latency, _ = numbers.latency(one, "ttft")
    rate = numbers.value(one, "offered_rate")
    per_1k = numbers.value(one, "usd_per_1k_good_requests")
    st.header(
        f"{fleet_name(own.place.kind, own.place.replicas)}: {numbers.usd(own.usd_per_hour)} an hour, "
        f"{VERDICTS[one.summary['verdict']]}",
        anchor=False,
    )
    served = f"{numbers.plus_minus(rate, 1)} requests/s at {name} {numbers.ms(latency)}"
    money = f", {escape(numbers.usd(per_1k))} for 1,000 good requests" if per_1k.mean is not None else ""
    answer = "Looking for cheaper fleets ..."
    if known is not None and known.answers:
        best = known.answers[0]
        dollars = escape(numbers.usd(best.usd_per_hour))
        answer = f"Cheapest that meets the SLO: **{named(best)}** at {dollars} an hour."
    elif known is not None:
        answer = "No fleet meets the SLO."
    elif not one.summary["verdict"]:
        answer = "Choose an SLO to look for the cheapest fleet that meets it."
    st.markdown(f"{plain(scene.name)} on {plain(scene.loaded.scenario.model)}: {served}{money}. {answer}")


def named(one: Fleet) -> str:
    """A fleet of the plan, for example "1 replica of 4 x H100, spot, and 2 spare"."""
    kind = Kind(one.gpu, one.tp, one.gpus, 100 * one.spot)
    return fleet_name(kind, one.needed) + (f", and {one.spare} spare" if one.spare else "")


def escape(words: str) -> str:
    """Dollars are no formula."""
    return words.replace("$", r"\$")


def cards(one: Evaluation, line: Sequence[Point]) -> None:
    """Goodput, the two latencies and the price, each against its limit, and over the replicas of the same kind."""
    share, needed = numbers.good_share(one), numbers.required(one)
    with st.container(horizontal=True):
        against = "no SLO" if needed is None else f"SLO: at least {100 * needed:g} %"
        kept = None if needed is None else share.mean is not None and share.mean >= needed
        shares = [numbers.good_share(point.one) for point in line]
        _card("Goodput", numbers.percent(share), against, "goodput_share", shares, good=kept)
        for metric in ("ttft", "tpot"):
            name, value, limit = numbers.latency(one, metric)
            against = "no limit" if limit is None else f"SLO: at most {limit:,g} ms"
            good = None if limit is None else (value.mean or 0.0) <= limit
            over = [numbers.latency(point.one, metric)[1] for point in line]
            _card(name, numbers.ms(value), against, metric, over, good=good)
        usd = numbers.value(one, "usd_per_hour")
        monthly = "no price is known" if usd.mean is None else f"${usd.mean * 730:,.0f} a month"
        prices = [numbers.value(point.one, "usd_per_hour") for point in line]
        _card("Cost an hour", numbers.usd(usd), monthly, "usd_per_hour", prices, good=None)


def _card(label: str, value: str, against: str, word: str, over: Sequence[Interval], *, good: bool | None) -> None:
    spark = [one.mean for one in over if one.mean is not None]
    st.metric(
        label,
        value,
        against,
        delta_color="off" if good is None else "normal" if good else "inverse",
        delta_arrow="off",
        help=f"{WORDS[word]} {WORDS['interval']} {WORDS['spark']}",
        border=True,
        chart_data=spark if len(spark) > 1 else None,
        height="stretch",
    )


def hero(lines: Sequence[Kind], known: Mapping[Place, Point], own: Point | None) -> None:
    """Goodput share over replicas, a line a kind."""
    across = st.segmented_control(
        "Across",
        list(ACROSS),
        default="replicas",
        key="across",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    figure = charts.figure(ACROSS[across], "Requests within the SLO, %")
    told = []
    for kind in lines:
        found = curves.line(kind, dict(known))
        if not found:
            continue
        _line(figure, kind, found, across)
        first = curves.first_that_meets(found)
        if first is not None:
            told.append(f"{kind.name} from {first.place.replicas}")
            _ring(figure, first, across)
    if own is not None:
        needed = numbers.required(own.one)
        if needed is not None:
            charts.limit(figure, 100 * needed, f"SLO: {100 * needed:g} %")
    if across == "replicas" and (own is None or own.place.replicas <= 3):
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(range=[floor(figure), 102])
    figure.update_layout(hovermode="x unified" if across == "replicas" else "closest")
    alt = f"Share of requests within the SLO over {across}, a line a kind of replica with its 95 % band. "
    alt += f"The SLO is first met by {', '.join(told)}." if told else "No kind meets the SLO yet."
    charts.show(figure, alt, "hero")
    st.caption(
        "Rings mark the fewest replicas that meet the SLO; open symbols are coarse (one replication), bands are 95 % "
        "intervals over replications. All designs serve the same requests."
    )


def floor(figure: charts.Figure) -> float:
    """Where the axis of shares begins: a full ten below all that is drawn."""
    drawn = [float(share) for trace in figure.data for share in trace.y]
    lowest = min([*drawn, *(float(shape.y0) for shape in figure.layout.shapes), 100.0])
    return max(10 * ((lowest - 1) // 10), 0) - 1


def _line(figure: charts.Figure, kind: Kind, found: Sequence[Point], across: str) -> None:
    shares = [numbers.good_share(point.one).scaled(100) for point in found]
    kept = [(point, share) for point, share in zip(found, shares, strict=True) if share.mean is not None]
    edges = [share.combined or (None, None) for _, share in kept]
    charts.line(
        figure,
        kind.name,
        [_across(point, across) for point, _ in kept],
        [share.mean or 0.0 for _, share in kept],
        [low for low, _ in edges],
        [high for _, high in edges],
        kind.look,
        [_hover(point) for point, _ in kept],
        coarse=[point.coarse for point, _ in kept],
    )


def _across(point: Point, across: str) -> float:
    return point.place.replicas if across == "replicas" else point.usd_per_hour or 0.0


def _hover(point: Point) -> str:
    name, ttft, _ = numbers.latency(point.one, "ttft")
    return (
        f"<b>{short_name(point.place.kind, point.place.replicas)}</b>: "
        f"{numbers.percent(numbers.good_share(point.one))} within the SLO, {name} {numbers.ms(ttft)}, "
        f"{numbers.usd(point.usd_per_hour)} an hour{', coarse' if point.coarse else ''}"
    )


def _ring(figure: charts.Figure, point: Point, across: str) -> None:
    share = numbers.good_share(point.one).scaled(100)
    figure.add_scatter(
        x=[_across(point, across)],
        y=[share.mean],
        mode="markers",
        marker={"symbol": "circle-open", "size": 18, "color": point.place.kind.look.colour, "line": {"width": 2}},
        name=f"{point.place.kind.name}: first that meets the SLO",
        hoverinfo="skip",
        showlegend=False,
    )


def cheapest(own: Point | None, plans: Sequence[Answer]) -> None:
    """What would be cheaper, or what would do at all."""
    known = latest(plans)
    for failed in [one for one in plans if one.state == "failed"][:1]:
        st.caption(f"The search for cheaper fleets ended: {plain(failed.problem)}")
    if known is None:
        return
    st.subheader("Next-cheapest moves" if known.answers else "No fleet meets the SLO", anchor=False)
    for words in known.why_none:
        problem(words)
    found = moves(own, known) if own is not None else []
    if own is not None and known.answers and not found:
        st.markdown("No cheaper fleet meets the SLO.")
    for number, move in enumerate(found):
        one = move.answer
        text, button = st.columns([5, 1], vertical_alignment="center")
        sign = "saves" if move.usd_per_hour < 0 else "costs"
        dollars = escape(numbers.usd(abs(move.usd_per_hour)))
        share = numbers.plus_minus(move.good_share.scaled(100), 1, signed=True)
        text.markdown(f"**{named(move.answer)}** {sign} {dollars} an hour; goodput {share} percentage points.")
        button.button(
            "Use it",
            key=f"move_{number}",
            on_click=use,
            args=(one.gpu, one.tp, 100 * one.spot, one.needed),
            width="stretch",
        )
    with st.expander("From the cheapest on, and what this rests on"):
        st.markdown("\n".join(f"- {plain(words)}" for words in (*known.moves, *known.notes)))


def assumptions(scene: Scene, one: Evaluation) -> None:
    """What the numbers rest on, with sources."""
    scenario = scene.loaded.scenario
    with st.expander("Assumptions and sources"):
        said = [f"Step times: {'; '.join(sorted({pool['step_time_label'] for pool in one.summary['pools']}))}."]
        for pool in scenario.fleet:
            gpu = catalog.gpu(pool.gpu)
            said.append(f"{gpu.id}: {gpu.source} ({gpu.date}).")
            if pool.usd_per_gpu_hour is not None:
                said.append(f"Price of pool {pool.pool}: ${pool.usd_per_gpu_hour:g} a GPU-hour, as the scenario says.")
            elif pool.market != "owned" and (price := catalog.price(pool.gpu, pool.market)):
                said.append(
                    f"Price of {pool.gpu}, {pool.market.replace('_', ' ')}: ${price.usd_per_gpu_hour:.2f} a GPU-hour, "
                    f"${price.low:.2f} to ${price.high:.2f} ({price.source}, {price.date})."
                )
        try:
            model = catalog.model(scenario.model, scene.loaded.base_dir)
            said.append(f"{model.id}: {model.source} ({model.date}).")
        except InputError as error:
            said.append(str(error))
        said += one.summary["warnings"]
        st.markdown("\n".join(f"- {plain(words)}" for words in dict.fromkeys(said)))


main()
