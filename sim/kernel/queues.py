"""Waiting queue (fcfs: linked list; priority: the same list kept sorted) and running list of one replica.

Source: vllm/v1/core/sched/request_queue.py, 0.32.0. vLLM's priority heap pops in the total order
(priority, arrival time, id), which a sorted list reproduces.
"""

from sim.kernel.jit import compiled
from sim.kernel.layout import NIL


@compiled
def _before(requests, a, b):
    """Whether request a is served before b under the priority policy."""
    if requests[a].priority != requests[b].priority:
        return requests[a].priority < requests[b].priority
    if requests[a].arrival_ns != requests[b].arrival_ns:
        return requests[a].arrival_ns < requests[b].arrival_ns
    return a < b


@compiled
def _insert_behind(requests, replica, request, previous):
    following = replica.first_waiting if previous == NIL else requests[previous].next
    requests[request].previous = previous
    requests[request].next = following
    if previous == NIL:
        replica.first_waiting = request
    else:
        requests[previous].next = request
    if following == NIL:
        replica.last_waiting = request
    else:
        requests[following].previous = request
    replica.waiting += 1


@compiled
def push(state, replica, request, front):
    """Queue a request: at the back, or in front when it was preempted; by priority under that policy."""
    requests = state.requests
    if replica.by_priority:
        previous = replica.last_waiting
        while previous != NIL and _before(requests, request, previous):
            previous = requests[previous].previous
    else:
        previous = NIL if front else replica.last_waiting
    _insert_behind(requests, replica, request, previous)


@compiled
def remove_waiting(state, replica, request):
    """Take a request out of the waiting queue."""
    requests = state.requests
    previous, following = requests[request].previous, requests[request].next
    if previous == NIL:
        replica.first_waiting = following
    else:
        requests[previous].next = following
    if following == NIL:
        replica.last_waiting = previous
    else:
        requests[following].previous = previous
    replica.waiting -= 1


@compiled
def seat_request(state, replica, request, computed):
    """Append a request to `running` with `computed` tokens already in its KV cache, on the next free seat."""
    seat = state.running[replica.first_seat + replica.running]
    replica.running += 1
    replica.peak_running = max(replica.peak_running, replica.running)
    place = state.seats[seat]
    place.request = request
    place.computed = computed
    place.placeholders = 0
    state.requests[request].seat = seat


@compiled
def unseat(state, replica, index):
    """Remove the index-th of `running`; its seat becomes the next to be given out."""
    first = replica.first_seat
    seat = state.running[first + index]
    for at in range(first + index, first + replica.running - 1):
        state.running[at] = state.running[at + 1]
    replica.running -= 1
    state.running[first + replica.running] = seat
    state.requests[state.seats[seat].request].seat = NIL
    state.seats[seat].request = NIL


@compiled
def unseat_vacant(state, replica):
    """Remove every seat whose request has been taken off it (request == NIL), keeping the order of the rest."""
    first = replica.first_seat
    running = state.running
    kept = 0
    for index in range(replica.running):
        seat = running[first + index]
        if state.seats[seat].request != NIL:
            # swap keeps `running` a permutation of the replica's seats
            running[first + index] = running[first + kept]
            running[first + kept] = seat
            kept += 1
    replica.running = kept


@compiled
def victim(state, replica):
    """Index in `running` of the request to preempt: the last, or the one that the priority policy serves last."""
    if not replica.by_priority:
        return replica.running - 1
    first, running, seats = replica.first_seat, state.running, state.seats
    worst = 0
    for index in range(1, replica.running):
        if _before(state.requests, seats[running[first + worst]].request, seats[running[first + index]].request):
            worst = index
    return worst
