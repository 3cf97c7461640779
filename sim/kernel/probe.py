"""What routers and the fleet ask of the engines."""

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
def held_rows(state, r, rows):
    """Write the requests of a replica into `rows`: running in admission order, then waiting in queue order."""
    replica = state.replicas[r]
    running = replica.running
    for index in range(running):
        rows[index] = state.seats[state.running[replica.first_seat + index]].request
    at = replica.first_waiting
    for index in range(running, running + replica.waiting):
        rows[index] = at
        at = state.requests[at].next


@entry
def held(box, r):
    """Requests of a replica: running in admission order, then waiting in queue order (int32[...])."""
    state = box.state
    rows = np.empty(state.replicas[r].running + state.replicas[r].waiting, np.int32)
    held_rows(state, r, rows)
    return rows


@compiled
def _cached_blocks(state, members, request, hits):
    row = state.requests[request]
    for index in range(len(members)):
        hits[index] = prefix_hit(state, state.replicas[members[index]], row.content, row.prompt_tokens, NIL)


@entry
def cached_blocks(box, members, request):
    """Leading blocks of a request's prompt that each of the replicas `members` holds (int64[len(members)])."""
    hits = np.zeros(len(members), np.int64)
    _cached_blocks(box.state, members, request, hits)
    return hits
