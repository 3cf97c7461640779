"""The rule by which a verdict follows from the evidence. It is printed in the audit, and nothing else decides.

1. A claim in which nothing can be true or false of a measurement is *qualitative*.
2. If a check of the article's numbers against each other, or against arithmetic, fails, the claim is *inconsistent*.
3. If it holds under the article's own definition and setting, or if there is nothing but checks, it is *supported*.
4. If it holds only under a definition or a setting that the article leaves out, it is *conditional*.
5. If the article gives neither definition nor setting, and it holds under some, it is *unsupported*.
6. If it holds under none, it is *contradicted*.

A reading holds if the whole 95 % interval lies within what is claimed. An interval that lies only partly within
counts as not holding; if the verdict would be another one if it did, the verdict is marked as open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sim.audit.evidence import Reading, Rests


class Verdict(StrEnum):
    """What the evidence says of a claim."""

    SUPPORTED = "supported"
    CONDITIONAL = "conditional"
    CONTRADICTED = "contradicted"
    INCONSISTENT = "inconsistent"
    UNSUPPORTED = "unsupported"
    QUALITATIVE = "qualitative"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, and whether the intervals leave it open."""

    verdict: Verdict
    could_be: Verdict
    """The verdict if every open reading held; the same where nothing is open."""

    @property
    def is_open(self) -> bool:
        """Whether narrower intervals could change the verdict."""
        return self.could_be != self.verdict


def rule(readings: Sequence[Reading], *, qualitative: bool) -> Ruling:
    """Decide, see this module's docstring."""
    if qualitative:
        return Ruling(Verdict.QUALITATIVE, Verdict.QUALITATIVE)
    return Ruling(_decide(readings, if_open=False), _decide(readings, if_open=True))


def _decide(readings: Sequence[Reading], *, if_open: bool) -> Verdict:
    held: dict[Rests, list[bool]] = {kind: [] for kind in Rests}
    for one in readings:
        held[one.rests].append(if_open if one.holds is None else one.holds)
    own, other = held[Rests.OWN], held[Rests.OTHER]
    if not all(held[Rests.CHECK]):
        return Verdict.INCONSISTENT
    if (own and all(own)) or (held[Rests.CHECK] and not own and not other):
        return Verdict.SUPPORTED
    if any(own) or (own and any(other)):
        return Verdict.CONDITIONAL
    if any(other):
        return Verdict.UNSUPPORTED
    return Verdict.CONTRADICTED
