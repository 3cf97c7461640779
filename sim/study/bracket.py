"""The smallest whole number that is enough, found with few trials: bracket it, then halve the bracket."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bracket:
    """What trials have shown so far of a number from 1 to `most`; more of it is never worse."""

    guess: int
    """Tried first, and best near the truth."""
    most: int
    too_few: int = 0
    """Largest number that is known not to be enough."""
    enough: int | None = None
    """Smallest number that is known to be enough."""
    _step: int = 0

    def __post_init__(self) -> None:
        self.guess = min(max(self.guess, 1), self.most)
        self._step = max(round(self.guess / 8), 1)

    @property
    def settled(self) -> bool:
        """Whether the answer is known: `enough`, or that there is none."""
        return self.too_few >= (self.most if self.enough is None else self.enough - 1)

    def next(self) -> int:
        """The number to try next: away from what is known in steps that double, then into the middle."""
        if self.enough is None:
            return min(max(self.guess, self.too_few + 1), self.most)
        return max(self.enough - self._step, (self.too_few + self.enough) // 2)

    def learn(self, number: int, *, enough: bool, hint: int = 0) -> None:
        """Note a trial; `hint`: where it lets the answer be expected if it was not enough."""
        if enough:
            self.enough = number if self.enough is None else min(number, self.enough)
        else:
            self.too_few = max(number, self.too_few)
            self.guess = max(number + self._step, hint)
        self._step *= 2
