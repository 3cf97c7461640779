"""The report on the terminal: vLLM bench's block, interval beside every number, then what only a simulator knows."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from sim.report import ClassSummary, PoolSummary, Summary, Verdict, to_bench_json
from sim.result import Run
from sim.stats import Interval

WIDTH = 80
RULE = 50
"""Columns of vLLM bench's rules."""

_PERCENTILES = ("90", "95", "99")
_LATENCIES = {
    "ttft": "Time to First Token",
    "tpot": "Time per Output Token (excl. 1st token)",
    "itl": "Inter-token Latency",
    "e2el": "End-to-end Latency",
}
_COLOURS = {Verdict.MET: "green", Verdict.MISSED: "red", Verdict.UNDECIDED: "yellow"}
_SHARES = {"busy": "Busy time", "mfu": "MFU", "hbm_utilisation": "HBM bandwidth", "kv_cache_usage": "KV occupancy"}
_HELD_BY = {
    "blocks": "for KV blocks",
    "seats": "for a seat",
    "budget": "for the token budget",
    "next_step": "for the next step",
}


def print_report(run: Run, summary: Summary, saved: Path | None = None, file: TextIO | None = None) -> None:
    """Print the report; without any ANSI code if the file is no terminal or NO_COLOR is set.

    Args:
        run: what was simulated.
        summary: its summary.
        saved: where the run lies, if it was saved.
        file: default the standard output.
    """
    file = file or sys.stdout
    text = render(run, summary, saved)
    if not file.isatty() or os.environ.get("NO_COLOR"):
        file.write(text.plain)
    else:
        Console(file=file, highlight=False).print(text, end="", soft_wrap=True)


def render(run: Run, summary: Summary, saved: Path | None = None) -> Text:
    """Lay the report out as styled text of at most 80 columns (longer only where a name is)."""
    page = Text()
    _block(page, run, summary)
    _queueing(page, summary)
    _hardware(page, summary)
    if len(summary.classes) > 1:
        _classes(page, summary.classes)
    _slo(page, summary)
    _cost(page, summary)
    _heading(page, "Bottleneck")
    _paragraph(page, summary.bottleneck)
    if summary.warnings:
        _heading(page, "Warnings")
        for warning in summary.warnings:
            _paragraph(page, warning, bullet="- ")
    if saved is not None:
        page.append("\nSaved in ").append(f"{saved}\n", "bold")
    return page


def _block(page: Text, run: Run, summary: Summary) -> None:
    """The lines of vllm/benchmarks/serve.py:1181-1238 and 1357-1397 (0.32.0), in their order."""
    traffic = to_bench_json(run, summary)
    _rule(page, " Serving Benchmark Result ", "=")
    _count(page, "Successful requests:", summary["completed"])
    _count(page, "Failed requests:", summary["failed"])
    if traffic["max_concurrency"] is not None:
        page.append(f"{'Maximum request concurrency:':<40} {traffic['max_concurrency']}\n")
    workload: Any = run.scenario["workload"]
    if "request_rate" in (workload.get("arrivals") or {}) and not workload.get("sessions"):
        page.append(f"{'Request rate configured (RPS):':<40} {traffic['request_rate']:.2f}\n")
    elif traffic["request_rate"] != "inf":
        _number(page, "Request rate offered (RPS):", summary["offered_rate"])
    _number(page, "Benchmark duration (s):", summary["duration"])
    _count(page, "Total input tokens:", summary["total_input_tokens"])
    _count(page, "Total generated tokens:", summary["total_output_tokens"])
    _number(page, "Request throughput (req/s):", summary["request_throughput"])
    if summary.verdict is not None:
        _number(page, "Request goodput (req/s):", summary["request_goodput"])
    _number(page, "Output token throughput (tok/s):", summary["output_throughput"])
    _number(page, "Peak output token throughput (tok/s):", summary["max_output_tokens_per_s"], note="approximate")
    _number(page, "Peak concurrent requests:", summary["max_concurrent_requests"])
    _number(page, "Total token throughput (tok/s):", summary["total_token_throughput"])
    for metric, header in _LATENCIES.items():
        _rule(page, header, "-")
        _number(page, f"Mean {metric.upper()} (ms):", summary[f"mean_{metric}_ms"])
        _number(page, f"Median {metric.upper()} (ms):", summary[f"median_{metric}_ms"])
        for one in _PERCENTILES:
            _number(page, f"P{one} {metric.upper()} (ms):", summary[f"p{one}_{metric}_ms"])
    _rule(page, "", "=")
    if summary.replications > 1:
        page.append(f"± 95 % interval of the mean of {summary.replications} replications\n", "dim")
    else:
        page.append("one replication, so no intervals\n", "dim")
    if summary.draws > 1:
        page.append(f"(±) 95 % range over {summary.draws} draws of the calibration, its longer side\n", "dim")


def _queueing(page: Text, summary: Summary) -> None:
    _heading(page, "Queueing")
    for metric in ("queue", "prefill", "decode"):
        _number(page, f"  Mean {metric} time (ms)", summary[f"mean_{metric}_ms"])
    _number(page, "  P99 queue time (ms)", summary["p99_queue_ms"])
    if "p99_ttfat_ms" in summary.values:
        _number(page, "  P99 time to first answer token (ms)", summary["p99_ttfat_ms"])
    _number(page, "  Mean waiting requests", summary["mean_waiting"])
    _number(page, "  Peak in flight", summary["peak_in_flight"])
    _share(page, "  Waiting, of time in the system (%)", summary["waiting_share"])
    if summary["mean_waiting"].mean:
        for reason, words in _HELD_BY.items():
            _share(page, f"    {words} (% of that)", summary[f"waiting_for_{reason}"])


