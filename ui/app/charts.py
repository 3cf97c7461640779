"""Figures in one style. A page gives data; a chart has units in its axis titles and says in words what it shows."""

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import streamlit as st

from sim.errors import InputError
from ui.app import theme

Figure = Any  # plotly is imported late and has no types

CONFIG = {"displayModeBar": False, "responsive": True, "scrollZoom": False}


def plotly() -> ModuleType:
    """Plotly's graph objects.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("plotly.graph_objects")  # heavy and optional
    except ImportError:
        raise InputError('charts need plotly, found none: pip install "trilemma[ui]"') from None


def figure(x: str, y: str, *, height: int = theme.HEIGHT) -> Figure:
    """An empty figure; `x`, `y`: titles with their units."""
    empty = plotly().Figure()
    empty.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 28, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"namelength": -1},
    )
    empty.update_xaxes(title=x, automargin=True)
    empty.update_yaxes(title=y, automargin=True)
    return empty


def line(
    to: Figure,
    name: str,
    x: Sequence[float],
    y: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    look: theme.Look,
    hover: Sequence[str],
    *,
    coarse: Sequence[bool] = (),
) -> None:
    """A line with its band; where an interval is unknown the band closes up, and coarse points have open symbols."""
    lows = [at if edge is None else edge for at, edge in zip(y, low, strict=True)]
    highs = [at if edge is None else edge for at, edge in zip(y, high, strict=True)]
    to.add_scatter(
        x=[*x, *reversed(x)],
        y=[*highs, *reversed(lows)],
        fill="toself",
        fillcolor=theme.faint(look.colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        name=f"{name}, 95 % band",
        legendgroup=name,
    )
    to.add_scatter(
        x=list(x),
        y=list(y),
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={
            "color": look.colour,
            "symbol": [f"{look.symbol}-open" if one else look.symbol for one in coarse] or look.symbol,
            "size": 8,
        },
        text=list(hover),
        hovertemplate="%{text}<extra></extra>",
    )


def limit(to: Figure, y: float, words: str) -> None:
    """A horizontal line that must be reached, or kept."""
    to.add_hline(
        y=y,
        line={"color": theme.LIMIT, "width": 1.5, "dash": "dash"},
        annotation={"text": words, "xanchor": "right", "x": 1, "yanchor": "top"},
    )


def show(one: Figure, alt: str, key: str, *, select: Callable[[str], None] | None = None) -> None:
    """Draw a figure.

    Args:
        one: the figure.
        alt: says in words what it shows, for those who cannot see it.
        key: its name on the page.
        select: called with the `customdata` of a point that is clicked on.
    """

    def clicked() -> None:
        points = st.session_state[key].selection.points
        if select is not None and points and (data := points[0].get("customdata")):
            select(data[0] if isinstance(data, list) else data)

    st.plotly_chart(
        one,
        theme="streamlit",
        config=CONFIG,
        key=key,
        alt=alt,
        on_select="ignore" if select is None else clicked,
        selection_mode="points",
    )
