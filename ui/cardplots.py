"""The error card's plots: what was predicted against what was measured, and the errors, with 95 % intervals."""

import importlib
from collections.abc import Callable, Sequence
from html import escape
from itertools import cycle
from typing import Any

from sim.calibration import Parity
from sim.errors import InputError
from ui.commands.card import METRICS

_UNITS = {"request_throughput": "requests/s"}
_COLOURS = ("#2563a8", "#c2571a", "#3c7d4e", "#8a4f9e", "#7a6a2f", "#4d4d4d")
_FAINT = "66"
"""Opacity of interval bars."""
_CONFIG = {"displayModeBar": False, "responsive": True}
_LONG_RANGE = 8
"""Axes whose ends differ by more are logarithmic."""

Figure = Any  # plotly is imported late and has no types


def plots(parity: Sequence[Parity]) -> list[str]:
    """HTML by metric, parity beside errors; the first plot brings plotly's script for all.

    Raises:
        InputError: plotly is not installed.
    """
    parts: list[str] = []
    for metric in dict.fromkeys(one.metric for one in parity):
        rows = [one for one in parity if one.metric == metric and one.measured > 0 and one.predicted > 0]
        parts += [f"<h2>{escape(METRICS[metric])}</h2>", '<div class="plots">']
        for figure in (_parity(rows), _errors(rows)):
            first = not any("<script" in part for part in parts)
            html = figure.to_html(full_html=False, include_plotlyjs=first, default_width="100%", config=_CONFIG)
            parts.append(f"<div>{html}</div>")
        parts.append("</div>")
    return parts


def _parity(rows: Sequence[Parity]) -> Figure:
    values = [value for one in rows for value in (one.measured, one.predicted)]
    ends = [min(values, default=1), max(values, default=1)]
    kind = _axis(ends)
    figure = _points(rows, lambda _row, value: value)
    figure.add_scatter(x=ends, y=ends, mode="lines", line=_LINE, hoverinfo="skip", showlegend=False)
    figure.update_xaxes(title=f"measured, {_unit(rows)}", type=kind)
    figure.update_yaxes(title=f"predicted, {_unit(rows)}", type=kind)
    return figure


def _errors(rows: Sequence[Parity]) -> Figure:
    figure = _points(rows, lambda row, value: value / row.measured - 1)
    figure.add_hline(y=0, line=_LINE)
    figure.update_xaxes(title=f"measured, {_unit(rows)}", type=_axis([one.measured for one in rows]))
    figure.update_yaxes(title="predicted / measured - 1", tickformat="+.0%")
    return figure


_LINE = {"color": "#999", "width": 1}


def _points(rows: Sequence[Parity], height: Callable[[Parity, float], float]) -> Figure:
    """Points by what was held out; `height` says where a row's predicted value lies."""
    figure = _plotly().Figure()
    figure.update_layout(
        template="plotly_white",
        height=380,
        margin={"l": 60, "r": 10, "t": 10, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
    )
    for colour, held_out in zip(cycle(_COLOURS), dict.fromkeys(one.held_out for one in rows), strict=False):
        group = [one for one in rows if one.held_out == held_out]
        middle = [height(one, one.predicted) for one in group]
        above = [0 if one.high is None else height(one, one.high) - y for one, y in zip(group, middle, strict=True)]
        below = [0 if one.low is None else y - height(one, one.low) for one, y in zip(group, middle, strict=True)]
        bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
        figure.add_scatter(
            x=[one.measured for one in group],
            y=middle,
            error_y=bars | {"thickness": 1, "width": 0, "color": colour + _FAINT},
            mode="markers",
            name=held_out,
            marker={
                "color": colour,
                "size": 7,
                "symbol": ["circle-open" if one.saturated else "circle" for one in group],
            },
            text=[_hover(one) for one in group],
            hoverinfo="text",
        )
    return figure


def _hover(one: Parity) -> str:
    interval = "" if one.low is None or one.high is None else f" ({one.low:.4g} to {one.high:.4g})"
    saturated = "<br>saturated" if one.saturated else ""
    return (
        f"{escape(one.point)}<br>measured {one.measured:.4g}<br>predicted {one.predicted:.4g}{interval}"
        f"<br>{one.predicted / one.measured - 1:+.1%}{saturated}"
    )


def _axis(values: Sequence[float]) -> str:
    return "log" if values and max(values) > _LONG_RANGE * min(values) else "linear"


def _unit(rows: Sequence[Parity]) -> str:
    return _UNITS.get(rows[0].metric, "ms") if rows else "ms"


def _plotly() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("plotly.graph_objects")  # heavy and optional
    except ImportError:
        raise InputError('plots need plotly, found none: pip install "trilemma[ui]"') from None
