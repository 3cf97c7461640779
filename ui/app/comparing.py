"""Charts of designs side by side: paired differences, distributions of latencies, cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.stats import Interval
from sim.study.evaluation import Evaluation
from sim.study.paired import difference, intervals, is_real
from ui.app import charts, numbers, theme
from ui.app.charts import Figure
from ui.app.compared import SHARES, Compared
from ui.app.contenders import Contender
from ui.graphs import log_ticks, short

NO_DIFFERENCE = "no real difference"
MOST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that designs are compared by."""

    label: str
    """With its unit."""
    key: str
    word: str
    """Of its definition in words.py."""
    digits: int
    less_is_better: bool
    times: float = 1.0
    """From the unit of the number to that of the label."""

    def of(self, one: Evaluation) -> Interval:
        """In the label's unit."""
        return numbers.interval(intervals(one).get(self.key)).scaled(self.times)

    def less(self, one: Evaluation, base: Evaluation) -> Interval:
        """One less base, paired by replication."""
        return difference(one, base, self.key).scaled(self.times)


MEASURES = (
    Measure("Within the SLO, %", "good_share", "goodput_share", 1, less_is_better=False, times=100),
    Measure("Goodput, requests/s", "request_goodput", "request_goodput", 2, less_is_better=False),
    Measure("P99 TTFT, ms", "p99_ttft_ms", "ttft", 0, less_is_better=True),
    Measure("P99 TPOT, ms", "p99_tpot_ms", "tpot", 1, less_is_better=True),
    Measure("Output tokens/s", "output_throughput", "output_throughput", 0, less_is_better=False),
    Measure("Cost, USD an hour", "usd_per_hour", "usd_per_hour", 2, less_is_better=True),
    Measure("USD per 1k good requests", "usd_per_1k_good_requests", "usd_per_1k_good", 2, less_is_better=True),
    Measure("USD per 1M output tokens", "usd_per_1m_output_tokens", "usd_per_1m_output", 2, less_is_better=True),
)


def told(found: Interval, digits: int) -> str:
    """A difference in words: what leaves out zero is one; to `digits` decimals, or more if its interval is narrower."""
    real = is_real(found)
    if found.mean is None:
        return numbers.NOTHING
    wanted = math.ceil(-math.log10(found.half_width)) if found.half_width else 0
    digits = wanted if digits < wanted <= MOST_DIGITS else digits
    if real is False:
        same = found.low == found.high
        return "the same" if same else f"{NO_DIFFERENCE} ({numbers.plus_minus(found, digits, signed=True)})"
    return numbers.plus_minus(found, digits, signed=True) + ("" if real else " (one replication)")


def forest(base: Contender, others: Sequence[tuple[Contender, Evaluation]], usual: Evaluation) -> Figure:
    """Differences from the base in per cent of its mean, with 95 % intervals; open where there is none for sure."""
    rows = [one for one in MEASURES if one.of(usual).mean and any(one.less(each, usual).n for _, each in others)]
    step = 0.7 / max(len(others), 1)
    figure = charts.figure(f"Difference from {base.letter}, %", "", height=120 + len(rows) * (26 + 18 * len(others)))
    for number, (contender, one) in enumerate(others):
        offset = (number - (len(others) - 1) / 2) * step
        found = [(place, row, row.less(one, usual), row.of(usual).mean or 1.0) for place, row in enumerate(rows)]
        found = [each for each in found if each[2].mean is not None]
        figure.add_scatter(
            x=[100 * (gap.mean or 0.0) / abs(mean) for _, _, gap, mean in found],
            y=[place + offset for place, *_ in found],
            error_x={
                "type": "data",
                "array": [100 * (gap.half_width or 0.0) / abs(mean) for _, _, gap, mean in found],
                "color": contender.look.colour,
                "thickness": 2,
                "width": 5,
            },
            mode="markers",
            name=contender.name,
            marker={
                "color": contender.look.colour,
                "size": 10,
                "symbol": [contender.look.symbol + ("" if is_real(gap) else "-open") for _, _, gap, _ in found],
                "line": {"width": 2, "color": contender.look.colour},
            },
            text=[f"<b>{contender.name}</b><br>{row.label}: {told(gap, row.digits)}" for _, row, gap, _ in found],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": theme.MUTED, "width": 1.5})
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[f"{row.label.rpartition(',')[0] or row.label} {'↓' if row.less_is_better else '↑'}" for row in rows],
        range=[len(rows) - 0.4, -0.6],
    )
    figure.update_xaxes(zeroline=False, nticks=7, tickangle=0)
    return figure


