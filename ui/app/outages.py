"""Charts of drills: goodput through time, how long recovery takes, and what each stress leaves."""

from collections.abc import Sequence

from sim.study.drills import Drilled
from sim.study.flexibility import Kept
from ui.app import charts, numbers, theme
from ui.app.charts import Figure
from ui.app.theme import Look
from ui.graphs import clock

MOST_MARKS = 60
"""Outages that are shaded; with more of them a chart is all shade."""


def through_time(of: Drilled, calm: Drilled | None, look: Look) -> Figure:
    """Requests by the time of sending: all, the good ones, and the good ones without the drill; outages are shaded.

    Args:
        of: a drill that applies.
        calm: the same without the drill, if that is known.
        look: of the design.
    """
    through = of.through
    assert through is not None
    width = through.width_s
    unit, second = clock(len(through.sent.mean) * width)
    figure = charts.figure(f"Time of sending since the start, {unit}", "Requests/s")

    def middles(count: int) -> list[float]:
        return [round((i + 0.5) * width / second, 4) for i in range(count)]

    def rates(of: Sequence[float]) -> list[float]:
        return [one / width for one in of]

    _plain(figure, "sent", middles(len(through.sent.mean)), rates(through.sent.mean), "dot")
    if calm is not None and calm.through is not None and calm.through.width_s == width and calm.name != of.name:
        usual = calm.through.good.mean
        _plain(figure, "good without the drill", middles(len(usual)), rates(usual), "dash")
    good = rates(through.good.mean)
    charts.line(
        figure,
        "good",
        middles(len(good)),
        good,
        [max(low, 0.0) for low in rates(through.good.low or through.good.mean)],
        rates(through.good.high or through.good.mean),
        Look(look.colour, look.symbol, "solid"),
        [f"{value:.2f} good requests/s" for value in good],
    )
    figure.data[-1].update(mode="lines")
    _shade(figure, of, len(good) * width, second)
    figure.update_yaxes(rangemode="tozero")
    return figure


def _plain(figure: Figure, name: str, x: Sequence[float], y: Sequence[float], dash: str) -> None:
    figure.add_scatter(
        x=list(x),
        y=list(y),
        name=name,
        mode="lines",
        line={"color": theme.MUTED, "width": 1.3, "dash": dash},
        hovertemplate=f"%{{y:.2f}} requests/s {name}<extra></extra>",
    )


def _shade(figure: Figure, of: Drilled, end_s: float, second: float) -> None:
    """From the fall of a replica until the fleet is whole, the darker in the more replications."""
    count = max(len(of.outages), 1)
    marks = [one for replication in of.outages for one in replication][:MOST_MARKS]
    for number, one in enumerate(marks):
        until = min(one.whole_s or end_s, end_s)
        words = {"annotation_text": "outage", "annotation_position": "top left"} if number == 0 else {}
        figure.add_vrect(
            x0=one.start_s / second,
            x1=until / second,
            fillcolor=theme.LIMIT,
            opacity=0.22 / count,
            line_width=0,
            layer="below",
            **words,
        )


def recoveries(of: Sequence[Drilled], look: Look) -> Figure:
    """Minutes to recover: a dot a replication, the mean with its interval; a cross where it did not recover."""
    figure = charts.figure("Minutes to recover", "", height=110 + 46 * len(of))
    end = max((_minutes_in_sight(one) for one in of), default=0.0)
    dots = [(minutes, one.name) for one in of for minutes in one.longest]
    known = [(minutes, name) for minutes, name in dots if minutes is not None]
    never = [name for minutes, name in dots if minutes is None]
    figure.add_scatter(
        x=[minutes for minutes, _ in known],
        y=[name for _, name in known],
        mode="markers",
        name="a replication",
        marker={"color": theme.faint(look.colour, 0.55), "size": 9, "symbol": "circle"},
        hovertemplate="%{y}: %{x:.1f} minutes in one replication<extra></extra>",
    )
    means = [one for one in of if one.recovery.mean is not None]
    reach = [numbers.reach(one.recovery) or 0.0 for one in means]
    figure.add_scatter(
        x=[one.recovery.mean for one in means],
        y=[one.name for one in means],
        error_x={"type": "data", "array": reach, "color": look.colour, "thickness": 2, "width": 6},
        mode="markers",
        name="mean, 95 % interval",
        marker={"color": look.colour, "size": 12, "symbol": "line-ns", "line": {"width": 3, "color": look.colour}},
        text=[f"{one.name}: {numbers.plus_minus(one.recovery, 1)} minutes" for one in means],
        hovertemplate="%{text}<extra></extra>",
    )
    if never:
        figure.add_scatter(
            x=[end] * len(never),
            y=never,
            mode="markers",
            name="did not recover while the traffic lasted",
            marker={"color": theme.LIMIT, "size": 10, "symbol": "x"},
            hovertemplate="%{y}: did not recover while the traffic lasted<extra></extra>",
        )
    figure.update_xaxes(rangemode="tozero", range=[-0.03 * (end or 1.0), 1.05 * (end or 1.0)])
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=[one.name for one in reversed(of)])
    return figure


def _minutes_in_sight(one: Drilled) -> float:
    """From the first outage to the end of the traffic."""
    starts = [outage.start_s for replication in one.outages for outage in replication]
    if one.through is None or not starts:
        return 0.0
    return (len(one.through.sent.mean) * one.through.width_s - min(starts)) / 60


def kept(rows: Sequence[Kept], look: Look) -> Figure:
    """Share of goodput kept under each stress that applies, with its interval."""
    there = [one for one in rows if one.applies]
    figure = charts.figure("Goodput kept, %", "", height=110 + 34 * len(there))
    shares = [one.share.scaled(100) for one in there]
    figure.add_bar(
        x=[one.mean for one in shares],
        y=[one.stress for one in there],
        orientation="h",
        name="goodput kept",
        marker={"color": look.colour, "opacity": 0.8},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0.0 if one.high is None else one.high - (one.mean or 0.0) for one in shares],
            "arrayminus": [0.0 if one.low is None else (one.mean or 0.0) - one.low for one in shares],
            "color": theme.MUTED,
            "thickness": 1.5,
            "width": 5,
        },
        hovertext=[f"{one.stress}: {numbers.percent(one.share)} of goodput kept" for one in there],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 104])
    names = [one.stress for one in there]
    labels = [f"{one.stress}, {share.mean or 0.0:.0f} %" for one, share in zip(there, shares, strict=True)]
    figure.update_yaxes(autorange="reversed", tickvals=names, ticktext=labels)
    figure.update_layout(showlegend=False)
    return figure
