"""Which inputs matter most to an answer: each is moved to the ends of its range while the others stay."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sim.audit.claim import Claim
from sim.audit.evidence import Evidence
from sim.audit.lab import Lab

Answerer = Callable[[Lab, Mapping[str, float]], Evidence]
MOST = 2


@dataclass(frozen=True, slots=True)
class Influence:
    """What the first reading of a claim comes to at both ends of an input's range."""

    name: str
    at_low: float
    at_high: float

    @property
    def swing(self) -> float:
        """How far apart they are."""
        return abs(self.at_high - self.at_low)


def influences(claim: Claim, answerer: Answerer, lab: Lab, inputs: Mapping[str, float]) -> tuple[Influence, ...]:
    """The two inputs that move the first reading most, the stronger first; inputs without any effect are left out."""
    found = []
    for name, one in claim.inputs.items():
        ends = [answerer(lab, {**inputs, name: end}).readings[0].ours.mean for end in (one.low, one.high)]
        if ends[0] is not None and ends[1] is not None:
            found.append(Influence(name, ends[0], ends[1]))
    strongest = sorted(found, key=lambda one: -one.swing)
    return tuple(one for one in strongest[:MOST] if one.swing > 0)
