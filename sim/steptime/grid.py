"""Sampled step times, whoever measured or predicted them, laid down as a StepCost by linear interpolation."""

from dataclasses import dataclass

import numpy as np

from sim.steptime.collectives import Floats
from sim.steptime.cost import StepCost, Table

FS_PER_MS = 1e12


@dataclass(frozen=True, slots=True)
class StepGrid:
    """Step times at chosen shapes, milliseconds.

    The grid's hull is what it knows: prefill up to prefill_tokens[-1], decode up to decode_seqs[-1] sequences and
    contexts up to contexts[-1] tokens a sequence. Tokens and sequences beyond it are refused by whoever builds it;
    longer contexts continue the last line.
    """

    prefill_tokens: Floats
    """float64[P], ascending."""
    prefill_ms: Floats
    """float64[P]: prefill steps without attention between tokens (see pair_ms)."""
    pair_ms: float
    """Prefill attention by query-key pair."""
    decode_seqs: Floats
    """float64[B], ascending."""
    contexts: Floats
    """float64[C], ascending: context a sequence."""
    decode_ms: Floats
    """float64[B, C]: decode-only steps."""
    prefill_comm_ms: Floats
    """float64[P]: collectives' part; zeros where unknown."""
    decode_comm_ms: Floats
    """float64[B]"""

    def cost(self, max_tokens: int, max_seqs: int, host_fs: Table, overlap: bool) -> StepCost:
        """Interpolate for steps of at most `max_tokens` tokens and `max_seqs` requests, sampling included.

        Below the smallest sampled size the time of the smallest holds.
        """
        tokens, seqs = np.arange(max_tokens + 1), np.arange(max_seqs + 1)
        by_seqs = np.column_stack([np.interp(seqs, self.decode_seqs, column) for column in self.decode_ms.T])
        if len(self.contexts) > 1:
            slope = np.diff(by_seqs, axis=1) / np.diff(self.contexts)  # ms by token of mean context
            constant = by_seqs[:, :-1] - slope * self.contexts[:-1]
        else:
            slope, constant = np.zeros_like(by_seqs), by_seqs
        # What no context would take belongs to decode_fs: a mixed step already pays it in mixed_fs.
        base = constant[:, 0]
        knots = np.concatenate([[0.0], self.contexts[1:-1]])
        cost = StepCost(
            mixed_fs=_fs(np.interp(tokens, self.prefill_tokens, self.prefill_ms)),
            decode_fs=_fs(base),
            knots=knots.astype(np.int64),
            attention_fs=_fs(constant - base[:, None]),
            attention_slope_fs=_fs(slope / np.maximum(seqs, 1)[:, None]),
            pair_fs=round(self.pair_ms * FS_PER_MS),
            sampled_fs=np.zeros(max_seqs + 1, dtype=np.int64),
            host_fs=host_fs,
            overlap=overlap,
            comm_mixed_fs=_fs(np.interp(tokens, self.prefill_tokens, self.prefill_comm_ms)),
            comm_decode_fs=_fs(np.interp(seqs, self.decode_seqs, self.decode_comm_ms)),
        )
        for table in (cost.mixed_fs, cost.decode_fs, cost.comm_mixed_fs, cost.comm_decode_fs):
            table[0] = 0
        cost.attention_fs[0] = 0
        cost.attention_slope_fs[0] = 0
        return cost


def pairs(tokens: Floats, context: int) -> Floats:
    """Query-key pairs of prefilling so many tokens after `context` computed ones."""
    return tokens * context + tokens * (tokens + 1) / 2


def _fs(milliseconds: Floats) -> Table:
    table: Table = np.rint(milliseconds * FS_PER_MS).astype(np.int64)
    return table
