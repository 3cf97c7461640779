"""A design weighed for the triangle: evaluated without stress and under each stress. Runs in a worker."""

from dataclasses import dataclass

from sim.study.evaluation import Design, Evaluation, evaluate
from sim.study.flexibility import Flexibility, flexibility


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the triangle needs of a design."""

    evaluation: Evaluation
    flexibility: Flexibility


def weigh(design: Design, second_model: str | None) -> Weighed:
    """Simulate a design and its stresses.

    Raises:
        InputError: the design cannot be built.
    """
    usual = evaluate(design)
    return Weighed(usual, flexibility(design, second_model, usual))
