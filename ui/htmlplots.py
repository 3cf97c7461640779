"""Figures of all replications of a run: how latencies are distributed, and what became of requests through time."""

from collections.abc import Sequence

import numpy as np

from sim import metrics
from sim.report.goodput import Series, bin_width_ns, bins, goodput
from sim.report.objective import Objective
from sim.result import Outcome, Replication
from sim.stats import Interval, t_interval
from ui.app.theme import COLOURS, LIMIT, faint
from ui.graphs import Figure, clock, graph_objects, log_ticks

LEVELS = (*range(1, 100), 99.5, 99.9)
"""Percentages at which distributions are drawn."""
MOST_CLASSES = len(COLOURS)

_NAMES = {
    "ttft": "Time to first token (TTFT), ms",
    "tpot": "Time per output token (TPOT), ms",
    "e2el": "End-to-end latency, ms",
}
_SERIES = {"sent": "#8C8C8C", "good": "#0072B2", "failed": "#D55E00"}


def quantiles(replications: Sequence[Replication], metric: str, klass: int | None) -> list[Interval]:
    """A latency of answered requests at each of `LEVELS`, ms: means over the replications with their intervals.

    Args:
        replications: of the run.
        metric: of sim.metrics.LATENCIES.
        klass: a class of requests; None for all.
    """
    found = []
    for one in replications:
        chosen = one.outcome == Outcome.FINISHED
        rows = np.flatnonzero(chosen if klass is None else chosen & (one.requests.klass == klass))
        values = metrics.LATENCIES[metric](one, rows)
        if len(values):
            found.append(np.percentile(values, LEVELS).tolist())
    return [t_interval(column) for column in zip(*found, strict=True)]


def distribution(replications: Sequence[Replication], metric: str, aims: Sequence[Objective]) -> Figure:
    """The cumulative distribution of a latency, a line a class with its band, and the SLO's limits."""
    figure = _figure(_NAMES[metric], "Answered requests, %")
    shown = aims[:MOST_CLASSES]
    for index, (aim, colour) in enumerate(zip(shown, COLOURS, strict=False)):
        line = quantiles(replications, metric, index if len(aims) > 1 else None)
        means = [one.mean or 0.0 for one in line]
        if any(one.low is not None for one in line):
            least = min(means)  # a logarithmic axis ends somewhere
            low = [max(one.mean or 0.0 if one.low is None else one.low, least) for one in line]
            high = [one.mean or 0.0 if one.high is None else one.high for one in line]
            _band(figure, [*low, *reversed(high)], [*LEVELS, *reversed(LEVELS)], colour, aim.name)
        figure.add_scatter(
            x=means,
            y=list(LEVELS) if line else [],
            mode="lines",
            name=aim.name,
            legendgroup=aim.name,
            line={"color": colour, "width": 2},
            hovertemplate=f"{aim.name}: %{{y:.4~r}} % within %{{x:,.4~r}} ms<extra></extra>",
            showlegend=len(shown) > 1,
        )
        if metric in aim.limits_ms:
            words = f"{aim.name}: " if len(shown) > 1 else "SLO: "
            _upright(figure, aim.limits_ms[metric], f"{words}{aim.limits_ms[metric]:,g} ms", index)
    drawn = [x for trace in figure.data for x in trace.x if x > 0]
    drawn += [aim.limits_ms[metric] for aim in shown if metric in aim.limits_ms]
    figure.update_xaxes(type="log", tickvals=log_ticks(min(drawn, default=1), max(drawn, default=1)))
    figure.update_yaxes(range=[0, 101])
    return figure


def through_time(replications: Sequence[Replication], aims: Sequence[Objective]) -> Figure:
    """Requests a second by when they were sent: all, the good and the failed, means with bands."""
    width = bin_width_ns(replications)
    found = goodput([bins(one, aims, width) for one in replications])
    unit, second = clock(found.width_s * len(found.sent.mean))
    figure = _figure(f"When they were sent, {unit}", "Requests/s")
    middles = [(i + 0.5) * found.width_s / second for i in range(len(found.sent.mean))]
    every: dict[str, Series] = {name: getattr(found, name) for name in _SERIES}
    drawn = {name: series for name, series in every.items() if name != "failed" or any(series.mean)}
    for name, series in drawn.items():
        if series.low is not None and series.high is not None:
            edges = [max(value, 0.0) / found.width_s for value in (*series.low, *reversed(series.high))]
            _band(figure, [*middles, *reversed(middles)], edges, _SERIES[name], name)
    for name, series in drawn.items():
        figure.add_scatter(
            x=middles,
            y=[value / found.width_s for value in series.mean],
            mode="lines",
            name=name,
            legendgroup=name,
            line={"color": _SERIES[name], "width": 2, "dash": "dot" if name == "sent" else "solid"},
            hovertemplate="%{y:.3~r}/s",
        )
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(hovermode="x unified")
    return figure


def _figure(x: str, y: str) -> Figure:
    figure = graph_objects().Figure()
    figure.update_layout(
        height=340,
        margin={"l": 8, "r": 14, "t": 34, "b": 8},
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0},
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(title=x, automargin=True)
    figure.update_yaxes(title=y, automargin=True)
    return figure


def _band(figure: Figure, x: list[float], y: list[float], colour: str, name: str) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        fill="toself",
        fillcolor=faint(colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
        name=f"{name}, 95 % band",
    )


def _upright(figure: Figure, x: float, words: str, row: int) -> None:
    line = {"color": LIMIT, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", xref="x", x0=x, x1=x, yref="paper", y0=0, y1=1, line=line)
    figure.add_annotation(
        text=words, showarrow=False, xref="x", x=float(np.log10(x)), xanchor="right", yref="paper",
        y=0.02 + 0.08 * row, yanchor="bottom", xshift=-3, font={"size": 11},
    )  # fmt: skip
