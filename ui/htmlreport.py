"""A run as one HTML file that needs nothing else: numbers with intervals, charts, provenance, the scenario."""

import importlib
from collections.abc import Sequence
from html import escape
from typing import Any

import yaml
from rich.text import Text

from sim.errors import InputError
from sim.report import Summary, summarise
from sim.report.objective import objectives
from sim.result import Run
from ui import htmlplots
from ui.app.numbers import ms, plus_minus
from ui.app.replay import picture
from ui.app.replay_words import alt_of_time, alt_of_worst, ends, shown
from ui.console import render
from ui.graphs import Figure
from ui.htmlnumbers import LATENCIES, availability, cards, cost, slo
from ui.htmlstyle import STYLE
from ui.htmltable import table
from ui.runplots import through_time
from ui.waterfall import MOST
from ui.worstplot import waterfall

_CONFIG = {"displayModeBar": False, "responsive": True}
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser itself refuses to fetch anything."""


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
            cards(summary),
            f"<p><b>Bottleneck.</b> {escape(summary.bottleneck)}</p>",
            _warnings(summary.warnings),
            "<h2>Service-level objective</h2>",
            slo(summary),
            "<h2>Latencies</h2>",
            *_latencies(run, summary),
            "<h2>Throughput and goodput</h2>",
            *_goodput(run, summary),
            "<h2>Cost</h2>",
            cost(summary),
            *availability(summary),
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


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    return (
        '<div class="warnings"><b>Warnings</b>\n<ul>'
        + "\n".join(f"<li>{escape(one)}</li>" for one in warnings)
        + "</ul></div>"
    )


def _latencies(run: Run, summary: Summary) -> list[str]:
    aims = objectives(run)
    if not any(one.values["completed"].mean for one in summary.classes):
        return ["<p>No request was answered, so there are no latencies.</p>"]
    charts = []
    for metric in ("ttft", "tpot", "e2el"):
        told = summary[f"p99_{metric}_ms"]
        limits = [f"{aim.limits_ms[metric]:,g} ms" for aim in aims if metric in aim.limits_ms]
        alt = f"Cumulative distribution of {LATENCIES[metric]} of the answered requests; P99 is {ms(told)}."
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


def _replay(run: Run) -> list[str]:
    one = picture(run.replications[0], run.replicas, objectives(run), 0, len(run.replications))
    there = one.lives
    hidden = f" {there.hidden} of {there.in_all} replicas are not drawn." if there.hidden else ""
    parts = [
        f"<h2>Replication 1 of {one.replications}, as its operator would see it</h2>",
        f"<p>{escape(shown(one.end_s))}: {escape(ends(one))}.</p>",
        _chart(through_time(one), "replay", alt_of_time(one)),
        f'<p class="quiet">In bins of {one.bins.width_s:g} s; one replication has no intervals. Panels and titles are '
        f"those of vLLM's Grafana dashboard.{hidden}</p>",
    ]
    if one.worst:
        ranked = "the slowest, as there is no SLO" if one.worst[0].over is None else "furthest beyond their SLO first"
        parts += [
            "<h2>Its worst requests</h2>",
            f'<p class="quiet">Answered, at most {MOST}: {ranked}. Time lost to a preemption is part of prefill before '
            "the first token and of decode after it, as vLLM counts it.</p>",
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