def _hardware(page: Text, summary: Summary) -> None:
    _heading(page, "KV cache")
    _share(page, "  Mean occupancy (%)", summary["kv_cache_usage"])
    _share(page, "  Peak occupancy (%)", summary["kv_cache_usage_peak"], note="sampled")
    _number(page, "  Preemptions", summary["preemptions"])
    _share(page, "  Prefix-cache hit rate (%)", summary["prefix_cache_hit_rate"])
    _heading(page, "Utilisation")
    for key, words in _SHARES.items():
        _share(page, f"  {words} (%)", summary[key])
    if len(summary.pools) > 1:
        for pool in summary.pools:
            _pool(page, pool)
    _heading(page, "Communication")
    _share(page, "  Collectives, of device time (%)", summary["communication"])


def _pool(page: Text, pool: PoolSummary) -> None:
    page.append(f"  {pool.pool}: {pool.replicas} x {pool.gpus // pool.replicas} {pool.gpu}, {pool.model}\n")
    for key, words in _SHARES.items():
        _share(page, f"    {words} (%)", pool.values[key])


def _classes(page: Text, classes: Iterable[ClassSummary]) -> None:
    _heading(page, "Classes")
    page.append(f"  {'':<15}{'finished':<10}{'P99 TTFT (ms)':<18}{'P99 TPOT (ms)':<18}P99 E2EL (ms)\n", "dim")
    for one in classes:
        page.append(f"  {one.name:<14} {_plain(one.values['completed'], 0):<10}")
        columns = [one.values[f"p99_{metric}_ms"] for metric in ("ttft", "tpot", "e2el")]
        page.append("".join(f"{_plain(column, 1) + _half(column, 1):<18}" for column in columns).rstrip() + "\n")
        drawn = "".join(f"{_drawn(column, 1):<18}" for column in columns).rstrip()
        if drawn:
            page.append(f"  {'':<25}{drawn}\n", "dim")


def _slo(page: Text, summary: Summary) -> None:
    _heading(page, "SLO")
    if summary.verdict is None:
        _paragraph(page, "None given (slo: ttft_ms, tpot_ms, e2el_ms, ttfat_ms).")
    for one in summary.classes:
        if one.verdict is None:
            continue
        page.append(f"  {one.name}: " if len(summary.classes) > 1 else "  ")
        page.append(one.verdict.value, f"bold {_COLOURS[one.verdict]}")
        page.append(f": {one.percentile:g} % of the requests must be good\n")
        _share(page, "    Good requests (%)", one.values["good_share"])
        if one.values["failed"].mean:
            _share(page, "    Rejected requests (%)", one.values["missed_rejected"])
        for metric, limit in one.slo_ms.items():
            key = f"p{one.percentile:g}_{metric}_ms"
            if key in one.values:
                label = f"    P{one.percentile:g} {metric.upper()} (ms)"
                _number(page, label, one.values[key], note=f"limit {limit:g}")


def _cost(page: Text, summary: Summary) -> None:
    _heading(page, "Cost at list price")
    gpus = sum(pool.gpus for pool in summary.pools)
    if summary.usd_per_hour is None:
        page.append("  unknown: a pool has no price, in the scenario (usd_per_gpu_hour) or catalogue\n")
        return
    page.append(f"{f'  Fleet of {gpus} GPUs ($/h)':<40} {summary.usd_per_hour:.2f}\n")
    _number(page, "  1M output tokens ($)", summary["usd_per_1m_output_tokens"])
    _number(page, "  1M input + output tokens ($)", summary["usd_per_1m_total_tokens"])
    if summary.verdict is not None:
        _number(page, "  1k good requests ($)", summary["usd_per_1k_good_requests"])


def _rule(page: Text, title: str, fill: str) -> None:
    page.append(f"{title:{fill}^{RULE}}\n", "bold")


def _heading(page: Text, title: str) -> None:
    page.append(f"\n{title}\n", "bold")


def _paragraph(page: Text, words: str, bullet: str = "") -> None:
    for i, line in enumerate(wrap(words, WIDTH - 2 - len(bullet), break_long_words=False)):
        page.append(f"  {bullet if i == 0 else ' ' * len(bullet)}{line}\n")


def _number(page: Text, label: str, value: Interval, digits: int = 2, note: str = "") -> None:
    beside = _beside(value, digits)
    line = f"{label:<40} {_plain(value, digits):<{10 if beside or note else 0}}"
    gap = "  " if len(line + beside) + 2 + len(note) <= WIDTH else f"\n{'':<52}"
    page.append(line).append(f"{beside}{gap if note else ''}{note}\n", "dim")


def _count(page: Text, label: str, value: Interval) -> None:
    _number(page, label, value, digits=0)


def _share(page: Text, label: str, value: Interval, note: str = "") -> None:
    """A share, printed as a percentage."""
    _number(page, label, value.scaled(100), note=note)


def _plain(value: Interval, digits: int) -> str:
    return "-" if value.mean is None else f"{value.mean:.{digits}f}"


def _beside(value: Interval, digits: int) -> str:
    """Both uncertainties, in the order of the legend."""
    drawn = _drawn(value, digits)
    return f"{_half(value, digits)}{f' {drawn}' if drawn else ''}"


def _half(value: Interval, digits: int) -> str:
    return "" if value.half_width is None else f" ± {value.half_width:.{digits}f}"


def _drawn(value: Interval, digits: int) -> str:
    reach = value.calibration_half_width
    return "" if reach is None else f"(± {reach:.{digits}f})"
