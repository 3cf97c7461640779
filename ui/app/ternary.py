"""Figures of the triangle: the ternary of scores, and panels in raw units with the same colours."""

from collections.abc import Callable, Sequence

from sim.stats import Interval
from ui.app import charts, numbers, theme
from ui.app.charts import Figure
from ui.app.designs import Kind
from ui.app.standing import Standing

Side = tuple[str, Callable[[Standing], Interval]]
"""Title with unit of an axis, and its number."""

_GRID = "rgba(128,128,128,0.28)"
_LOG_TICKS = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
HEIGHT = 400
_FAR = 0.55
"""Opacity of designs whose cost is not near the best."""


def size(score: float) -> float:
    """Pixels of a marker by its weighted score: the area grows with it."""
    return 4 + 12 * float(max(score, 0.0) ** 0.5)


def ternary(all_: Sequence[Standing], weights: Sequence[float], selected: str | None) -> Figure:
    """Where designs stand between the corners; a point's place is the mix of its scores, its size their level."""
    figure = charts.plotly().Figure()
    drawn = [one for one in all_ if one.score(weights) is not None]
    for kind in dict.fromkeys(one.kind for one in drawn):
        _points(figure, kind, [one for one in drawn if one.kind == kind], weights)
    frontier = [one for one in drawn if one.told.frontier]
    _rings(figure, frontier, weights, "on the frontier", 9, theme.MUTED)
    _rings(figure, [one for one in drawn if one.name == selected], weights, "selected", 16, theme.LIMIT)
    total = sum(weights) or 1.0
    figure.add_scatterternary(
        a=[weights[0] / total],
        b=[weights[1] / total],
        c=[weights[2] / total],
        mode="markers",
        marker={"symbol": "cross-thin", "size": 12, "line": {"width": 2, "color": theme.MUTED}},
        name="your weights",
        hovertemplate="your weights<extra></extra>",
    )
    axis = {"showticklabels": False, "tickvals": [0.25, 0.5, 0.75], "ticks": "", "gridcolor": _GRID, "linecolor": _GRID}
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 48, "r": 48, "t": 40, "b": 24},
        showlegend=False,
        ternary={
            "sum": 1,
            "bgcolor": "rgba(0,0,0,0)",
            "aaxis": axis | {"title": {"text": "Performance"}},
            "baxis": axis | {"title": {"text": "Cost"}},
            "caxis": axis | {"title": {"text": "Flexibility"}},
        },
    )
    return figure


def panel(all_: Sequence[Standing], across: Side, up: Side, selected: str | None, *, log: bool = False) -> Figure:
    """Designs in raw units, with 95 % intervals both ways."""
    figure = charts.figure(across[0], up[0], height=HEIGHT)
    drawn = [one for one in all_ if across[1](one).mean is not None and up[1](one).mean is not None]
    for kind in dict.fromkeys(one.kind for one in drawn):
        mine = [one for one in drawn if one.kind == kind]
        x, y = [across[1](one) for one in mine], [up[1](one) for one in mine]
        figure.add_scatter(
            x=[one.mean for one in x],
            y=[one.mean for one in y],
            error_x=_bars(x, kind),
            error_y=_bars(y, kind),
            mode="markers",
            name=kind.name,
            showlegend=False,
            marker=_marker(kind, mine, [9.0] * len(mine)),
            unselected={"marker": {"opacity": 1}},
            customdata=[[one.name] for one in mine],
            text=[hover(one) for one in mine],
            hovertemplate="%{text}<extra></extra>",
        )
    for one in drawn:
        if one.name == selected:
            figure.add_scatter(
                x=[across[1](one).mean],
                y=[up[1](one).mean],
                mode="markers",
                marker={"symbol": "circle-open", "size": 18, "color": theme.LIMIT, "line": {"width": 2}},
                name="selected",
                showlegend=False,
                hoverinfo="skip",
            )
    figure.update_layout(margin={"t": 8})
    if log:
        figure.update_xaxes(type="log", tickvals=_LOG_TICKS, ticktext=[f"{tick:,}" for tick in _LOG_TICKS])
    return figure


def hover(one: Standing) -> str:
    """A design in raw units."""
    tokens, usd, kept = one.told.raw
    verdict = "meets the SLO" if one.told.feasible else "does not meet the SLO"
    frontier = ", on the frontier" if one.told.frontier else ""
    return (
        f"<b>{one.name}</b><br>{verdict}{frontier}<br>{numbers.plus_minus(tokens, 1)} tokens/s per user<br>"
        f"{numbers.usd(usd)} per 1,000 good requests<br>{numbers.percent(kept)} of goodput kept under stress"
    )


def _points(figure: Figure, kind: Kind, mine: Sequence[Standing], weights: Sequence[float]) -> None:
    a, b, c = zip(*(_mix(one) for one in mine), strict=True)
    figure.add_scatterternary(
        a=list(a),
        b=list(b),
        c=list(c),
        mode="markers",
        name=kind.name,
        marker=_marker(kind, mine, [size(one.score(weights) or 0.0) for one in mine]),
        unselected={"marker": {"opacity": 1}},
        customdata=[[one.name] for one in mine],
        text=[f"{hover(one)}<br>score {one.score(weights):.2f}" for one in mine],
        hovertemplate="%{text}<extra></extra>",
    )


def _rings(
    figure: Figure, mine: Sequence[Standing], weights: Sequence[float], name: str, wider: float, colour: str
) -> None:
    if not mine:
        return
    a, b, c = zip(*(_mix(one) for one in mine), strict=True)
    figure.add_scatterternary(
        a=list(a),
        b=list(b),
        c=list(c),
        mode="markers",
        name=name,
        marker={
            "symbol": "circle-open",
            "size": [size(one.score(weights) or 0.0) + wider for one in mine],
            "color": colour,
            "line": {"width": 1.5},
        },
        hoverinfo="skip",
    )


def _mix(one: Standing) -> tuple[float, float, float]:
    """The scores as parts of one."""
    first, second, third = (min(score or 0.0, 1.0) for score in one.told.scores)
    total = first + second + third
    return (first / total, second / total, third / total) if total else (1 / 3, 1 / 3, 1 / 3)


def _marker(kind: Kind, mine: Sequence[Standing], sizes: Sequence[float]) -> dict[str, object]:
    """Open where the SLO is not met, pale where the cost is not near the best."""
    look = kind.look
    return {
        "color": look.colour,
        "symbol": [f"{look.symbol}{'' if one.told.feasible else '-open'}" for one in mine],
        "size": list(sizes),
        "opacity": [1.0 if one.near or not one.told.feasible else _FAR for one in mine],
        "line": {"width": 2, "color": theme.MUTED if kind.spot else look.colour},
    }


def _bars(of: Sequence[Interval], kind: Kind) -> dict[str, object]:
    edges = [one.combined or (one.mean or 0.0, one.mean or 0.0) for one in of]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - (one.mean or 0.0) for one, (_, high) in zip(of, edges, strict=True)],
        "arrayminus": [(one.mean or 0.0) - low for one, (low, _) in zip(of, edges, strict=True)],
        "color": kind.look.colour,
        "thickness": 1,
        "width": 0,
    }
