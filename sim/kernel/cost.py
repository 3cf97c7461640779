"""Step times for the kernel: StepCosts packed into one table array, and the compiled twin of sim.steptime.cost."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.kernel.jit import compiled
from sim.kernel.layout import COST
from sim.steptime.cost import StepCost
from sim.units import FS_PER_NS


def pack(
    costs: Sequence[StepCost], weight_bytes: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Lay StepCosts, and the weight bytes read by tokens in a step, end to end: COST[len(costs)], int64[...]."""
    rows = np.zeros(len(costs), COST).view(np.recarray)
    parts: list[NDArray[np.int64]] = []
    at = 0
    for row, cost, weights in zip(rows, costs, weight_bytes, strict=True):
        tables = {
            "mixed": cost.mixed_fs,
            "decode": cost.decode_fs,
            "attention": cost.attention_fs,
            "slope": cost.attention_slope_fs,
            "sampled": cost.sampled_fs,
            "host": cost.host_fs,
            "comm_mixed": cost.comm_mixed_fs,
            "comm_decode": cost.comm_decode_fs,
            "weights": weights,
            "knots": cost.knots,
        }
        for name, table in tables.items():
            flat = np.ascontiguousarray(table, dtype=np.int64).ravel()
            row[name] = at
            parts.append(flat)
            at += len(flat)
        row["num_knots"] = len(cost.knots)
        row["pair_fs"] = cost.pair_fs
        row["load_fs"], row["load_block_fs"] = cost.load_fs, cost.load_block_fs
        row["overlap"] = cost.overlap
    return rows, np.concatenate(parts)


@compiled
def device_fs(tables, cost, prefill_tokens, prefill_pairs, decode_seqs, context_tokens, sampled):
    """Device time of a step, femtoseconds; equals sim.steptime.cost.device_fs."""
    k = 0
    while k + 1 < cost.num_knots and context_tokens >= tables[cost.knots + k + 1] * decode_seqs:
        k += 1
    piece = decode_seqs * cost.num_knots + k
    fs = tables[cost.attention + piece] + tables[cost.slope + piece] * context_tokens
    fs += cost.pair_fs * prefill_pairs + tables[cost.sampled + sampled]
    if prefill_tokens > 0:
        fs += tables[cost.mixed + prefill_tokens + decode_seqs]
    else:
        fs += tables[cost.decode + decode_seqs]
    return fs


@compiled
def duration_ns(tables, cost, device, seqs):
    """Join device and host time; equals sim.steptime.cost.total_ns."""
    host = tables[cost.host + seqs]
    fs = max(device, host) if cost.overlap else device + host
    return max(fs // FS_PER_NS, 1)
