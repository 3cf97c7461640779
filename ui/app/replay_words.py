"""What a replay shows, in words."""

from ui.app.replay import Replay
from ui.graphs import short
from ui.waterfall import PARTS

_ENDS = {
    "FINISHED": "answered",
    "REJECTED": "rejected as longer than the model's context",
    "FAILED": "lost",
    "SHED": "shed",
    "TIMED_OUT": "given up by their clients",
    "FORGOTTEN": "forgotten by the batcher",
    "IN_FLIGHT": "in flight at the end",
    "NOT_SENT": "not sent",
}


def shown(seconds: float) -> str:
    """A time as people say it: "12.3 s", "8 min 20 s", "3 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def ends(one: Replay) -> str:
    """What became of the requests."""
    words = [f"{one.counts[name]:,} {how}" for name, how in _ENDS.items() if one.counts[name] or name == "FINISHED"]
    if one.retried:
        words.append(f"{one.retried:,} needed more than one try")
    return ", ".join(words)


def alt_of_time(one: Replay) -> str:
    """What the panels show."""
    failed = sum(event.failed for event in one.lives.events)
    peaks = []
    for panel in one.panels:
        name, column = panel.lines[-1] if panel.lines else ("", ())
        known = [value for value in column if value is not None]
        if known:
            peaks.append(f"{panel.title}, {name}: at most {short(max(known))} {panel.unit}")
    happened = "no failure" if not failed else "1 failure" if failed == 1 else f"{failed} failures"
    drawn = len(one.lives.places)
    replicas = "1 replica" if drawn == 1 else f"{drawn} replicas"
    return (
        f"Replication {one.number + 1} of {one.replications} over {shown(one.end_s)}: above, the stages of "
        f"{replicas}, {happened}; below, on the same time axis, the panels of vLLM's Grafana "
        f"dashboard. {'; '.join(peaks)}."
    )


def alt_of_worst(one: Replay) -> str:
    """What the waterfall shows."""
    sums = [sum(each.parts_ms[i] for each in one.worst) for i in range(len(PARTS))]
    most = PARTS[max(range(len(PARTS)), key=sums.__getitem__)]
    first = one.worst[0]
    them = "the worst answered request" if len(one.worst) == 1 else f"the {len(one.worst)} worst answered requests"
    return (
        f"Stacked bars of {them} by time in {', '.join(PARTS)}. The worst, "
        f"request {first.request}, took {short(sum(first.parts_ms) / 1000)} s; most of the time of all is {most}."
    )
