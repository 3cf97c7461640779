"""`trilemma compare`: a simulated and a measured run of the same requests, side by side."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from calibrate import realrun
from calibrate.compare import Comparison, Metric, Statistic
from calibrate.compare import compare as compare_runs
from calibrate.parts import Difference
from sim import rundir
from sim.errors import InputError

_WIDTH = 80
_HEADERS = {
    "ttft": "Time to First Token",
    "tpot": "Time per Output Token (excl. 1st token)",
    "itl": "Inter-token Latency",
    "e2el": "End-to-end Latency",
}
_RATES = {
    "duration_s": "Duration (s)",
    "request_throughput": "Request throughput (req/s)",
    "output_throughput": "Output throughput (tok/s)",
}
_SHORT = {"before first token": "to 1st token"}


def compare(sim_run: Path, real_run: Path, json_to: str | None) -> None:
    """Compare two run directories and print what differs, or its JSON.

    Raises:
        InputError: a run cannot be read, they are not the same requests, or the JSON cannot be written.
    """
    if json_to not in (None, "-") and (Path(json_to).is_dir() or not Path(json_to).parent.is_dir()):
        raise InputError(f"--json {json_to}: expected a file in a folder that exists")
    found = compare_runs(rundir.read(sim_run), realrun.read(real_run), sim_run)
    if json_to == "-":
        sys.stdout.write(to_json(found))
        return
    _print(render(found, sim_run, real_run))
    if json_to is not None:
        try:
            Path(json_to).write_text(to_json(found), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {json_to}: cannot be written ({error.strerror})") from None


def to_json(found: Comparison) -> str:
    """Write a comparison as JSON; every statistic carries its error, a share (0.05: 5 % more than measured)."""
    data: dict[str, Any] = asdict(found)
    for name, metric in found.metrics.items():
        data["metrics"][name]["statistics"] = _with_errors(metric.statistics)
    data["rates"] = _with_errors(found.rates)
    for one, difference in zip(data["attribution"]["largest"], found.attribution.largest, strict=True):
        one["cause"] = difference.cause
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _with_errors(statistics: Mapping[str, Statistic]) -> dict[str, dict[str, float | None]]:
    return {name: asdict(one) | {"error": one.error} for name, one in statistics.items()}


def render(found: Comparison, sim_run: Path, real_run: Path) -> Text:
    """Lay a comparison out as styled text of at most 80 columns (longer only where a path is)."""
    page = Text()
    page.append(f"{' Simulated against measured ':=^{_WIDTH}}\n", "bold")
    page.append(f"{'Simulated:':<16} {sim_run}, replication {found.replication}\n")
    page.append(f"{'Measured:':<16} {real_run}\n")
    page.append(f"{'Requests:':<16} {found.compared} compared of {found.requests}")
    if found.sim_failed or found.real_failed:
        page.append(f"; not ended well: {found.sim_failed} simulated, {found.real_failed} measured")
    page.append(f"\n\n{'':<32}{'simulated':>10}{'measured':>10}{'error (%)':>10}\n", "dim")
    for name, words in _RATES.items():
        _row(page, words, found.rates[name])
    for name, metric in found.metrics.items():
        _metric(page, name, metric)
    _differences(page, found)
    return page


def _metric(page: Text, name: str, metric: Metric) -> None:
    page.append(f"{_HEADERS[name]:-^{_WIDTH}}\n", "bold")
    for key, one in metric.statistics.items():
        interval = metric.mean_error_interval if key == "mean" else None
        _row(page, f"{key.capitalize()} {name.upper()} (ms)", one, interval)
    page.append(f"{'Distance of the distributions':<32}", "dim")
    page.append(f"Kolmogorov-Smirnov {metric.ks:.3f}, Wasserstein {metric.wasserstein_ms:.2f} ms\n", "dim")


def _row(page: Text, label: str, one: Statistic, interval: tuple[float, float] | None = None) -> None:
    error = "-" if one.error is None else f"{100 * one.error:+.1f}"
    page.append(f"{label:<32}{one.sim:>10.2f}{one.real:>10.2f}{error:>10}")
    if interval is not None:
        low, high = interval
        page.append(f" {100 * low:+.1f}..{100 * high:+.1f}", "dim")
    page.append("\n")


def _differences(page: Text, found: Comparison) -> None:
    parts = found.attribution
    names = list(parts.mean_parts_ms)
    page.append("\nWhere the end-to-end time differs (ms, simulated less measured)\n", "bold")
    heads = "".join(f"{_SHORT.get(name, name):>12}" for name in names)
    page.append(f"{'request':<9}{'all':>9}{heads}\n", "dim")
    mean = sum(parts.mean_parts_ms.values())
    page.append(f"{'mean':<9}{mean:>+9.1f}{_columns(parts.mean_parts_ms)}\n")
    for one in parts.largest:
        page.append(f"{one.request:<9}{one.sim_e2el_ms - one.real_e2el_ms:>+9.1f}{_columns(one.parts_ms)}\n")
    if parts.largest:
        _paragraph(page, _largest(parts.largest[0]))
    for note in parts.notes:
        _paragraph(page, note)


def _columns(parts: Mapping[str, float]) -> str:
    return "".join(f"{value:>+12.1f}" for value in parts.values())


def _largest(one: Difference) -> str:
    return (
        f"The largest difference is request {one.request} ({one.prompt_tokens} tokens in, {one.output_tokens} out): "
        f"{one.sim_e2el_ms:.1f} ms simulated, {one.real_e2el_ms:.1f} ms measured, mostly by {one.cause} "
        f"({one.parts_ms[one.cause]:+.1f} ms)."
    )


def _paragraph(page: Text, words: str) -> None:
    for line in wrap(words, _WIDTH - 2):
        page.append(f"  {line}\n")


def _print(page: Text) -> None:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        sys.stdout.write(page.plain)
    else:
        Console(highlight=False).print(page, end="", soft_wrap=True)
