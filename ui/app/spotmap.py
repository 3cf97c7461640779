"""Spot share against interruption: how goodput and cost of a fleet depend on both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sim.stats import Interval
from sim.study.evaluation import Design, Evaluation
from ui.app import charts, numbers, whatif
from ui.app.charts import Figure
from ui.app.designs import own_kind
from ui.app.jobs import Answer, Task, evaluation
from ui.app.scene import Scene

SHARES = (0, 25, 50, 75, 100)
"""Replicas on spot nodes, per cent."""
LIVES = {0.25: "15 min", 1.0: "1 h", 4.0: "4 h", 24.0: "1 day", 168.0: "1 week"}
"""Mean life of a spot node in hours. GCP's A100 of 2021 lived some 10 h, AWS's most interrupted types some months."""

SCALE = [[0, "#6C7FB5"], [1, "#FDE737"]]
"""Blue to yellow, which the colour-blind tell apart; light enough for what is written on it."""
INK = "#10161D"

Cell = tuple[int, float]
"""Share and life."""
CELLS: tuple[Cell, ...] = tuple((share, life) for life in LIVES for share in SHARES)


def tasks(scene: Scene, *, coarse: bool) -> list[Task]:
    """A simulation a cell; without any spot replica the life does not matter, so those are one."""
    return [evaluation(design(scene, cell, coarse=coarse)) for cell in CELLS]


def design(scene: Scene, cell: Cell, *, coarse: bool) -> Design:
    """The scenario's first pool with so many replicas on spot nodes that live so long, and nothing to spare."""
    share, life = cell
    kind = replace(own_kind(scene), spot=share)
    fleet = whatif.fleet(scene.base, kind.gpu, kind.tp, scene.bar.replicas, share)
    for pool in fleet:
        if pool.get("market") == "spot":
            pool["spot"] = {"reclaims": {"kind": "hazard", "mean_life_hours": life}}
    once = ["run.replications=1"] if coarse else []
    return Design(str(scene.source), (f"fleet={json.dumps(fleet)}", *once))


def known(*passes: Sequence[Answer]) -> dict[Cell, Evaluation]:
    """Of each cell what rests on most replications, which is the last pass that has it."""
    found: dict[Cell, Evaluation] = {}
    for answers in passes:
        found |= {cell: one.value for cell, one in zip(CELLS, answers, strict=False) if one.state == "done"}
    return found


def figure(of: Mapping[Cell, Evaluation]) -> Figure:
    """Share of requests within the SLO as colour, USD an hour as contours."""
    one = charts.figure("Replicas on spot nodes, %", "Mean life of a spot node")
    goodput = _grid({cell: numbers.good_share(each).scaled(100).mean for cell, each in of.items()})
    dollars = _grid({cell: _usd(each).mean for cell, each in of.items()})
    one.add_heatmap(
        x=list(SHARES),
        y=list(range(len(LIVES))),
        z=goodput,
        zmin=0,
        zmax=100,
        colorscale=SCALE,
        colorbar={"title": {"text": "Within<br>the SLO, %"}, "thickness": 12},
        name="goodput",
        text=[[_hover(of, (share, life)) for share in SHARES] for life in LIVES],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    if any(usd is not None for row in dollars for usd in row):
        one.add_contour(
            x=list(SHARES),
            y=list(range(len(LIVES))),
            z=dollars,
            contours={"coloring": "none", "showlabels": True, "labelfont": {"size": 12, "color": INK}},
            line={"color": INK, "width": 1.2},
            ncontours=4,
            showscale=False,
            hoverinfo="skip",
            name="USD an hour",
        )
    one.update_xaxes(tickvals=list(SHARES), showgrid=False)
    one.update_yaxes(tickvals=list(range(len(LIVES))), ticktext=list(LIVES.values()), showgrid=False)
    return one


def in_words(of: Mapping[Cell, Evaluation]) -> str:
    """The map for those who cannot see it: its best and its worst cell."""
    shares = {cell: numbers.good_share(one).mean or 0.0 for cell, one in of.items()}
    told = [
        f"{word} {100 * shares[cell]:.0f} % with {cell[0]} % on spot nodes that live {LIVES[cell[1]]}"
        for word, cell in (
            ("most", max(shares, key=shares.__getitem__)),
            ("least", min(shares, key=shares.__getitem__)),
        )
    ]
    return f"Requests within the SLO over the share of spot nodes and their mean life: {', '.join(told)}."


def _usd(of: Evaluation) -> Interval:
    return numbers.value(of, "usd_per_hour")


def _grid(of: Mapping[Cell, float | None]) -> list[list[float | None]]:
    return [[of.get((share, life)) for share in SHARES] for life in LIVES]


def _hover(of: Mapping[Cell, Evaluation], cell: Cell) -> str:
    if cell not in of:
        return ""
    one = of[cell]
    return (
        f"<b>{cell[0]} % on spot nodes that live {LIVES[cell[1]]}</b><br>"
        f"{numbers.percent(numbers.good_share(one))} within the SLO<br>{numbers.usd(_usd(one))} an hour"
    )
