"""Charts of a calibration: predicted against measured, errors, what was measured against where a design operates."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from sim.calibration import Measured, Parity, Residuals
from ui.app import charts, theme
from ui.app.charts import Figure
from ui.app.hulls import Point
from ui.app.theme import Look
from ui.graphs import log_ticks, short

TENTH = 0.1
"""Half the width of the band about equality."""
LOOKS: Mapping[str, tuple[str, str]] = {
    "concurrency": (theme.COLOURS[0], "circle"),
    "tensor_parallel_size": (theme.COLOURS[1], "square"),
    "gpu": (theme.COLOURS[2], "diamond"),
    "priors": (theme.MUTED, "x"),
    "shapes": (theme.COLOURS[0], "circle"),
    "unseen runs": (theme.COLOURS[1], "square"),
}
"""Colour and symbol by what was held out."""


def unit(metric: str) -> str:
    """Of a metric of the card."""
    return "requests/s" if metric == "request_throughput" else "ms"


def parity(rows: Sequence[Parity], metric: str) -> Figure:
    """Predicted over measured, with 95 % intervals, and a band of 10 % about equality."""
    figure = charts.figure(f"Measured {metric}, {unit(metric)}", f"Predicted, {unit(metric)}")
    values = [value for one in rows for value in (one.measured, one.predicted)]
    low, high = 0.8 * min(values), 1.25 * max(values)
    figure.add_scatter(
        x=[low, high, high, low],
        y=[low * (1 + TENTH), high * (1 + TENTH), high * (1 - TENTH), low * (1 - TENTH)],
        fill="toself",
        fillcolor=theme.faint(theme.MUTED),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name="within 10 %",
    )
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": theme.MUTED, "width": 1},
        hoverinfo="skip",
        showlegend=False,
        name="equal",
    )
    _points(figure, rows, lambda _, value: value)
    ticks = log_ticks(low, high, most=6)
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(type="log", range=[math.log10(low), math.log10(high)])
        axis(tickvals=ticks, ticktext=[short(tick) for tick in ticks])
    return figure


def errors(rows: Sequence[Parity], metric: str) -> Figure:
    """Relative error over measured, with 95 % intervals."""
    figure = charts.figure(f"Measured {metric}, {unit(metric)}", "Predicted / measured - 1, %")
    figure.add_hrect(y0=-100 * TENTH, y1=100 * TENTH, fillcolor=theme.faint(theme.MUTED), line_width=0, layer="below")
    _points(figure, rows, lambda one, value: 100 * (value / one.measured - 1))
    low, high = 0.8 * min(one.measured for one in rows), 1.25 * max(one.measured for one in rows)
    ticks = log_ticks(low, high, most=6)
    figure.update_xaxes(type="log", range=[math.log10(low), math.log10(high)])
    figure.update_xaxes(tickvals=ticks, ticktext=[short(tick) for tick in ticks])
    return figure


def _points(figure: Figure, rows: Sequence[Parity], height: Callable[[Parity, float], float]) -> None:
    for held_out in dict.fromkeys(one.held_out for one in rows):
        group = [one for one in rows if one.held_out == held_out]
        colour, symbol = LOOKS.get(held_out, (theme.COLOURS[3], "circle"))
        middle = [height(one, one.predicted) for one in group]
        figure.add_scatter(
            x=[one.measured for one in group],
            y=middle,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [0.0 if one.high is None else height(one, one.high) - y for one, y in _with(group, middle)],
                "arrayminus": [0.0 if one.low is None else y - height(one, one.low) for one, y in _with(group, middle)],
                "color": colour,
                "thickness": 1,
                "width": 0,
            },
            mode="markers",
            name=f"held out: {held_out}",
            marker={
                "color": colour,
                "size": 8,
                "symbol": [f"{symbol}-open" if one.saturated else symbol for one in group],
            },
            text=[
                f"<b>{escape(one.point)}</b><br>measured {one.measured:.4g}<br>predicted {one.predicted:.4g}"
                f"{_interval(one)}<br>{one.predicted / one.measured - 1:+.1%}{'<br>saturated' if one.saturated else ''}"
                for one in group
            ],
            hovertemplate="%{text}<extra></extra>",
        )


def _with(group: Sequence[Parity], middle: Sequence[float]) -> Iterator[tuple[Parity, float]]:
    return zip(group, middle, strict=True)


def _interval(one: Parity) -> str:
    return "" if one.low is None or one.high is None else f" ({one.low:.4g} to {one.high:.4g})"


def coverage(points: Sequence[Point], hull: Measured, look: Look) -> Figure:
    """What was measured as a box, and the design's replicas in it or not: their mean steps and their largest."""
    figure = charts.figure("Requests running at once", "Tokens a step")
    tops = [hull.max_num_seqs, *(one.most_requests for one in points)]
    rights = [hull.max_num_batched_tokens, *(one.most_tokens for one in points)]
    figure.add_scatter(
        x=[0.5, hull.max_num_seqs, hull.max_num_seqs, 0.5],
        y=[0.5, 0.5, hull.max_num_batched_tokens, hull.max_num_batched_tokens],
        fill="toself",
        fillcolor=theme.faint(theme.COLOURS[2], 0.18),
        line={"color": theme.COLOURS[2], "width": 1},
        mode="lines",
        hoverinfo="skip",
        name="measured",
    )
    for name, symbol, where in (
        ("mean step of a replica", look.symbol, [(one.requests, one.tokens) for one in points]),
        ("most of a replica", f"{look.symbol}-open", [(float(one.most_requests), one.most_tokens) for one in points]),
    ):
        figure.add_scatter(
            x=[max(x, 0.5) for x, _ in where],
            y=[y for _, y in where],
            mode="markers",
            name=name,
            marker={"color": look.colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": look.colour}},
            text=[
                f"pool {escape(one.pool)}: {x:.3g} requests, {y:,.4g} tokens"
                for one, (x, y) in zip(points, where, strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    for axis, top in ((figure.update_xaxes, max(tops)), (figure.update_yaxes, max(rights))):
        ticks = log_ticks(0.5, 1.6 * top, most=8)
        axis(type="log", range=[math.log10(0.5), math.log10(1.6 * top)])
        axis(tickvals=ticks, ticktext=[short(tick) for tick in ticks])
    return figure


def residuals(of: Residuals) -> Figure:
    """Factors by the size of a step."""
    figure = charts.figure("Tokens (with prefill) or requests (decode only) of a step", "Factor on the step's time")
    for name, sizes, factors, colour in (
        ("steps with prefill, by tokens", of.tokens, of.mixed, theme.COLOURS[0]),
        ("decode-only steps, by requests", of.seqs, of.decode, theme.COLOURS[1]),
    ):
        figure.add_scatter(
            x=list(sizes),
            y=list(factors),
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2},
            hovertemplate="%{x:,}: times %{y:.3f}<extra></extra>",
        )
    figure.add_hline(y=1, line={"color": theme.MUTED, "width": 1})
    top = max(*of.tokens, *of.seqs)
    ticks = log_ticks(1, top, most=8)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[short(tick) for tick in ticks])
    return figure
