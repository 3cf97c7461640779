"""The figure of one replication: its fleet over its panels, on one time axis with one cross-hair."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ui.app.replay import Replay
from ui.app.theme import COLOURS, LIMIT
from ui.graphs import ROW, SMALL, Figure, clock, graph_objects, log_ticks, short
from ui.lives import NOTICE, STAGES
from ui.panels import Panel

QUANTILES = {"P50": "#0072B2", "P90": "#009E73", "P95": "#E69F00", "P99": "#D55E00"}
LINES = (COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[3], COLOURS[4], COLOURS[5])
_STAGE_COLOURS = {
    "requested": "#D3DCE6",
    "boot": "#B7C8DA",
    "image": "#97B3CF",
    "process": "#76A0C8",
    "load": "#4F8BC0",
    "compile": "#2E74B0",
    "warm": "#155A94",
    "ready": "#009E73",
    "draining": "#8C8C8C",
    NOTICE: "#E69F00",
    "hung": "#CC79A7",
    "dead": "#D55E00",
}
"""Blue while it starts, the darker the nearer; green while it serves."""

_PANEL, _HEAD, _LINE, _FOOT = 104, 48, 20, 44
"""Heights in pixels: of a panel's plot, of its title with its legend, of a line of a legend, of the time axis."""


