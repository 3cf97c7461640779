"""A padded batch while it runs."""

import numpy as np
from numpy.typing import NDArray

from sim.engine.steps import Int64s, Steps

Rows = NDArray[np.int64]


class Batch:
    """Its steps are fixed; who is served by them is not: rows leave with their last token or when they are aborted."""

    def __init__(self, rows: Rows, outputs: Rows, prompt: int, blocks: int, steps: Steps, now: int) -> None:
        """Start at `now`.

        Args:
            rows: in the batch, in the order of their admission.
            outputs: output tokens of each.
            prompt: tokens that prompts are padded to.
            blocks: KV blocks reserved.
            steps: until the longest answer is there.
            now: ns.
        """
        self.rows = rows
        self.seqs = len(rows)
        self.prompt = prompt
        self.blocks = blocks
        self.steps = steps
        self.ends: Int64s = now + np.cumsum(steps.took_ns)
        """When each step ends."""
        self.done = 0
        """Steps that have ended and are accounted for."""
        order = np.argsort(outputs, kind="stable")
        self.live, self._outputs = rows[order], outputs[order]

    @property
    def produced(self) -> int:
        """Tokens that each sequence has."""
        return max(self.done - self.steps.passes + 1, 0)

    def ended(self, before: int) -> tuple[int, int]:
        """First and last step (exclusive) that ended before a time and were not accounted for; now they are."""
        first, self.done = self.done, max(self.done, int(np.searchsorted(self.ends, before)))
        return first, self.done

    def leave(self, row: int) -> None:
        """A row is served no more; its seat stays as padding."""
        stays = self.live != row
        self.live, self._outputs = self.live[stays], self._outputs[stays]

    def leave_complete(self) -> Rows:
        """The same of the rows that have all their tokens, which are returned."""
        count = int(np.searchsorted(self._outputs, self.produced, side="right"))
        complete, self.live, self._outputs = self.live[:count], self.live[count:], self._outputs[count:]
        return complete

    def over(self, now: int) -> bool:
        """Whether nobody is left and no step is under way."""
        return not len(self.live) and self.done > 0 and int(self.ends[self.done - 1]) == now

    def next_ns(self) -> int:
        """When something happens: all are prefilled, an answer is complete, or, with nobody left, the step ends."""
        if not len(self.live):
            return int(self.ends[self.done])
        tokens = int(self._outputs[0]) if self.produced else 1
        return int(self.ends[self.steps.passes + tokens - 2])
