"""The error card as one HTML page that needs no network: scores, parity and residual plots, hull, parameters."""

from collections.abc import Sequence
from html import escape

from calibrate.learnt import learnt
from sim.calibration import Calibration, Score
from ui.cardplots import plots
from ui.commands.card import METRICS
from ui.htmltable import table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1060px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.15em; margin: 2em 0 .4em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { font-weight: 600; background: #f6f6f6; } th.text, td.text { text-align: left; }
.wide { overflow-x: auto; } .plots { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1em; }
@media (max-width: 800px) { .plots { grid-template-columns: minmax(0, 1fr); } }
.quiet { color: #666; } li { margin: .1em 0; }
"""


def page(calibration: Calibration) -> str:
    """Write the page.

    Raises:
        InputError: plotly is not installed.
    """
    parts = [
        f"<h1>{escape(calibration.name)}</h1>",
        f'<p class="quiet">{escape(calibration.engine)}, calibrated {escape(calibration.date)}</p>',
        f"<p>{escape(calibration.description)}</p>",
        "<h2>How wrong it is</h2>",
        "<p>Errors of predictions of what no fit had seen: predicted / measured - 1.</p>",
        _scores(calibration.card),
        *plots(calibration.parity),
        "<h2>What was measured</h2>",
        "<p>A scenario that leaves this is extrapolated by physics, and reports say so.</p>",
        _hull(calibration),
        "<h2>What was learnt</h2>",
        "<p>Efficiencies of the physics: shares of a peak, seconds (_s), or factors.</p>",
        _parameters(calibration),
        *_residuals(calibration),
        "<h2>Sources</h2>",
        _list(calibration.sources),
    ]
    if calibration.dropped:
        parts += ["<h2>Measurements that were not used</h2>", _list(calibration.dropped)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Error card: {escape(calibration.name)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _scores(scores: Sequence[Score]) -> str:
    if not scores:
        return "<p>Too few measurements to hold any out: nothing is known of its errors.</p>"
    heads = ("held out", "metric", "points", "MAPE", "bias", "P50", "P90", "P99", "in their 95 % interval", "worst")
    rows = [
        (
            one.held_out,
            METRICS[one.metric],
            f"{one.points}",
            f"{one.mape:.1%}",
            f"{one.bias:+.1%}",
            f"{one.p50:.1%}",
            f"{one.p90:.1%}",
            f"{one.p99:.1%}",
            "-" if one.coverage is None else f"{one.coverage:.0%}",
            one.worst,
        )
        for one in scores
    ]
    return table(heads, rows, text=(0, 1, 9))


def _hull(calibration: Calibration) -> str:
    hull = calibration.measured
    rows = (
        ("GPU", ", ".join(hull.gpus)),
        ("models", ", ".join(hull.models)),
        ("tensor_parallel_size", ", ".join(str(one) for one in hull.tensor_parallel_sizes)),
        ("largest token budget of a step", f"{hull.max_num_batched_tokens:,}"),
        ("most requests running at once", f"{hull.max_num_seqs:,}"),
        ("longest context", f"{hull.max_context:,} tokens"),
    )
    return table(("", "up to"), rows, text=(0, 1))


def _parameters(calibration: Calibration) -> str:
    rows = [
        (
            one.name,
            f"{one.prior:.3g}",
            f"{one.fitted:.3g}",
            "" if one.low is None or one.high is None else f"{one.low:.3g} to {one.high:.3g}",
            f"{one.share:.0%}" if one.share else "-",
        )
        for one in learnt(calibration)
    ]
    return table(("", "prior", "fitted", "95 % interval", "uncertainty removed"), rows, text=(0,))


def _residuals(calibration: Calibration) -> list[str]:
    left = calibration.residuals
    if left is None:
        return []
    rows = [
        (kind, f"{size:,}", f"{factor:.3f}")
        for kind, sizes, factors in (
            ("steps with prefill, tokens", left.tokens, left.mixed),
            ("decode-only steps, requests", left.seqs, left.decode),
        )
        for size, factor in zip(sizes, factors, strict=True)
    ]
    return [
        "<h2>What the physics left over</h2>",
        "<p>Factors on the part of a step that depends on its size, linear in between.</p>",
        table(("", "size", "factor"), rows, text=(0,)),
    ]


def _list(lines: Sequence[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{escape(one)}</li>" for one in lines) + "\n</ul>"
