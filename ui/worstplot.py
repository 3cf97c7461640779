"""The waterfall of a replication's worst requests."""

from collections.abc import Sequence
from html import escape

from ui.graphs import ROW, SMALL, Figure, graph_objects, short
from ui.waterfall import PARTS, Worst

_PART_COLOURS = {
    "retried": "#D55E00",
    "front end": "#8C8C8C",
    "queue": "#E69F00",
    "prefill": "#56B4E9",
    "decode": "#0072B2",
}


def waterfall(worst: Sequence[Worst]) -> Figure:
    """Where the time of each of the worst requests went; the worst on top."""
    unit, ms = ("s", 1000.0) if max((sum(one.parts_ms) for one in worst), default=0.0) >= 10_000 else ("ms", 1.0)
    figure = graph_objects().Figure()
    names = [f"#{one.request}" for one in worst]
    for place, part in enumerate(PARTS):
        values = [one.parts_ms[place] / ms for one in worst]
        if any(values):
            figure.add_bar(
                orientation="h",
                x=values,
                y=names,
                name=part,
                marker={"color": _PART_COLOURS[part], "line": {"width": 0}},
                text=[
                    f"{part} {short(value)} {unit}<br>{_about(one)}" for one, value in zip(worst, values, strict=True)
                ],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            )
    back = [(one, one.readmitted_ms) for one in worst if one.readmitted_ms is not None]
    if back:
        figure.add_scatter(
            x=[at / ms for _, at in back],
            y=[f"#{one.request}" for one, _ in back],
            mode="markers",
            name="admitted again after a preemption",
            marker={"symbol": "diamond", "size": 8, "color": "#CC79A7", "line": {"width": 1, "color": "#FFFFFF"}},
            text=[
                f"preempted {'once' if one.preemptions == 1 else f'{one.preemptions} times'}<br>{_about(one)}"
                for one, _ in back
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0.15,
        height=90 + ROW * max(len(worst), 4),
        margin={"l": 8, "r": 12, "t": 30, "b": 8},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": SMALL, "traceorder": "normal"},
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(title=f"Time since it was sent, {unit}", automargin=True, rangemode="tozero")
    figure.update_yaxes(
        title="Request", type="category", autorange="reversed", automargin=True, tickfont={"size": 9}, showgrid=False,
        tickmode="array", tickvals=names,
    )  # fmt: skip
    return figure


def _about(one: Worst) -> str:
    over = "" if one.over is None else f", {short(one.over)} times its SLO"
    tries = f", {one.tries} tries" if one.tries > 1 else ""
    return (
        f"<b>request #{one.request}</b>{over}{tries}<br>sent at {short(one.sent_s)} s, {one.prompt_tokens:,} + "
        f"{one.output_tokens:,} tokens{f', {escape(one.klass)}' if one.klass else ''}"
    )
