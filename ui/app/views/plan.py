"""Plan: how many GPUs, and what will it cost?"""

from collections.abc import Mapping, Sequence

import streamlit as st

from sim import catalog
from sim.errors import InputError
from sim.study.evaluation import Evaluation
from ui.app import charts, curves, numbers
from ui.app.curves import Place, Point
from ui.app.designs import Kind, fleet_name, kinds, own_kind
from ui.app.frame import ask, current, live, note_hull, problem, progress
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
    lines = kinds(scene)
    asked = curves.tasks(scene, curves.grid(scene, lines))

    def draw() -> bool:
        answers = ask("plan", [task for _, _, task in asked])
        known = curves.points(asked, answers)
        own = known.get(Place(own_kind(scene), scene.bar.replicas))
        if own is None:
            failed = next((one.problem for one in answers[:2] if one.state == "failed"), None)
            st.header("This fleet cannot serve the model." if failed else "Simulating this fleet ...", anchor=False)
            if failed:
                problem(failed)
        else:
            note_hull(scene, own.one)
            headline(scene, own, known)
            cards(own.one)
        hero(lines, known, own)
        if own is not None:
            st.markdown(f"**Why:** {plain(own.one.summary['bottleneck'])}")
            next_moves(own, known)
            assumptions(scene, own.one)
        refused(curves.problems(asked, answers), failed_own=own is None)
        return progress(answers, "simulations")

    live(draw)


def headline(scene: Scene, own: Point, known: Mapping[Place, Point]) -> None:
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
    best = curves.cheapest(dict(known))
    if best is None:
        answer = "No fleet looked at so far meets the SLO." if one.summary["verdict"] else ""
    elif best.place == own.place:
        answer = "No cheaper fleet looked at so far meets the SLO."
    else:
        found = fleet_name(best.place.kind, best.place.replicas)
        answer = (
            f"The cheapest that meets the SLO so far: **{found}** at {escape(numbers.usd(best.usd_per_hour))} an hour."
        )
    st.markdown(f"{plain(scene.name)} on {plain(scene.loaded.scenario.model)}: {served}{money}. {answer}")


def escape(words: str) -> str:
    """Dollars are no formula."""
    return words.replace("$", r"\$")


def cards(one: Evaluation) -> None:
    """Goodput, the two latencies and the price, each against its limit."""
    share, needed = numbers.good_share(one), numbers.required(one)
    columns = st.columns(4)
    with columns[0]:
        against = "" if needed is None else f"SLO: at least {100 * needed:g} %"
        kept = share.mean is not None and needed is not None and share.mean >= needed
        _card("Goodput", numbers.percent(share), against, "goodput_share", good=kept)
    for column, metric in zip(columns[1:3], ("ttft", "tpot"), strict=True):
        name, value, limit = numbers.latency(one, metric)
        with column:
            against = "no limit" if limit is None else f"SLO: at most {limit:,g} ms"
            _card(name, numbers.ms(value), against, metric, good=limit is None or (value.mean or 0.0) <= limit)
    with columns[3]:
        usd = numbers.value(one, "usd_per_hour")
        monthly = "" if usd.mean is None else f"${usd.mean * 730:,.0f} a month"
        _card("Cost an hour", numbers.usd(usd), monthly, "usd_per_hour", good=None)


def _card(label: str, value: str, against: str, word: str, *, good: bool | None) -> None:
    st.metric(
        label,
        value,
        against or None,
        delta_color="off" if good is None else "normal" if good else "inverse",
        delta_arrow="off",
        help=f"{WORDS[word]} {WORDS['interval']}",
        border=True,
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
    figure.update_yaxes(range=[-3, 104])
    alt = f"Share of requests within the SLO over {across}, a line a kind of replica with its 95 % band. "
    alt += f"The SLO is first met by {', '.join(told)}." if told else "No kind meets the SLO yet."
    charts.show(figure, alt, "hero")
    st.caption(
        "Rings mark the fewest replicas that meet the SLO; open symbols are coarse (one replication), bands are 95 % "
        "intervals over replications. All designs serve the same requests."
    )


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
        f"<b>{fleet_name(point.place.kind, point.place.replicas)}</b><br>"
        f"{numbers.percent(numbers.good_share(point.one))} within the SLO<br>{name} {numbers.ms(ttft)}<br>"
        f"{numbers.usd(point.usd_per_hour)} an hour{'<br>coarse' if point.coarse else ''}"
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


def next_moves(own: Point, known: Mapping[Place, Point]) -> None:
    """What would be cheaper, or what would do at all."""
    found = curves.moves(own, dict(known))
    if not found:
        return
    st.subheader("Next-cheapest moves", anchor=False)
    for number, move in enumerate(found):
        words, button = st.columns([5, 1], vertical_alignment="center")
        sign = "saves" if move.usd_per_hour < 0 else "costs"
        share = numbers.plus_minus(move.good_share.scaled(100), 1)
        kind = move.point.place.kind
        words.markdown(
            f"**{fleet_name(kind, move.point.place.replicas)}** {sign} "
            f"{escape(numbers.usd(abs(move.usd_per_hour)))} an hour; goodput changes by {share} percentage points"
            f"{', spot nodes may be taken back' if kind.spot else ''}."
        )
        button.button("Use it", key=f"move_{number}", on_click=_use, args=(move.point.place,), width="stretch")


def _use(place: Place) -> None:
    kind = place.kind
    for key, value in {"gpu": kind.gpu, "tp": kind.tp, "spot": kind.spot, "replicas": place.replicas}.items():
        st.session_state[key] = value


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


def refused(found: Mapping[Kind, str], *, failed_own: bool) -> None:
    """Kinds that could not be simulated, and why."""
    for kind, words in list(found.items())[1 if failed_own else 0 :]:
        st.caption(f"Without {plain(kind.name)}: {plain(words)}")


main()