def distribution(
    of: Sequence[tuple[Contender, Compared]], name: str, limits: Mapping[float, str], *, height: int = theme.HEIGHT
) -> Figure:
    """Share of the answered requests with at most so much latency, a line a design with its band.

    Args:
        of: the designs.
        name: "ttft" or "tpot".
        limits: of SLOs, in ms, with what to write beside them.
        height: in pixels.
    """
    figure = charts.figure(f"{name.upper()}, ms", "Answered requests, %", height=height)
    for contender, one in of:
        found = one.quantiles[name]
        if not found:
            continue
        lows, highs = ([getattr(each, edge) for each in found] for edge in ("low", "high"))
        if None not in lows:
            figure.add_scatter(
                x=[*(max(low, 1e-3) for low in lows), *reversed(highs)],
                y=[*SHARES, *reversed(SHARES)],
                fill="toself",
                fillcolor=theme.faint(contender.look.colour),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=contender.name,
                name=f"{contender.name}, 95 % band",
            )
        figure.add_scatter(
            x=[each.mean for each in found],
            y=list(SHARES),
            mode="lines",
            name=contender.name,
            legendgroup=contender.name,
            line={"color": contender.look.colour, "dash": contender.look.dash, "width": 2},
            text=[
                f"<b>{contender.name}</b><br>{share:g} % within {numbers.ms(each)}"
                for share, each in zip(SHARES, found, strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    for limit, words in limits.items():
        figure.add_vline(x=limit, line={"color": theme.LIMIT, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=math.log10(limit), y=3, text=words, textangle=-90, showarrow=False, xanchor="right", yanchor="bottom"
        )  # on a logarithmic axis annotations are placed by exponents, shapes by values
    shown = [each.mean for _, one in of for each in one.quantiles[name] if each.mean] + list(limits)
    if shown:
        low, high = 0.8 * min(shown), 1.25 * max(shown)
        ticks = log_ticks(low, high, most=6)
        figure.update_xaxes(tickvals=ticks, ticktext=[short(tick) for tick in ticks])
        figure.update_xaxes(type="log", range=[math.log10(low), math.log10(high)])
    figure.update_yaxes(range=[0, 101])
    return figure


def cost(of: Sequence[tuple[Contender, Evaluation]]) -> Figure:
    """USD an hour of each design, a piece a pool; on spot nodes hatched."""
    figure = charts.figure("Cost of the fleet, USD an hour", "", height=110 + 50 * len(of))
    for contender, one in of:
        total = numbers.value(one, "usd_per_hour")
        markets = {pool.pool: pool.market for pool in contender.scene.loaded.scenario.fleet}
        for pool in one.summary["pools"]:
            share = numbers.interval(pool["values"].get("usd_share")).mean
            if share is None or total.mean is None:
                continue
            market = markets[pool["pool"]].replace("_", " ")
            figure.add_bar(
                x=[share * total.mean],
                y=[contender.name],
                orientation="h",
                name=f"{contender.letter}, {pool['pool']}",
                marker={
                    "color": contender.look.colour,
                    "line": {"width": 1, "color": "#FFFFFF"},
                    "pattern": {"shape": "/" if market == "spot" else ""},
                },
                hovertemplate=(
                    f"<b>{contender.name}</b><br>pool {pool['pool']}, {pool['gpu']}, {market}: "
                    f"{numbers.usd(share * total.mean)} an hour of {numbers.usd(total)}<extra></extra>"
                ),
            )
        reach = numbers.reach(total)
        figure.add_scatter(
            x=[total.mean],
            y=[contender.name],
            error_x={"type": "data", "array": [reach or 0.0], "color": theme.MUTED, "width": 6, "thickness": 2},
            mode="markers",
            name=f"{contender.letter}, total",
            marker={"size": 1, "color": contender.look.colour},
            hoverinfo="skip",
        )
    figure.update_layout(barmode="stack", showlegend=False)
    figure.update_xaxes(rangemode="tozero", tickprefix="$")
    labels = [f"{contender.name}<br>{numbers.usd(numbers.value(one, 'usd_per_hour'))} an hour" for contender, one in of]
    figure.update_yaxes(autorange="reversed", tickvals=[contender.name for contender, _ in of], ticktext=labels)
    return figure
