"""`trilemma card`: how wrong a calibration is, on the terminal or as one HTML page."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from calibrate.learnt import Learnt, learnt
from sim.calibration import Calibration, Score, load
from ui.files import check_file, write_atomically

_WIDTH = 100
METRICS = {
    "ttft": "TTFT",
    "tpot": "TPOT",
    "itl": "ITL",
    "e2el": "E2EL",
    "request_throughput": "requests/s",
    "step": "step time",
}
"""Metrics as people call them."""


def card(named: str, out: Path | None) -> None:
    """Print the error card of a calibration, or write it as a page.

    Raises:
        InputError: there is no such calibration, or the page cannot be written.
    """
    if out is not None:
        check_file(out, "--out", ".html")
    calibration = load(named, Path())
    if out is None:
        show(render(calibration))
        return
    from ui.card import page  # noqa: PLC0415  # plotly is heavy and optional

    write_atomically(out, page(calibration), "--out")
    print(out)


def show(text: Text) -> None:
    """Print to the standard output, without any ANSI code if that is no terminal or NO_COLOR is set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        sys.stdout.write(text.plain)
    else:
        Console(highlight=False).print(text, end="", soft_wrap=True)


def render(calibration: Calibration) -> Text:
    """Lay a calibration out: what was measured, what was learnt, how wrong it is."""
    text = Text()
    text.append(f"{calibration.name}", "bold").append(f"  {calibration.engine}, {calibration.date}\n")
    _paragraph(text, calibration.description)
    _heading(text, "Measured")
    hull = calibration.measured
    _line(text, "GPU", ", ".join(hull.gpus))
    _line(text, "Models", ", ".join(hull.models))
    _line(text, "tensor_parallel_size", ", ".join(str(one) for one in hull.tensor_parallel_sizes))
    _line(text, "Up to", f"{hull.max_num_batched_tokens:,} tokens and {hull.max_num_seqs:,} requests a step")
    _line(text, "Longest context", f"{hull.max_context:,} tokens")
    _heading(text, "Sources")
    for one in calibration.sources:
        _paragraph(text, one, "- ")
    for one in calibration.dropped:
        _paragraph(text, f"dropped: {one}", "- ")
    _heading(text, "Efficiencies")
    _parameters(text, learnt(calibration))
    _heading(text, "Errors of predictions that no fit had seen (predicted / measured - 1)")
    _scores(text, calibration.card)
    return text


def _parameters(text: Text, rows: Sequence[Learnt]) -> None:
    text.append(f"  {'':<22}{'prior':>11}{'fitted':>11}   {'95 % interval':<23}{'learnt':>6}\n", "dim")
    for one in rows:
        interval = "" if one.low is None or one.high is None else f"{one.low:.3g} to {one.high:.3g}"
        share = f"{one.share:.0%}" if one.share else "-"
        text.append(f"  {one.name:<22}{one.prior:>11.3g}{one.fitted:>11.3g}   {interval:<23}{share:>6}\n")


def _scores(text: Text, rows: Sequence[Score]) -> None:
    if not rows:
        _paragraph(text, "None: too few measurements to hold any out.")
        return
    heads = f"{'points':>7}{'MAPE':>7}{'bias':>8}{'P50':>7}{'P90':>7}{'P99':>7}{'in 95 %':>9}"
    text.append(f"  {'held out':<26}{'metric':<11}{heads}\n", "dim")
    for one in rows:
        inside = "-" if one.coverage is None else f"{one.coverage:.0%}"
        text.append(
            f"  {one.held_out:<26}{METRICS[one.metric]:<11}{one.points:>7}{one.mape:>7.1%}{one.bias:>+8.1%}"
            f"{one.p50:>7.1%}{one.p90:>7.1%}{one.p99:>7.1%}{inside:>9}\n"
        )
        text.append(f"    worst: {one.worst}\n", "dim")


def _heading(text: Text, words: str) -> None:
    text.append(f"\n{words}\n", "bold")


def _line(text: Text, label: str, value: str) -> None:
    text.append(f"  {label:<24}{value}\n")


def _paragraph(text: Text, words: str, bullet: str = "") -> None:
    for i, line in enumerate(wrap(words, _WIDTH - 2 - len(bullet), break_long_words=False)):
        text.append(f"  {bullet if i == 0 else ' ' * len(bullet)}{line}\n")
