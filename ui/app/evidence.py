"""Charts of an answer's evidence: readings beside what is claimed, and curves."""

from collections.abc import Sequence
from dataclasses import dataclass

from sim.audit.evidence import Figure as Data
from sim.audit.evidence import Reading
from ui.app import charts, theme
from ui.audit.words import Language, interval, number, span


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure, and what it shows in words."""

    figure: charts.Figure
    alt: str


def readings(of: Sequence[Reading], language: Language) -> Drawn | None:
    """Readings in the unit of the first, with intervals, over the claimed ranges; None where nothing is claimed."""
    unit = of[0].unit
    shown = [one for one in of if one.unit == unit and one.ours.mean is not None]
    if not any(one.claimed for one in shown):
        return None
    figure = charts.figure(unit, "", height=90 + 44 * len(shown))
    names = [getattr(one.words, language) for one in shown]
    means = [float(one.ours.mean or 0.0) for one in shown]
    bounds = [one.ours.combined or (mean, mean) for one, mean in zip(shown, means, strict=True)]
    low, high = _range(shown, bounds)
    for name, one in zip(names, shown, strict=True):
        if one.claimed is not None:
            start = low if one.claimed.low is None else one.claimed.low
            end = high if one.claimed.high is None else one.claimed.high
            figure.add_scatter(
                x=[start, end],
                y=[name, name],
                mode="lines",
                line={"color": theme.faint(theme.COLOURS[4]), "width": 20},
                hoverinfo="skip",
                showlegend=False,
                name=f"{name}, claimed",
            )
    figure.add_scatter(
        x=means,
        y=names,
        mode="markers",
        marker={"size": 10, "color": theme.COLOURS[0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [edge[1] - mean for edge, mean in zip(bounds, means, strict=True)],
            "arrayminus": [mean - edge[0] for edge, mean in zip(bounds, means, strict=True)],
        },
        text=[f"{interval(one.ours, language)} {unit}" for one in shown],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
        name="ours",
    )
    figure.update_yaxes(autorange="reversed")
    alt = "; ".join(
        f"{name}: {number(mean)} {unit}, claimed {span(one.claimed, 'en')}"
        for name, mean, one in zip(names, means, shown, strict=True)
    )
    return Drawn(figure, f"{alt}.")


def curves(data: Data, language: Language) -> Drawn:
    """Curves with their bands."""
    figure = charts.figure(getattr(data.x, language), getattr(data.y, language))
    for i, one in enumerate(data.curves):
        look = theme.Look(theme.COLOURS[i % len(theme.COLOURS)], "circle", "solid")
        hover = [f"{number(x)}: {number(y)}" for x, y in zip(one.x, one.y, strict=True)]
        low, high = (one.low or one.y), (one.high or one.y)
        charts.line(figure, getattr(one.name, language), one.x, one.y, list(low), list(high), look, hover)
    if data.log_x:
        figure.update_xaxes(type="log")
    ends = "; ".join(
        f"{getattr(one.name, language)}: from {number(one.y[0])} at {number(one.x[0])} "
        f"to {number(one.y[-1])} at {number(one.x[-1])}"
        for one in data.curves
    )
    return Drawn(figure, f"{getattr(data.title, language)}. {ends}.")


def _range(shown: Sequence[Reading], bounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    claimed = [edge for one in shown if one.claimed for edge in (one.claimed.low, one.claimed.high) if edge is not None]
    edges = [*claimed, *(edge for pair in bounds for edge in pair)]
    margin = 0.1 * (max(edges) - min(edges) or abs(edges[0]) or 1.0)
    return min(edges) - margin, max(edges) + margin
