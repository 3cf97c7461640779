"""The compiled event loop: every replica's step boundaries in time order, up to a horizon.

Nothing outside acts on the replicas before the horizon (the next event of the SimPy world), so all boundaries before
it can be processed at once. Arrivals at the instant of a boundary come first: vLLM reads its input queue before each
`schedule()` (vllm/v1/engine/core.py:1573-1617, 0.32.0).

Synchronous scheduling: at a boundary the step's output is processed, then the next step is scheduled and starts.
Asynchronous scheduling (two batches in flight, `step_with_batch_queue`): while a step runs the next one is scheduled
already, with placeholders for tokens not yet known; at a boundary the step after that is scheduled, and the one
planned before starts. An empty plan keeps its place in the queue but takes no time.
"""

from sim.kernel.accounts import account
from sim.kernel.commit import commit
from sim.kernel.heap import reschedule
from sim.kernel.jit import compiled, entry
from sim.kernel.layout import NEVER, WAITING
from sim.kernel.queues import push
from sim.kernel.schedule import schedule

IDLE_NS = 1_000_000
"""After a step that could schedule nothing the engine sleeps 1 ms (vllm/v1/engine/core.py:1613, 0.32.0)."""

DRAINED, ENDED, LOG_FULL, STUCK = 0, 1, 2, 3
FRUITLESS = 1_000_000
"""Preemptions of a replica without a finished request after which it is taken to preempt for ever."""


@compiled
def _enqueue(state, r, request, now, watched):
    replica = state.replicas[r]
    row = state.requests[request]
    account(replica, now)
    row.arrival_ns = now
    row.status = WAITING
    row.replica = r
    row.watched = watched
    push(state, replica, request, False)
    state.outstanding[r] += 1
    state.clock[0].unfinished += 1
    if state.next_ns[r] == NEVER and not replica.halted:
        reschedule(state, r, now)


@compiled
def _start(state, r, slot, now):
    """Run plan `slot`, if it has tokens; returns whether it does."""
    replica = state.replicas[r]
    if state.plans[r, slot].tokens == 0:
        return False
    replica.executing = 1
    replica.slot = slot
    reschedule(state, r, now + state.plans[r, slot].duration_ns)
    return True


@compiled
def _rest(state, r, now, preempted):
    """Nothing could be scheduled: look again in 1 ms if a preemption freed blocks, else when a request arrives."""
    state.replicas[r].executing = 0
    retry = preempted > 0 and state.replicas[r].waiting > 0
    reschedule(state, r, now + IDLE_NS if retry else NEVER)


@compiled
def _boundary(state, r, now):
    """Process one step boundary of replica r."""
    replica = state.replicas[r]
    account(replica, now)
    slot = replica.slot
    if replica.executing:
        commit(state, r, slot, now)
    if not replica.asynchronous:
        schedule(state, r, slot, now)
        if not _start(state, r, slot, now):
            _rest(state, r, now, state.plans[r, slot].preempted)
        return
    other = 1 - slot
    schedule(state, r, slot, now)
    if _start(state, r, other, now):
        return
    commit(state, r, other, now)  # an empty plan, popped at once
    if _start(state, r, slot, now):
        schedule(state, r, other, now)
        return
    _rest(state, r, now, state.plans[r, slot].preempted)


@compiled
def _advance(state, horizon):
    clock = state.clock[0]
    clock.ended = 0
    room = len(state.ended)
    while True:
        r = state.heap[0, 0]
        now = state.next_ns[r]
        if now >= horizon:
            return DRAINED
        if clock.itl + room >= len(state.itl_ns) or clock.long_itl + room >= len(state.long_itl_ns):
            return LOG_FULL
        clock.now_ns = now
        _boundary(state, r, now)
        if clock.ended > 0:
            return ENDED
        if state.replicas[r].fruitless > FRUITLESS:
            return STUCK


@compiled
def _settle(state, now):
    for r in range(len(state.replicas)):
        account(state.replicas[r], now)


@entry
def enqueue(box, r, request, now, watched):
    """Give a request to replica r at `now`; an idle engine starts at the end of this instant."""
    _enqueue(box.state, r, request, now, watched)


@entry
def advance(box, horizon):
    """Process boundaries before `horizon`, until a watched request ends. Returns DRAINED, ENDED, LOG_FULL or STUCK.

    After ENDED, `clock.now_ns` is when and `ended[:clock.ended]` who; the caller acts at that time. After LOG_FULL the
    caller empties the ITL logs and calls again.
    """
    return _advance(box.state, horizon)


@entry
def settle(box, now):
    """Bring every replica's time integrals up to the end of the run."""
    _settle(box.state, now)
