"""The numbers of a run's HTML page: cards, the SLO, cost, availability."""

from html import escape

from sim.report import ClassSummary, Summary
from ui.app.numbers import NOTHING, ms, percent, plus_minus, usd
from ui.htmltable import table

LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "e2el": "end-to-end latency", "ttfat": "time to first answer token"}
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


def cards(summary: Summary) -> str:
    """The numbers that are looked at first."""
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


def slo(summary: Summary) -> str:
    """What each class must keep, and what it reached."""
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
        asked = f"{LATENCIES[metric]} at most {limit:,g} ms"
        rows.append((one.name, asked, f"{one.percentile:g} %", f"{reached} (P{one.percentile:g})", good, verdict))
    return rows


def cost(summary: Summary) -> str:
    """What the run cost, and what it makes for an hour, tokens and requests."""
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


def availability(summary: Summary) -> list[str]:
    """How many requests were answered at all; nothing where nothing failed and nothing was expected to."""
    if "availability" not in summary.values:
        return []
    verdict = "" if summary.availability_verdict is None else summary.availability_verdict.value
    rows = [("Answered requests", percent(summary["availability"]), verdict)]
    rows += [(words, plus_minus(summary[key], 1), "") for key, words in _LOST.items()]
    rows.append(("Mean ready replicas", plus_minus(summary["mean_ready_replicas"], 2), ""))
    found = summary.recovery
    if found is not None and found.incidents:
        chance = f"95 % interval {100 * found.share_low:.0f} to {100 * found.share_high:.0f} %"
        rows.append(("Incidents recovered from, in all", f"{found.recovered} of {found.incidents}", chance))
        if found.median_minutes is not None:
            rows.append(("Minutes to recover, median", f"{found.median_minutes:.1f}", ""))
    return ["<h2>Availability</h2>", table(("a replication", "", ""), rows, text=(0, 2))]
