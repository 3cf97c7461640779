"""`trilemma capacity`: the highest rate at which a scenario's fleet keeps its SLO."""

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import wrap

from sim.errors import InputError
from sim.scenario.load import load
from sim.shipped import find_scenario
from sim.study.capacity_search import Capacity
from sim.study.capacity_search import capacity as search
from sim.study.evaluation import Design
from sim.study.plan_words import plain, value
from ui.commands.simulating import simulating
from ui.files import check_json, write_json
from ui.page import WIDTH

SLO_MISSED = 3
"""Exit code."""


def capacity(
    name: str,
    sets: Sequence[str],
    variant: str | None,
    *,
    confidence: float,
    tolerance: float,
    json_to: str | None,
    workers: int | None,
    quiet: bool,
) -> int:
    """Search and print the capacity; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    if not 0.5 <= confidence < 1:
        raise InputError(f"--confidence {confidence:g}: expected a share from 0.5 to below 1, for example 0.95")
    if not 1e-4 <= tolerance <= 0.5:
        raise InputError(f"--tolerance {tolerance:g}: expected a share from 0.0001 to 0.5, for example 0.01")
    check_json(json_to)
    source = find_scenario(name)
    fleet = load(source, sets, variant).scenario.fleet
    with simulating(workers, quiet=quiet) as simulate:
        found = search(Design(str(source), tuple(sets), variant), simulate, confidence=confidence, tolerance=tolerance)
    what = " and ".join(
        f"{one.replicas} x {one.tensor_parallel_size * one.pipeline_parallel_size} {one.gpu}" for one in fleet
    )
    if json_to is not None:
        write_json(json_to, _json(what, confidence, found))
    if json_to != "-":
        for sentence in _sentences(what, confidence, found):
            print("\n".join(wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)))
    return 0 if found.at else SLO_MISSED


def _sentences(what: str, confidence: float, found: Capacity) -> list[str]:
    if found.at is None:
        return [
            f"{what} miss the SLO even at a thousandth of the scenario's rate: too many requests are not good alone."
        ]
    if found.unlimited:
        return [
            f"{what} keep the SLO even if all requests come at once, so these are too few to tell: expected more of "
            "them (workload.num_prompts, or more of the recording)."
        ]
    n = len(found.by_replication)
    if n > 1:
        rests = (
            f"{100 * confidence:g} % interval over {n} replications, whose own rates lie between "
            f"{min(found.by_replication):,.3g} and {max(found.by_replication):,.3g}."
        )
    else:
        rests = "One replication, so no interval (run.replications)."
    lowest = (
        f"At {plain(value(found.at, 'offered_rate'), 2)} requests/s P99 TTFT is "
        f"{plain(value(found.at, 'p99_ttft_ms'))} ms and P99 TPOT {plain(value(found.at, 'p99_tpot_ms'), 1)} ms. "
        f"{found.at.summary['bottleneck']}"
    )
    return [
        f"{what} keep the SLO up to {plain(found.rate, 2)} requests/s.",
        f"{rests} Found within {100 * found.tolerance:g} % in {found.simulations} simulations of this much traffic, "
        "sent faster and slower.",
        lowest,
    ]


def _json(what: str, confidence: float, found: Capacity) -> dict[str, object]:
    return {
        "fleet": what,
        "confidence": confidence,
        "requests_per_s": asdict(found.rate),
        "by_replication": list(found.by_replication),
        "tolerance": found.tolerance,
        "factor": found.factor,
        "at": found.at.summary["values"] if found.at else None,
        "simulations": found.simulations,
    }
