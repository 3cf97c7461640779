"""A run as one HTML file that needs nothing else: numbers with intervals, charts, provenance, the scenario."""

import importlib
from collections.abc import Sequence
from html import escape
from typing import Any

import yaml
from rich.text import Text

from sim.errors import InputError
from sim.report import ClassSummary, Summary, summarise
from sim.report.objective import objectives
from sim.result import Run
from sim.stats import Interval
from ui import htmlplots
from ui.app.numbers import NOTHING, ms, percent, plus_minus, usd
from ui.app.replay import picture
from ui.app.replay_words import alt_of_time, alt_of_worst, ends, shown
from ui.console import render
from ui.graphs import Figure
from ui.htmlstyle import STYLE
from ui.htmltable import table
from ui.runplots import through_time
from ui.worstplot import waterfall

_CONFIG = {"displayModeBar": False, "responsive": True}
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser itself refuses to fetch anything."""
_LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "e2el": "end-to-end latency", "ttfat": "time to first answer token"}
_COSTS = {
    "usd_total": "This run",
    "usd_per_hour": "An hour",
    "usd_per_day": "A day",
    "usd_per_1m_output_tokens": "1M output tokens",
    "usd_per_1m_total_tokens": "1M input and output tokens",
    "usd_per_1k_good_requests": "1,000 requests within the SLO",
}
_LOST = {
    "lost_requests": "Lost",
    "shed_requests": "Shed",
    "timed_out_requests": "Given up by their clients",
    "retried_requests": "Tried more than once",
}


def page(run: Run) -> str:
    """Write the page; the same run gives the same bytes.

    Raises:
        InputError: plotly is not installed.
    """
    script = _plotly_script()
    summary = summarise(run)
    name, model = escape(summary.name), escape(summary.model)
    described = escape(str(run.scenario.get("description") or ""))
    body = "\n".join(
        [
            f"<h1>{name}</h1>",
            f'<p class="quiet">{model}, {_replications(summary)}, seed {summary.seed}</p>',
            f"<p>{described}</p>" if described else "",
            _cards(summary),
            f"<p><b>Bottleneck.</b> {escape(summary.bottleneck)}</p>",
            _warnings(summary.warnings),
            "<h2>Service-level objective</h2>",
            _slo(summary),
            "<h2>Latencies</h2>",
            *_latencies(run, summary),
            "<h2>Throughput and goodput</h2>",
            *_goodput(run, summary),
            "<h2>Cost</h2>",
            _cost(summary),
            *_availability(summary),
            *_replay(run),
            "<h2>The report on the terminal</h2>",
            f"<pre>{_styled(render(run, summary))}</pre>",
            "<h2>Provenance</h2>",
            _provenance(run),
            "<h2>Scenario</h2>",
            "<p>As it was resolved, every default written out; save it and <code>trilemma run</code> takes it.</p>",
            f"<details><summary>YAML</summary><pre>{escape(_yaml(run))}</pre></details>",
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>Run: {name}</title>\n<style>{STYLE}</style>\n<script>{script}</script>\n</head>\n"
        "<body>\n<noscript><p>The charts need JavaScript; it is all in this file.</p></noscript>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _plotly_script() -> str:
    try:
        return str(importlib.import_module("plotly.offline").get_plotlyjs())  # heavy and optional
    except ImportError:
        raise InputError('the report\'s charts need plotly, found none: pip install "trilemma[ui]"') from None


def _replications(summary: Summary) -> str:
    return "one replication, so no intervals" if summary.replications == 1 else f"{summary.replications} replications"


def _cards(summary: Summary) -> str:
    found = [("SLO", "none given" if summary.verdict is None else summary.verdict.value)]
    if summary["request_goodput"].mean is not None:
        found.append(("Request goodput", f"{plus_minus(summary['request_goodput'], 2)} req/s"))
    found += [
        ("Request throughput", f"{plus_minus(summary['request_throughput'], 2)} req/s"),
        ("P99 TTFT", ms(summary["p99_ttft_ms"])),
        ("P99 TPOT", ms(summary["p99_tpot_ms"])),
        ("Cost an hour", usd(summary["usd_per_hour"])),
    ]
    if "availability" in summary.values:
        found.append(("Answered", percent(summary["availability"])))
    cards = "\n".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in found)
    around = "± is the 95 % interval of the mean over the replications"
    drawn = ", with what the calibration of the step times leaves open" if summary.draws else ""
    note = f'<p class="quiet">{around}{drawn}.</p>' if summary.replications > 1 else ""
    return f'<dl class="cards">\n{cards}\n</dl>\n{note}'


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    return (
        '<div class="warnings"><b>Warnings</b>\n<ul>'
        + "\n".join(f"<li>{escape(one)}</li>" for one in warnings)
        + "</ul></div>"
    )


def _slo(summary: Summary) -> str:
    rows = [row for one in summary.classes for row in _limits(one)]
    if not rows:
        return "<p>None was given, so no request is good or bad.</p>"
    heads = ("requests", "must keep", "in", "reached", "good", "verdict")
    return table(heads, rows, text=(0, 1, 5))


def _limits(one: ClassSummary) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for metric, limit in one.slo_ms.items():
        key = f"p{one.percentile:g}_{metric}_ms"
        reached = ms(one.values[key]) if key in one.values else NOTHING
        good, verdict = percent(one.values["good_share"]), one.verdict.value if one.verdict else ""
        asked = f"{_LATENCIES[metric]} at most {limit:,g} ms"
        rows.append((one.name, asked, f"{one.percentile:g} %", f"{reached} (P{one.percentile:g})", good, verdict))
    return rows


def _latencies(run: Run, summary: Summary) -> list[str]:
    aims = objectives(run)
    if not any(one.values["completed"].mean for one in summary.classes):
        return ["<p>No request was answered, so there are no latencies.</p>"]
    charts = []
    for metric in ("ttft", "tpot", "e2el"):
        told = summary[f"p99_{metric}_ms"]
        limits = [f"{aim.limits_ms[metric]:,g} ms" for aim in aims if metric in aim.limits_ms]
        alt = f"Cumulative distribution of {_LATENCIES[metric]} of the answered requests; P99 is {ms(told)}."
        alt += f" The SLO's limit: {', '.join(limits)}." if limits else ""
        charts.append(_chart(htmlplots.distribution(run.replications, metric, aims), f"cdf-{metric}", alt))
    beyond = len(aims) - htmlplots.MOST_CLASSES
    note = f" The last {beyond} classes are not drawn." if beyond > 0 else ""
    return [
        '<div class="charts">',
        *charts,
        "</div>",
        f'<p class="quiet">Each percentile is taken in each replication, then averaged.{note}</p>',
    ]


def _goodput(run: Run, summary: Summary) -> list[str]:
    alt = (
        "Requests a second through time: sent, and of those the good; "
        f"{plus_minus(summary['request_throughput'], 2)} a second were answered over the run."
    )
    return [
        _chart(htmlplots.through_time(run.replications, objectives(run)), "goodput", alt),
        '<p class="quiet">By the time of sending. Good: answered within the SLO of its class; without one, answered. '
        "Failed: lost, shed or given up. The last requests may still have been in flight.</p>",
    ]


def _cost(summary: Summary) -> str:
    if summary["usd_total"].mean is None:
        return "<p>Unknown: a pool has no price, in the scenario (usd_per_gpu_hour) or in the catalogue.</p>"
    rows = []
    for key, words in _COSTS.items():
        if summary[key].mean is not None:
            tails = summary.usd_p10_p90.get(key)
            spread = f"{usd(tails[0])} to {usd(tails[1])}" if tails and tails[0] < tails[1] else NOTHING
            rows.append((words, usd(summary[key]), spread))
    rows.append(("GPU-hours of this run", plus_minus(summary["gpu_hours"], 2), NOTHING))
    if len(summary.pools) > 1:
        rows += [(f"{one.pool}, of the cost", percent(one.values["usd_share"]), NOTHING) for one in summary.pools]
    return table(("", "mean", "P10 to P90 of replications"), rows, text=(0,))


def _availability(summary: Summary) -> list[str]:
    if "availability" not in summary.values:
        return []
    verdict = "" if summary.availability_verdict is None else summary.availability_verdict.value
    rows = [("Answered requests", percent(summary["availability"]), verdict)]
    rows += [(words, plus_minus(summary[key], 1), "") for key, words in _LOST.items()]
    rows.append(("Mean ready replicas", plus_minus(summary["mean_ready_replicas"], 2), ""))
    found = summary.recovery
    if found is not None and found.incidents:
        share = Interval(found.recovered / found.incidents, found.share_low, found.share_high, found.incidents)
        rows.append(("Incidents recovered from", f"{found.recovered} of {found.incidents}", percent(share)))
        if found.median_minutes is not None:
            rows.append(("Minutes to recover, median", f"{found.median_minutes:.1f}", ""))
    return ["<h2>Availability</h2>", table(("a replication", "", ""), rows, text=(0, 2))]


def _replay(run: Run) -> list[str]:
    one = picture(run.replications[0], run.replicas, objectives(run), 0, len(run.replications))
    parts = [
        f"<h2>Replication 1 of {one.replications}, as its operator would see it</h2>",
        f"<p>{escape(shown(one.end_s))}: {escape(ends(one))}.</p>",
        _chart(through_time(one), "replay", alt_of_time(one)),
        f'<p class="quiet">In bins of {one.bins.width_s:g} s; one replication has no intervals. Panels and titles are '
        "those of vLLM's Grafana dashboard.</p>",
    ]
    if one.worst:
        parts += [
            f"<h2>Its worst {len(one.worst)} answered requests</h2>",
            _chart(waterfall(one.worst), "worst", alt_of_worst(one)),
        ]
    return parts


def _chart(figure: Figure, name: str, alt: str) -> str:
    figure.update_layout(template="plotly_white", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    html = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, default_width="100%",
        default_height=f"{figure.layout.height}px", config=_CONFIG,
    )  # fmt: skip
    return f'<div role="img" aria-label="{escape(alt)}">{html}</div>'


def _styled(text: Text) -> str:
    """Rich's text, whose styles follow one another."""
    parts, done = [], 0
    for span in text.spans:
        words = escape(text.plain[span.start : span.end])
        parts += [escape(text.plain[done : span.start]), f'<span class="{escape(str(span.style))}">{words}</span>']
        done = span.end
    return "".join([*parts, escape(text.plain[done:])])


def _provenance(run: Run) -> str:
    rows = [(key.replace("_", " "), value) for key, value in run.provenance.items() if key != "warnings" and value]
    return f'<div class="long">{table((), rows, text=(0, 1))}</div>'


def _yaml(run: Run) -> str:
    scenario: Any = run.scenario
    return yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True, width=110)
