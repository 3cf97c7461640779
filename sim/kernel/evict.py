"""What strikes from outside: a request is aborted, an engine hangs or dies.

All of it happens at once, between two step boundaries. vLLM reads aborts at the next boundary, before the outputs of
the step that ended (vllm/v1/engine/core.py, `_process_aborts_queue`, 0.32.0), and schedules nothing until then, so
the effect on steps is the same. A step under way takes its time; what it computes for a request that left is dropped.
"""

import numpy as np

from sim.kernel.accounts import account
from sim.kernel.blocks import clear
from sim.kernel.commit import leave
from sim.kernel.heap import reschedule
from sim.kernel.jit import compiled, entry
from sim.kernel.layout import FINISHED, GONE, NEVER, NIL, NOTHING, UNSENT
from sim.kernel.probe import held_rows
from sim.kernel.queues import unseat_vacant


@compiled
def _abort(state, request, now):
    row = state.requests[request]
    if row.status == UNSENT or row.status >= FINISHED:
        return False
    r = row.replica
    replica = state.replicas[r]
    account(replica, now)
    seated = row.seat != NIL
    leave(state, r, request, GONE)
    if seated:
        unseat_vacant(state, replica)
    row.left_ns = now
    if state.next_ns[r] == NEVER and replica.waiting > 0 and not replica.halted:
        reschedule(state, r, now)  # it may have been the head that did not fit
    return True


@compiled
def _evict(state, r, now, rows):
    replica = state.replicas[r]
    account(replica, now)
    held_rows(state, r, rows)
    for index in range(len(rows)):
        row = state.requests[rows[index]]
        if row.seat != NIL:
            state.seats[row.seat].request = NIL
            row.seat = NIL
        row.status = GONE
        row.left_ns = now
    state.outstanding[r] -= len(rows)
    state.clock[0].unfinished -= len(rows)
    replica.running = replica.waiting = 0
    replica.first_waiting = replica.last_waiting = NIL
    clear(state, replica)
    for slot in range(2):
        plan = state.plans[r, slot]
        plan.entries = plan.tokens = plan.preempted = 0
    replica.executing = replica.slot = replica.halted = replica.fruitless = 0
    replica.held_by = NOTHING
    reschedule(state, r, NEVER)


@compiled
def _halt(state, r, now):
    account(state.replicas[r], now)
    state.replicas[r].halted = 1
    reschedule(state, r, NEVER)


@entry
def abort(box, request, now):
    """Take a request out of its engine at `now`; False if it is in none."""
    return _abort(box.state, request, now)


@entry
def evict(box, r, now):
    """Replica r dies at `now` and is as new: returns the requests it held (see `probe.held`), all gone.

    A step under way is not counted.
    """
    state = box.state
    rows = np.empty(state.replicas[r].running + state.replicas[r].waiting, np.int32)
    _evict(state, r, now, rows)
    return rows


@entry
def halt(box, r, now):
    """Replica r hangs from `now` on: no step ends or starts until it is evicted."""
    _halt(box.state, r, now)
