"""Token streams of prompts that are given as chains of content ids."""

import numpy as np
from numpy.typing import NDArray

from sim.request import Int32s, Int64s


def chain_streams(ids: Int64s, offset: Int64s) -> tuple[Int64s, int]:
    """Give every block a stream that depends on its id and all ids before it, as vLLM's chained block hashes do.

    Args:
        ids: int64[offset[-1]], content ids of all requests' blocks.
        offset: int64[n + 1]: request i has ids[offset[i] : offset[i + 1]].

    Returns:
        Streams, int64 as `ids`, numbered 0 .. count - 1, and count. Two blocks have the same stream exactly if their
        id and everything before it is equal.
    """
    streams = np.empty(len(ids), np.int64)
    kinds, dense = np.unique(ids, return_inverse=True)
    sizes = np.diff(offset)
    longest_first = np.argsort(-sizes, kind="stable")
    starts = offset[:-1][longest_first]
    active = np.searchsorted(-sizes[longest_first], -np.arange(sizes.max(initial=0)), side="left")
    parents: NDArray[np.int64] = np.zeros(len(sizes), np.int64)
    count = 0
    for level, size in enumerate(active.tolist()):
        at = starts[:size] + level
        found, which = np.unique(parents[:size] * len(kinds) + dense[at], return_inverse=True)
        parents = which + count
        streams[at] = parents
        count += len(found)
    return streams, count


def block_ends(prompt_tokens: Int32s, offset: Int64s, block: int) -> Int64s:
    """Return the token position at which each block ends: multiples of `block`, the last at the prompt's end."""
    sizes = np.diff(offset)
    place = np.arange(offset[-1]) - np.repeat(offset[:-1], sizes) + 1
    ends: Int64s = np.minimum(place * block, np.repeat(prompt_tokens, sizes))
    return ends
