"""One claim answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.audit import claims
from sim.audit.claim import Claim
from sim.audit.evidence import Evidence
from sim.audit.influence import Answerer, Influence, influences
from sim.audit.lab import Lab
from sim.audit.verdict import Ruling, rule
from sim.errors import InputError
from sim.scenario.sentences import suggest


@dataclass(frozen=True, slots=True)
class Answer:
    """A claim, what was found, and what follows."""

    claim: Claim
    inputs: Mapping[str, float]
    evidence: Evidence
    ruling: Ruling
    matters: tuple[Influence, ...]
    """The inputs that move the first reading most."""

    def true_if(self, language: str) -> str:
        """What would have to be true, with the readings' numbers in it."""
        numbers = {one.name: one.ours.mean for one in self.evidence.readings if one.ours.mean is not None}
        template: str = getattr(self.claim.true_if, language)
        return template.format_map(numbers)


@dataclass(frozen=True, slots=True)
class Question:
    """A claim to be answered, with inputs other than its own; picklable."""

    claim: str
    inputs: Mapping[str, float] = field(default_factory=dict)
    influences: bool = True
    """Whether to see which inputs matter."""


def answer(question: Question, lab: Lab | None = None) -> Answer:
    """Answer a claim.

    Raises:
        InputError: there is no such claim or input, or a scenario cannot be built.
    """
    lab = lab or Lab()
    claim, answerer = find(question.claim)
    for name, value in question.inputs.items():
        if name not in claim.inputs:
            raise InputError(f"{claim.id}: no input {name!r}, {suggest(name, claim.inputs, 'inputs are')}")
        one = claim.inputs[name]
        if not one.low <= value <= one.high:
            raise InputError(
                f"{claim.id}: input {name}: found {value:g}, expected {one.low:g} to {one.high:g} {one.unit}"
            )
    inputs = {name: one.value for name, one in claim.inputs.items()} | dict(question.inputs)
    evidence = answerer(lab, inputs)
    return Answer(
        claim,
        inputs,
        evidence,
        rule(evidence.readings, qualitative=claim.kind == "qualitative"),
        influences(claim, answerer, lab.rough, inputs) if question.influences else (),
    )


def find(name: str) -> tuple[Claim, Answerer]:
    """The claim of that name and the function that answers it.

    Raises:
        InputError: there is none.
    """
    known = claims.known()
    if name not in known:
        raise InputError(f"{name}: no such claim, {suggest(name, known, 'claims are')}")
    return known[name]
