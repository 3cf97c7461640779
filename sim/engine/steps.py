"""The steps of a padded batch: all of them are known when it starts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.steptime.cost import StepCost, device_fs, step_ns
from sim.steptime.shape import StepShape
from sim.units import FS_PER_NS

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Columns of equal length, one entry a step: first `passes` of prefill, then one a token of the longest answer."""

    passes: int
    took_ns: Int64s
    device_fs: Int64s
    comm_fs: Int64s
    tokens: Int64s
    """Computed, padding included."""


def steps(cost: StepCost, budget: int, seqs: int, prompt: int, answer: int) -> Steps:
    """Steps of `seqs` sequences, each padded to `prompt` tokens, until the longest has `answer` output tokens.

    Every sequence has its first token when all are prefilled.

    Args:
        cost: step times.
        budget: most tokens in a pass of the prefill, which takes as many whole prompts as fit.
        seqs: in the batch, at most `budget`.
        prompt: longest prompt.
        answer: longest answer.
    """
    shapes = [*_prefill(budget, seqs, prompt)]
    shapes[-1] = shapes[-1]._replace(sampled=seqs)
    contexts = np.arange(prompt + 1, prompt + answer, dtype=np.int64)
    device, took = _decode(cost, seqs, contexts)
    mixed = [shape.prefill_tokens + shape.decode_seqs for shape in shapes]
    comm = [
        cost.comm_mixed_fs[shape.prefill_tokens] if shape.prefill_tokens else cost.comm_decode_fs[shape.decode_seqs]
        for shape in shapes
    ]
    return Steps(
        passes=len(shapes),
        took_ns=_join([step_ns(cost, shape) for shape in shapes], took),
        device_fs=_join([device_fs(cost, shape) for shape in shapes], device),
        comm_fs=_join(comm, np.full(len(contexts), cost.comm_decode_fs[seqs])),
        tokens=_join(mixed, np.full(len(contexts), seqs)),
    )


def _join(prefill: list[int], decode: Int64s) -> Int64s:
    return np.concatenate([np.array(prefill, np.int64), decode])


def _prefill(budget: int, seqs: int, prompt: int) -> Iterator[StepShape]:
    """Passes of whole prompts, or the chunks of one prompt after the other where one exceeds the budget."""
    whole = max(budget // prompt, 1)
    for first in range(0, seqs, whole):
        together = min(whole, seqs - first)
        for computed in range(0, prompt, budget):
            yield _pass(together, min(budget, prompt - computed), computed)


def _pass(seqs: int, tokens: int, computed: int) -> StepShape:
    """`tokens` more tokens of each of `seqs` prompts; a single one counts as decode (sim.steptime.shape)."""
    if tokens == 1:
        return StepShape(decode_seqs=seqs, context_tokens=seqs * (computed + 1))
    pairs = tokens * computed + tokens * (tokens + 1) // 2
    return StepShape(prefill_tokens=seqs * tokens, prefill_seqs=seqs, prefill_pairs=seqs * pairs)


def _decode(cost: StepCost, seqs: int, contexts: Int64s) -> tuple[Int64s, Int64s]:
    """Device femtoseconds and nanoseconds of decode steps: `device_fs` and `step_ns`, a column at a time."""
    piece = np.searchsorted(cost.knots, contexts, side="right") - 1
    device = cost.attention_fs[seqs, piece] + cost.attention_slope_fs[seqs, piece] * (seqs * contexts)
    device += cost.sampled_fs[seqs] + cost.decode_fs[seqs]
    host = cost.host_fs[seqs]
    both = np.maximum(device, host) if cost.overlap else device + host
    return device, np.maximum(both // FS_PER_NS, 1)
