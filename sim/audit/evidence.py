"""What an answer rests on: readings of the claim, each a number with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sim.audit.claim import Span, Words
from sim.stats import Interval


class Rests(StrEnum):
    """What a reading takes for granted."""

    OWN = "own"
    """The article's own definition and setting."""
    OTHER = "other"
    """A definition or a setting that the article leaves out."""
    CHECK = "check"
    """The article's own numbers, held against each other or against arithmetic."""
    CONTEXT = "context"
    """Nothing is claimed of it; it helps to understand the others."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand a claim, measured."""

    name: str
    words: Words
    rests: Rests
    ours: Interval
    unit: str
    claimed: Span | None = None
    """In the same unit; None for context."""

    @property
    def holds(self) -> bool | None:
        """Whether the interval lies within what is claimed; None where it is open, or nothing is claimed."""
        if self.claimed is None or self.ours.mean is None:
            return None
        low, high = self.ours.combined or (self.ours.mean, self.ours.mean)
        return self.claimed.holds(low, high)


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure's data: y over x, with bounds."""

    name: Words
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """Curves over one axis, with their units in the titles."""

    title: Words
    x: Words
    y: Words
    curves: tuple[Curve, ...]
    log_x: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Readings, the most telling one first, and a figure where it helps."""

    readings: tuple[Reading, ...]
    figure: Figure | None = None

    def __getitem__(self, name: str) -> Reading:
        """Return a reading by its name."""
        return next(one for one in self.readings if one.name == name)


def exact(value: float) -> Interval:
    """A number that arithmetic gives: its interval has no width."""
    return Interval(value, value, value, 0)
