"""`trilemma plan` for a page: its answers as a few rows and sentences. Runs in a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.study import plan_none, plan_words
from sim.study.evaluation import Design, Evaluation, evaluate
from sim.study.plan import Fleet, Plan, plan


@dataclass(frozen=True, slots=True)
class Answer:
    """A fleet that keeps the SLO with as few replicas as it can."""

    gpu: str
    tp: int
    gpus: int
    """Of a replica."""
    spot: bool
    needed: int
    """Replicas."""
    spare: int
    """Replicas beyond that, on spot nodes."""
    usd_per_hour: float
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Planned:
    """The answers, cheapest first, and what is to be said of them."""

    answers: tuple[Answer, ...]
    moves: tuple[str, ...]
    """From the first answer on, one sentence each."""
    why_none: tuple[str, ...]
    """Where there is no answer."""
    notes: tuple[str, ...]


def planned(design: Design) -> Planned:
    """Find the cheapest fleets for a scenario's traffic, one simulation after another.

    Raises:
        InputError: the scenario has no SLO.
    """
    found = plan(Path(design.source), design.settings, design.variant, _one_by_one)
    return Planned(
        answers=tuple(_answer(one) for one in found.fleets),
        moves=tuple(move.sentence for move in plan_words.moves(found)) if found.fleets else (),
        why_none=tuple(_why_none(found)),
        notes=tuple(plan_words.notes(found)),
    )


def _one_by_one(designs: Sequence[Design]) -> list[Evaluation]:
    return [evaluate(design) for design in designs]


def _answer(one: Fleet) -> Answer:
    return Answer(
        gpu=one.kind.gpu,
        tp=one.kind.tensor_parallel_size,
        gpus=one.kind.gpus,
        spot=one.offer.market == "spot",
        needed=one.needed,
        spare=one.replicas - one.needed,
        usd_per_hour=one.usd_per_hour,
        evaluation=one.evaluation,
    )


def _why_none(found: Plan) -> list[str]:
    return [] if found.fleets else plan_none.why_none(found)
