"""What happens when a step ends: vLLM V1's `update_from_output` on one replica.

Every request that sampled gets one token; it ends when it has all its output (by length, or by EOS where max_tokens is
larger) and frees its blocks in this call. Source: vllm/v1/core/sched/scheduler.py:2026-2330 and async_scheduler.py of
0.32.0.
"""

import numpy as np

from sim.kernel.accounts import book
from sim.kernel.blocks import register, release
from sim.kernel.jit import compiled
from sim.kernel.layout import FINISHED, NIL, RUNNING
from sim.kernel.queues import remove_waiting, unseat_vacant


@compiled
def _log_itl(state, gap, count):
    """Log an inter-token latency that `count` requests share."""
    clock = state.clock[0]
    if count == 0:
        return
    if gap < 2**32:
        state.itl_ns[clock.itl] = gap
        state.itl_count[clock.itl] = count
        clock.itl += 1
    else:
        for _ in range(count):
            state.long_itl_ns[clock.long_itl] = gap
            clock.long_itl += 1


@compiled
def leave(state, r, request, status):
    """Take a request out of its engine: free what it holds. A seat is left vacant for `unseat_vacant` to remove."""
    replica = state.replicas[r]
    row = state.requests[request]
    if row.status == RUNNING:
        release(state, replica, row.seat)
        state.seats[row.seat].request = NIL
        row.seat = NIL
    else:
        remove_waiting(state, replica, request)
    row.status = status
    replica.fruitless = 0
    state.outstanding[r] -= 1
    state.clock[0].unfinished -= 1


@compiled
def _finish(state, r, request):
    leave(state, r, request, FINISHED)
    clock = state.clock[0]
    if state.requests[request].watched:
        state.ended[clock.ended] = request
        clock.ended += 1


@compiled
def commit(state, r, slot, now):
    """Process the output of plan `slot` of replica r, whose step ended at `now`."""
    replica = state.replicas[r]
    plan = state.plans[r, slot]
    if plan.tokens > 0:
        book(state, r, slot)
    requests, seats, entries = state.requests, state.seats, state.entries
    first, asynchronous, block_size = replica.first_seat, replica.asynchronous, replica.block_size
    shared_gap = np.int64(0)
    shared_by = 0
    seats_freed = False
    for index in range(plan.entries):
        entry = entries[first + index, slot]
        row = requests[entry.request]
        if row.status >= FINISHED or not entry.samples:  # the step after EOS or an abort was wasted
            continue
        row.produced += 1
        if row.produced == 1:
            row.first_token_ns = now
        else:
            gap = now - row.last_token_ns
            if gap != shared_gap:
                _log_itl(state, shared_gap, shared_by)
                shared_gap = gap
                shared_by = 0
            shared_by += 1
        if row.produced == row.answer_at:
            row.answer_token_ns = now
        row.last_token_ns = now
        if asynchronous and row.status == RUNNING:  # else preempted meanwhile: delivered, but its KV is gone
            place = seats[row.seat]
            place.placeholders -= 1
            certain = place.computed - place.placeholders
            if replica.caching and certain >= (place.hashed + 1) * block_size:
                register(state, replica, row.seat, certain)
        if row.produced == row.output_tokens:
            seats_freed = seats_freed or row.status == RUNNING
            _finish(state, r, entry.request)
    _log_itl(state, shared_gap, shared_by)
    if seats_freed:
        unseat_vacant(state, replica)
    plan.entries = 0
    plan.tokens = 0