def through_time(replay: Replay, window: tuple[float, float] | None = None) -> Figure:
    """The fleet and all panels over one time axis; a cross-hair goes through all of them.

    Args:
        replay: what to draw.
        window: from and to in the unit of `clock`; default the whole run.
    """
    unit, second = clock(replay.end_s)
    rows = len(replay.lives.places)
    heights = [max(ROW * rows, 40), *(_PANEL for _ in replay.panels)]
    stages = len({span.stage for span in replay.lives.spans}) + 1
    heads = [_HEAD + _LINE * (-(-stages // 3) - 1), *(_HEAD for _ in replay.panels)]  # three a line on a phone
    height = sum(heights) + sum(heads) + _FOOT
    figure = graph_objects().Figure()
    top = float(height)
    for number, (head, tall) in enumerate(zip(heads, heights, strict=True), start=1):
        top -= head
        domain = ((top - tall) / height, top / height)
        key = "" if number == 1 else str(number)
        figure.update_layout({f"yaxis{key}": {"domain": domain, "anchor": "x", "automargin": True, "fixedrange": True}})
        below_title = number > 1
        figure.update_layout({f"legend{key}": _legend(domain[1] + (0 if below_title else _LINE / height))})
        title = "Fleet" if number == 1 else replay.panels[number - 2].title
        figure.add_annotation(
            text=f"<b>{title}</b>", x=0, xref="paper", xanchor="left", y=domain[1], yref="paper", yanchor="bottom",
            yshift=22 if below_title else 0, showarrow=False, font={"size": 13},
        )  # fmt: skip
        top -= tall
    _fleet(figure, replay, second)
    middles = [at / second for at in replay.bins.middles_s]
    then = moments(replay)
    for number, panel in enumerate(replay.panels, start=2):
        for place, (name, values) in enumerate(panel.lines):
            colour = QUANTILES.get(name, LINES[place % len(LINES)])
            figure.add_scatter(
                x=middles,
                y=list(values),
                yaxis=f"y{number}",
                name=name,
                legend=f"legend{number}",
                mode="lines+markers",
                line={"color": colour, "width": 1.6, "dash": "dot" if "most" in name else "solid"},
                marker={"size": 3},
                hovertemplate=f"%{{y:,.4~r}} {panel.unit}",
            )
        if panel.log and panel.lines[0][0] in QUANTILES:
            _moment(figure, number, panel, middles, then)
        _scale(figure, number, panel)
        if panel.limit is not None:
            _limit(figure, number, panel.limit, f"SLO: {short(panel.limit)} {panel.unit}")
    figure.update_xaxes(
        title=f"Time since the start, {unit}",
        range=list(window or (0, replay.end_s / second)),
        anchor=f"y{len(heights)}",
        showspikes=True,
        spikemode="across",
        spikesnap="cursor",
        spikethickness=1,
        spikedash="solid",
        spikecolor="#8C8C8C",
        unifiedhovertitle={"text": f"%{{x:,.4~r}} {unit}"},
        showgrid=True,
    )
    figure.update_layout(
        height=height, margin={"l": 8, "r": 12, "t": 0, "b": 0}, hovermode="x unified", barmode="overlay"
    )
    figure.update_layout(hoverlabel={"namelength": -1, "font": SMALL})
    return figure


def moments(replay: Replay) -> list[str]:
    """What to know beside a latency: the requests waiting then, and the fleet."""
    waiting = next(dict(panel.lines)["waiting"] for panel in replay.panels if panel.title == "Scheduler State")
    return [
        f"{'no' if number is None else f'{short(number)}'} requests waiting, replicas: {replay.lives.at(at)}"
        for number, at in zip(waiting, replay.bins.middles_s, strict=True)
    ]


def _moment(figure: Figure, number: int, panel: Panel, middles: Sequence[float], then: Sequence[str]) -> None:
    """Tell in a latency's hover what else was the case."""
    known = [(x, y, words) for x, y, words in zip(middles, panel.lines[0][1], then, strict=True) if y is not None]
    figure.add_scatter(
        x=[x for x, _, _ in known],
        y=[y for _, y, _ in known],
        text=[words for _, _, words in known],
        yaxis=f"y{number}",
        mode="markers",
        marker={"opacity": 0},
        name="then",
        showlegend=False,
        hovertemplate="%{text}",
    )


def _legend(top: float) -> Mapping[str, Any]:
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": top,
        "yanchor": "bottom",
        "yref": "paper",
        "font": SMALL,
    }


def _scale(figure: Figure, number: int, panel: Panel) -> None:
    values = [value for _, column in panel.lines for value in column if value is not None]
    axis: dict[str, Any] = {"title": {"text": panel.unit, "font": SMALL}, "nticks": 4, "tickfont": SMALL}
    if panel.log and values and min(values) > 0:
        axis |= {"type": "log", "tickmode": "array", "tickvals": log_ticks(min(values), max(values))}
    else:
        axis |= {"rangemode": "tozero"}
    figure.update_layout({f"yaxis{number}": axis})


def _limit(figure: Figure, number: int, limit: float, words: str) -> None:
    line = {"color": LIMIT, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, yref=f"y{number}", y0=limit, y1=limit, line=line)
    figure.add_annotation(
        text=words, showarrow=False, xref="paper", x=1, xanchor="right", yref=f"y{number} domain", y=1,
        yanchor="bottom", yshift=22, font=SMALL,
    )  # fmt: skip


def _fleet(figure: Figure, replay: Replay, second: float) -> None:
    """A bar a stage of a replica; what failed is marked, and the cross-hair tells how many are in which stage."""
    there = replay.lives
    names = [escape(name) for name in there.places]
    for stage in (*STAGES.values(), NOTICE):
        spans = [span for span in there.spans if span.stage == stage]
        if spans:
            figure.add_bar(
                orientation="h",
                base=[span.start_s / second for span in spans],
                x=[(span.end_s - span.start_s) / second for span in spans],
                y=[names[span.place] for span in spans],
                name=stage,
                legend="legend",
                marker={"color": _STAGE_COLOURS[stage], "line": {"width": 0}},
                width=0.8,
                hoverinfo="skip",
            )
    failed = [event for event in there.events if event.failed and event.place in there.places]
    if failed:
        figure.add_scatter(
            x=[event.at_s / second for event in failed],
            y=[escape(event.place) for event in failed],
            text=[f"{event.place}: {event.why}" for event in failed],
            mode="markers",
            marker={"symbol": "x", "size": 7, "color": LIMIT},
            name="failure",
            legend="legend",
            hovertemplate="%{text}",
        )
    middles = replay.bins.middles_s if names else ()
    figure.add_scatter(
        x=[at / second for at in middles],
        y=names[len(names) // 2 :][:1] * len(middles),
        text=[there.at(at) for at in middles],
        mode="markers",
        marker={"opacity": 0},
        name="replicas",
        showlegend=False,
        hovertemplate="%{text}",
    )
    thin = max(-(-len(names) // 20), 1)
    figure.update_layout(
        yaxis={
            "autorange": "reversed",
            "tickfont": SMALL,
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
        }
        | {"tickmode": "array", "tickvals": names[::thin], "showgrid": False}
    )
