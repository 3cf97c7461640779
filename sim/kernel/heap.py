"""A binary heap of replicas by their next step boundary; ties go to the lower replica number."""

from sim.kernel.jit import compiled


@compiled
def _earlier(state, a, b):
    return state.next_ns[a] < state.next_ns[b] or (state.next_ns[a] == state.next_ns[b] and a < b)


@compiled
def _place(state, at, r):
    state.heap[at, 0] = r
    state.heap[r, 1] = at


@compiled
def reschedule(state, r, when):
    """Set the next boundary of replica r and restore the heap's order. O(log replicas)."""
    state.next_ns[r] = when
    heap = state.heap
    at = heap[r, 1]
    while at > 0 and _earlier(state, r, heap[(at - 1) // 2, 0]):
        _place(state, at, heap[(at - 1) // 2, 0])
        at = (at - 1) // 2
    size = len(heap)
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _earlier(state, heap[child + 1, 0], heap[child, 0]):
            child += 1
        if not _earlier(state, heap[child, 0], r):
            break
        _place(state, at, heap[child, 0])
        at = child
    _place(state, at, r)
