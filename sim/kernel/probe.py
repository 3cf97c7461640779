"""What routers ask of the engines."""

import numpy as np

from sim.kernel.blocks import prefix_hit
from sim.kernel.jit import compiled, entry
from sim.kernel.layout import NIL


@entry
def least(scores, turn):
    """Index of the smallest score, the first from `turn` on among equals."""
    size = len(scores)
    best = turn % size
    for offset in range(1, size):
        at = (turn + offset) % size
        if scores[at] < scores[best]:
            best = at
    return best


@compiled
def _cached_blocks(state, members, request, hits):
    tokens = state.requests[request].prompt_tokens
    for index in range(len(members)):
        hits[index] = prefix_hit(state, state.replicas[members[index]], request, tokens, NIL)


@entry
def cached_blocks(box, members, request):
    """Leading blocks of a request's prompt that each of the replicas `members` holds (int64[len(members)])."""
    hits = np.zeros(len(members), np.int64)
    _cached_blocks(box.state, members, request, hits)
    return hits
