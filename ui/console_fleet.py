"""Sections of the terminal report for a fleet under fire: availability, failures and recovery, work that was lost."""

from rich.text import Text

from sim.report import Summary, Verdict
from sim.report.bottleneck import percent
from sim.result import Cause
from ui.page import heading, number, paragraph, share

COLOURS = {Verdict.MET: "green", Verdict.MISSED: "red", Verdict.UNDECIDED: "yellow"}

_FAILURES = {
    Cause.CRASH: "Crashes",
    Cause.HANG: "Hangs",
    Cause.GPU: "Lost GPUs",
    Cause.NODE: "Lost nodes",
    Cause.ZONE: "Lost zones",
    Cause.SPOT: "Reclaimed spot nodes",
}
_ENDS = {"lost": "Lost requests", "shed": "Shed requests", "timed_out": "Timed-out requests"}
_WORK = {
    "lost_tries": "Lost tries",
    "retries": "Retries",
    "retried_requests": "Retried requests",
    "re_prefilled_tokens": "Re-prefilled tokens",
    "wasted_tokens": "Tokens without an answer",
}


def availability(page: Text, summary: Summary, required: float | None) -> None:
    """How many requests were answered at all; `required`: slo.availability, a percentage."""
    heading(page, "Availability")
    if summary.availability_verdict is not None:
        verdict = summary.availability_verdict
        page.append("  ").append(verdict.value, f"bold {COLOURS[verdict]}")
        page.append(f": {required:g} % of the requests must be answered\n")
    share(page, "  Answered requests (%)", summary["availability"])
    if required is not None:
        share(page, "  Error budget used (%)", summary["error_budget_used"])
    for key, words in _ENDS.items():
        number(page, f"  {words}", summary[f"{key}_requests"])


def failures(page: Text, summary: Summary) -> None:
    """What failed, a replication, and how soon the fleet served as well as before."""
    heading(page, "Failures and recovery")
    for cause, words in _FAILURES.items():
        value = summary[f"failures_{cause.name.lower()}"]
        if value.mean:
            number(page, f"  {words}", value)
    number(page, "  Mean ready replicas", summary["mean_ready_replicas"])
    paragraph(page, _recovery(summary))


def work(page: Text, summary: Summary) -> None:
    """What was computed in vain or twice, a replication."""
    heading(page, "Work lost")
    for key, words in _WORK.items():
        number(page, f"  {words}", summary[key])
    share(page, "  Without an answer, of all tokens (%)", summary["wasted_share"])


def _recovery(summary: Summary) -> str:
    found = summary.recovery
    if found is None or not found.incidents:
        return "No incident that traffic could tell of."
    ratio = f"{found.recovered} of {found.incidents} incidents"
    chance = f"(95 % interval {percent(found.share_low)} to {percent(found.share_high)})"
    if found.median_minutes is None or found.longest_minutes is None:
        return f"Did not recover by the end: from {ratio} {chance}."
    over = f"Recovered from {ratio} {chance}, in a median of {found.median_minutes:.1f} minutes"
    worst = f"{over} and {found.longest_minutes:.1f} at most" if found.recovered > 1 else over
    lost = found.incidents - found.recovered
    return f"{worst}; did not recover from {lost} by the end." if lost else f"{worst}."
