"""StepCost: a step-time model laid down as integer tables, so that a compiled engine can read it.

Every model (roofline, measured table, op database, calibration) ends as one of these. Tables are in integer
femtoseconds: sums are exact and associative, so nothing depends on the order of evaluation.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.steptime.shape import StepShape
from sim.units import FS_PER_NS

Table = NDArray[np.int64]


class StepCost(NamedTuple):
    """Time of a step = max or sum of device and host time (`overlap`); see `step_ns`.

    T = largest number of tokens in a step, S = largest number of requests in a step, K = number of context knots.
    """

    mixed_fs: Table
    """int64[T + 1]: device time by total tokens, for steps with prefill: GEMMs, collectives, launch, padding."""
    decode_fs: Table
    """int64[S + 1]: the same for decode-only steps, by decode sequences, CUDA-graph padding included."""
    knots: Table
    """int64[K]: mean context a decode sequence at which a new linear piece of attention begins; knots[0] == 0."""
    attention_fs: Table
    """int64[S + 1, K]: constant part of decode attention by decode sequences and piece."""
    attention_slope_fs: Table
    """int64[S + 1, K]: decode attention by context token."""
    pair_fs: int
    """Prefill attention by query-key pair."""
    sampled_fs: Table
    """int64[S + 1]: logits and sampling by sampled requests."""
    host_fs: Table
    """int64[S + 1]: scheduler, input preparation and output handling on the host, by scheduled requests."""
    overlap: bool
    """Async scheduling: host and device overlap, the step takes the longer of the two."""
    comm_mixed_fs: Table
    """int64[T + 1]: the part of mixed_fs spent in collectives."""
    comm_decode_fs: Table
    """int64[S + 1]: the part of decode_fs spent in collectives."""
    load_fs: int = 0
    """Device time by request whose leading KV blocks are loaded from an index service: the latency of asking."""
    load_block_fs: int = 0
    """The same by block loaded."""


class StepTimeModel(Protocol):
    """A source of step times for one model on one layout."""

    label: str
    """What the numbers rest on, shown beside every result: "roofline only", "measured table", ..."""
    frontend_s: float
    """From the client's send to the engine's queue, seconds; 0 where it is unknown."""
    reservations: tuple[str, ...]
    """Sentences on how the replica differs from what was measured."""

    @property
    def max_context(self) -> int | None:
        """Longest context of a sequence that was measured; None where nothing was."""
        ...

    def cost(self, max_tokens: int, max_seqs: int) -> StepCost:
        """Lay the model down for steps of at most `max_tokens` tokens and `max_seqs` requests."""
        ...


def device_fs(cost: StepCost, shape: StepShape) -> int:
    """Device time of a step, femtoseconds."""
    k = 0
    while k + 1 < len(cost.knots) and shape.context_tokens >= cost.knots[k + 1] * shape.decode_seqs:
        k += 1
    fs = cost.attention_fs[shape.decode_seqs, k] + cost.attention_slope_fs[shape.decode_seqs, k] * shape.context_tokens
    fs += cost.pair_fs * shape.prefill_pairs + cost.sampled_fs[shape.sampled]
    if shape.prefill_tokens > 0:
        fs += cost.mixed_fs[shape.prefill_tokens + shape.decode_seqs]
    else:
        fs += cost.decode_fs[shape.decode_seqs]
    return int(fs)


def step_ns(cost: StepCost, shape: StepShape, load_fs: int = 0) -> int:
    """Time of one step in nanoseconds: device and host joined; at least 1 ns, so that a step always moves the clock.

    `load_fs`: device time that loading KV blocks takes before. sim/kernel holds the compiled twin.
    """
    device = device_fs(cost, shape) + load_fs
    host = int(cost.host_fs[shape.prefill_seqs + shape.decode_seqs])
    fs = max(device, host) if cost.overlap else device + host
    return max(fs // FS_PER_NS, 1)
