"""The report on the terminal: vLLM bench's block, interval beside every number, then what only a simulator knows."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from sim.report import ClassSummary, PoolSummary, Summary, to_bench_json
from sim.result import Run
from ui import console_cost, console_fleet
from ui.page import count, drawn, half, heading, number, paragraph, plain, rule, share

_PERCENTILES = ("90", "95", "99")
_LATENCIES = {
    "ttft": "Time to First Token",
    "tpot": "Time per Output Token (excl. 1st token)",
    "itl": "Inter-token Latency",
    "e2el": "End-to-end Latency",
}
_PADDING = {
    "padding_share": "Of tokens computed",
    "padding_flops_share": "Of FLOPs computed",
    "kv_reserved_unused": "Empty, of KV that batches reserve",
    "hbm_unused": "Empty KV, of all HBM",
}
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
    if "availability" in summary.values:
        slo: Any = run.scenario["slo"]
        console_fleet.availability(page, summary, slo.get("availability"))
        console_fleet.failures(page, summary)
        console_fleet.work(page, summary)
    if "availability" in summary.values or console_cost.named(run):
        console_cost.cost(page, summary)
    else:
        _cost(page, summary)
    heading(page, "Bottleneck")
    paragraph(page, summary.bottleneck)
    if summary.warnings:
        heading(page, "Warnings")
        for warning in summary.warnings:
            paragraph(page, warning, bullet="- ")
    if saved is not None:
        page.append("\nSaved in ").append(f"{saved}\n", "bold")
    return page


def _block(page: Text, run: Run, summary: Summary) -> None:
    """The lines of vllm/benchmarks/serve.py:1181-1238 and 1357-1397 (0.32.0), in their order."""
    traffic = to_bench_json(run, summary)
    rule(page, " Serving Benchmark Result ", "=")
    count(page, "Successful requests:", summary["completed"])
    count(page, "Failed requests:", summary["failed"])
    if traffic["max_concurrency"] is not None:
        page.append(f"{'Maximum request concurrency:':<40} {traffic['max_concurrency']}\n")
    workload: Any = run.scenario["workload"]
    if "request_rate" in (workload.get("arrivals") or {}) and not workload.get("sessions"):
        page.append(f"{'Request rate configured (RPS):':<40} {traffic['request_rate']:.2f}\n")
    elif traffic["request_rate"] != "inf":
        number(page, "Request rate offered (RPS):", summary["offered_rate"])
    number(page, "Benchmark duration (s):", summary["duration"])
    count(page, "Total input tokens:", summary["total_input_tokens"])
    count(page, "Total generated tokens:", summary["total_output_tokens"])
    number(page, "Request throughput (req/s):", summary["request_throughput"])
    if _limited(summary):
        number(page, "Request goodput (req/s):", summary["request_goodput"])
    number(page, "Output token throughput (tok/s):", summary["output_throughput"])
    number(page, "Peak output token throughput (tok/s):", summary["max_output_tokens_per_s"], note="approximate")
    number(page, "Peak concurrent requests:", summary["max_concurrent_requests"])
    number(page, "Total token throughput (tok/s):", summary["total_token_throughput"])
    for metric, header in _LATENCIES.items():
        rule(page, header, "-")
        number(page, f"Mean {metric.upper()} (ms):", summary[f"mean_{metric}_ms"])
        number(page, f"Median {metric.upper()} (ms):", summary[f"median_{metric}_ms"])
        for one in _PERCENTILES:
            number(page, f"P{one} {metric.upper()} (ms):", summary[f"p{one}_{metric}_ms"])
    rule(page, "", "=")
    if summary.replications > 1:
        page.append(f"± 95 % interval of the mean of {summary.replications} replications\n", "dim")
    else:
        page.append("one replication, so no intervals\n", "dim")
    if summary.draws > 1:
        page.append(f"(±) 95 % range over {summary.draws} draws of the calibration, its longer side\n", "dim")


def _queueing(page: Text, summary: Summary) -> None:
    heading(page, "Queueing")
    for metric in ("queue", "prefill", "decode"):
        number(page, f"  Mean {metric} time (ms)", summary[f"mean_{metric}_ms"])
    number(page, "  P99 queue time (ms)", summary["p99_queue_ms"])
    if "p99_ttfat_ms" in summary.values:
        number(page, "  P99 time to first answer token (ms)", summary["p99_ttfat_ms"])
    number(page, "  Mean waiting requests", summary["mean_waiting"])
    number(page, "  Peak in flight", summary["peak_in_flight"])
    share(page, "  Waiting, of time in the system (%)", summary["waiting_share"])
    if summary["mean_waiting"].mean:
        for reason, words in _HELD_BY.items():
            share(page, f"    {words} (% of that)", summary[f"waiting_for_{reason}"])


def _hardware(page: Text, summary: Summary) -> None:
    heading(page, "KV cache")
    share(page, "  Mean occupancy (%)", summary["kv_cache_usage"])
    share(page, "  Peak occupancy (%)", summary["kv_cache_usage_peak"], note="sampled")
    number(page, "  Preemptions", summary["preemptions"])
    share(page, "  Prefix-cache hit rate (%)", summary["prefix_cache_hit_rate"])
    if "padding_share" in summary.values:
        heading(page, "Padding")
        for key, words in _PADDING.items():
            share(page, f"  {words} (%)", summary[key])
    heading(page, "Utilisation")
    for key, words in _SHARES.items():
        share(page, f"  {words} (%)", summary[key])
    if len(summary.pools) > 1:
        for pool in summary.pools:
            _pool(page, pool)
            if "availability" in summary.values:
                number(page, "    Mean ready replicas", pool.values["mean_ready_replicas"])
    heading(page, "Communication")
    share(page, "  Collectives, of device time (%)", summary["communication"])


def _pool(page: Text, pool: PoolSummary) -> None:
    page.append(f"  {pool.pool}: {pool.replicas} x {pool.gpus_per_replica} {pool.gpu}, {pool.model}\n")
    for key, words in _SHARES.items():
        share(page, f"    {words} (%)", pool.values[key])


def _classes(page: Text, classes: Iterable[ClassSummary]) -> None:
    heading(page, "Classes")
    page.append(f"  {'':<15}{'finished':<10}{'P99 TTFT (ms)':<18}{'P99 TPOT (ms)':<18}P99 E2EL (ms)\n", "dim")
    for one in classes:
        page.append(f"  {one.name:<14} {plain(one.values['completed'], 0):<10}")
        columns = [one.values[f"p99_{metric}_ms"] for metric in ("ttft", "tpot", "e2el")]
        page.append("".join(f"{plain(column, 1) + half(column, 1):<18}" for column in columns).rstrip() + "\n")
        reach = "".join(f"{drawn(column, 1):<18}" for column in columns).rstrip()
        if reach:
            page.append(f"  {'':<25}{reach}\n", "dim")


def _slo(page: Text, summary: Summary) -> None:
    heading(page, "SLO")
    if not _limited(summary):
        paragraph(page, "None given (slo: ttft_ms, tpot_ms, e2el_ms, ttfat_ms).")
    for one in summary.classes:
        if one.verdict is None:
            continue
        page.append(f"  {one.name}: " if len(summary.classes) > 1 else "  ")
        page.append(one.verdict.value, f"bold {console_fleet.COLOURS[one.verdict]}")
        page.append(f": {one.percentile:g} % of the requests must be good\n")
        share(page, "    Good requests (%)", one.values["good_share"])
        if one.values["rejected_requests"].mean:
            share(page, "    Rejected requests (%)", one.values["missed_rejected"])
        for metric, limit in one.slo_ms.items():
            key = f"p{one.percentile:g}_{metric}_ms"
            if key in one.values:
                label = f"    P{one.percentile:g} {metric.upper()} (ms)"
                number(page, label, one.values[key], note=f"limit {limit:g}")


def _limited(summary: Summary) -> bool:
    """Whether any class has limits, without which there is no goodput."""
    return any(one.slo_ms for one in summary.classes)


def _cost(page: Text, summary: Summary) -> None:
    heading(page, "Cost at list price")
    gpus = sum(pool.gpus for pool in summary.pools)
    if summary.usd_per_hour is None:
        page.append("  unknown: a pool has no price, in the scenario (usd_per_gpu_hour) or catalogue\n")
        return
    page.append(f"{f'  Fleet of {gpus} GPUs ($/h)':<40} {summary.usd_per_hour:.2f}\n")
    number(page, "  1M output tokens ($)", summary["usd_per_1m_output_tokens"])
    number(page, "  1M input + output tokens ($)", summary["usd_per_1m_total_tokens"])
    if _limited(summary):
        number(page, "  1k good requests ($)", summary["usd_per_1k_good_requests"])
