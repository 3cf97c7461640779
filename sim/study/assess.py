"""One design of a search: simulated, under stress too if that is asked for, and told in the numbers that count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.scenario.load import load
from sim.scenario.sentences import suggest
from sim.stats import CONFIDENCE
from sim.study.evaluation import Design, Evaluation, evaluate
from sim.study.flexibility import Flexibility, flexibility
from sim.study.journal import design_key
from sim.study.paired import intervals, measures
from sim.study.triangle import COST, interactivity
from sim.study.verdict import shares

INTERACTIVITY, FLEXIBILITY = "interactivity", "flexibility"
"""Objectives beside the numbers of a run's summary."""


@dataclass(frozen=True, slots=True)
class Task:
    """A design and what is asked of it."""

    design: Design
    objectives: tuple[str, ...]
    second_model: str | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a design came to."""

    told: dict[str, Any]
    """As JSON data. verdict; margin: by how much the SLO's share is missed, at most 0 if it is kept; objectives, and
    corners of the triangle: each by replication, None if unknown; values: intervals of all numbers; kept: share by
    stress; minutes_to_recover, not_recovered."""
    evaluations: tuple[tuple[str, Evaluation], ...]
    """All that was simulated, by `design_key`."""


def assess(task: Task, simulate: Callable[[Design], Evaluation] = evaluate) -> Assessment:
    """Simulate a design.

    Raises:
        InputError: it cannot be built, or an objective is no number that a run has.
    """
    done: list[tuple[str, Evaluation]] = []

    def evaluated(design: Design) -> Evaluation:
        found = simulate(design)
        done.append((key_of(design), found))
        return found

    base = evaluated(task.design)
    flexible = None
    if FLEXIBILITY in task.objectives:
        flexible = flexibility(task.design, task.second_model, base, evaluated)
    return Assessment(_told(task, base, flexible), tuple(done))


def key_of(design: Design) -> str:
    """Hash of all that a design's numbers depend on.

    Raises:
        InputError: its scenario is none.
    """
    return design_key(load(Path(design.source), design.settings, design.variant))


def _told(task: Task, base: Evaluation, flexible: Flexibility | None) -> dict[str, Any]:
    corners = {
        "performance": [interactivity(one) for one in base.replications],
        "cost": [one.get(COST) for one in base.replications],
        "flexibility": None if flexible is None else list(flexible.by_replication) or None,
    }
    known = {INTERACTIVITY: corners["performance"], FLEXIBILITY: corners["flexibility"]}
    each = measures(base)
    names = [*known, *dict.fromkeys(key for one in each for key in one)]
    for key in task.objectives:
        if key not in names:
            raise InputError(f"objectives: found {key}, {suggest(key, names, 'known are')}")
    told: dict[str, Any] = {
        "verdict": base.summary["verdict"],
        "margin": _margin(task.design, base),
        "objectives": {key: known.get(key) or [one.get(key) for one in each] for key in task.objectives},
        "corners": corners,
        "values": {key: _bounds(found) for key, found in intervals(base).items() if found["mean"] is not None},
    }
    if flexible is not None:
        told["kept"] = {one.stress: one.share.mean for one in flexible.kept}
        told["minutes_to_recover"] = flexible.minutes_to_recover
        told["not_recovered"] = list(flexible.not_recovered)
    return told


def _margin(design: Design, base: Evaluation) -> float:
    """The most that any share lacks of what the SLO requires, at the end of its interval that is worse."""
    scenario = load(Path(design.source), design.settings, design.variant).scenario
    lacking = []
    for share in shares(base, scenario, CONFIDENCE):
        if share.value.mean is None:
            return 1.0
        low, _ = share.value.combined or (share.value.mean, share.value.mean)
        lacking.append(share.required - low)
    return max(lacking, default=-1.0)


def _bounds(found: dict[str, float | None]) -> Sequence[float | None]:
    return found["mean"], found["low"], found["high"]
