"""What a reader must know before believing a summary."""

from collections.abc import Mapping, Sequence

from sim.report.fleet import at_random
from sim.report.incidents import incidents
from sim.result import Run
from sim.stats import Interval

_WITHOUT_ANSWER = {
    "lost_requests": "lost: their replica died with their last try, or none was ready.",
    "shed_requests": "shed: admission turned their last try away or dropped it from the queue.",
    "timed_out_requests": "given up: their clients' patience ended with their last try.",
    "forgotten_requests": "forgotten: the batcher dropped them from its queue, for their group did not fill a batch.",
    "rejected_requests": "rejected, as vLLM does when prompt + max_tokens exceeds max_model_len.",
}


def warnings(run: Run, values: Mapping[str, Interval], converged: Sequence[bool]) -> tuple[str, ...]:
    """List the reservations about a run, gravest first; `converged`: MSER-5 of each replication, if it was used."""
    found = [
        *_unfinished(values),
        *_luck(run),
        *_growth(run, values),
        *_steady(values, converged),
        *_replications(run, values),
        *_step_times(run),
        *_calibration(run),
        *run.provenance.get("warnings", "").splitlines(),
    ]
    return tuple(found)


def _unfinished(values: Mapping[str, Interval]) -> list[str]:
    completed, in_flight, not_sent = (values[key].mean or 0.0 for key in ("completed", "in_flight", "not_sent"))
    found = []
    if not completed:
        found.append("No request finished: there are no latencies.")
    elif completed < 100:
        found.append(f"Only {completed:.0f} requests finished: P99 is little more than the slowest of them.")
    if in_flight:
        found.append(
            f"{_count(in_flight)} unfinished when the clock stopped: the latencies leave them out and are too low."
        )
    if not_sent:
        found.append(f"{_count(not_sent)} never sent: the clock stopped before.")
    ended = ((values[key].mean or 0.0, words) for key, words in _WITHOUT_ANSWER.items() if key in values)
    return found + [f"{_count(mean)} {words}" for mean, words in ended if mean]


def _luck(run: Run) -> list[str]:
    """Failures at random and hardly any in sight."""
    seen = sum(len(incidents(one.timeline)[0]) for one in run.replications)
    if seen > 1 or not at_random(run):
        return []
    return [
        f"{'Only one incident' if seen else 'No incident'} occurred in {_replicated(run)}: the availability shown "
        "rests on luck, which only a longer run or more replications average out."
    ]


def _replicated(run: Run) -> str:
    count = len(run.replications)
    return "the one replication" if count == 1 else f"all {count} replications"


def _count(mean: float) -> str:
    return f"{mean:,.0f} requests were" if mean >= 1 else f"{mean:.2g} requests a replication were"


def _growth(run: Run, values: Mapping[str, Interval]) -> list[str]:
    """Open loop: a number in flight that still rises at the last arrival means overload (a stable one levels off)."""
    halfway, at_end = (values[key].mean or 0.0 for key in ("in_flight_halfway", "in_flight_at_last_arrival"))
    closed = run.replications[0].requests.concurrency is not None
    if closed or at_end < 1.5 * halfway or at_end - halfway < 4 * max(at_end, 1.0) ** 0.5:
        return []
    return [
        f"The backlog still grew when the last request was sent ({at_end:,.0f} in flight, {halfway:,.0f} halfway): if "
        "that is overload, latencies depend on how long the run is."
    ]


def _steady(values: Mapping[str, Interval], converged: Sequence[bool]) -> list[str]:
    if not converged:
        return []
    found = [
        f"Steady state: MSER-5 dropped the first {values['warm_up_requests'].mean or 0.0:,.0f} requests as warm-up; "
        "ITL, utilisation, queueing and KV use cover the whole run."
    ]
    if not all(converged):
        found.insert(0, "No steady state was found within the first half of the run: make it longer.")
    return found


def _replications(run: Run, values: Mapping[str, Interval]) -> list[str]:
    count = len(run.replications)
    if count == 1:
        rest = "its value and the calibration" if run.draws else "its value alone"
        return [f"One replication: no intervals, and the verdict rests on {rest} (run.replications)."]
    latency = values["mean_e2el_ms"]
    if latency.mean is not None and latency.low == latency.high:
        return [
            f"All {count} replications are identical, because nothing in this scenario is random: the intervals have "
            "no width and say nothing about other traffic."
        ]
    if count < 3:
        return [f"Only {count} replications: the intervals are wide and rough (run.replications)."]
    return []


def _step_times(run: Run) -> list[str]:
    labels = sorted({info.step_time_label for info in run.replicas})
    return [
        f"Step times are '{label}': physics with catalogue efficiencies, not measured on your engine."
        for label in labels
        if label.startswith("roofline")
    ]


def _calibration(run: Run) -> list[str]:
    calibrated = any(info.step_time_label.startswith("calibrated") for info in run.replicas)
    if not calibrated or len(run.draws) > 1:
        return []
    return [
        "How far the calibration leaves the numbers open is not shown: it takes two or more posterior draws "
        "(step_time.draws, and a calibration that has them)."
    ]
