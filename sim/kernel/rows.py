"""Request rows: one for the first try of each drawn request, and further tries; and the state at the start."""

import numpy as np

from sim.kernel.blocks import clear
from sim.kernel.jit import compiled, entry
from sim.kernel.layout import NIL, UNSENT


@compiled
def _clear(row):
    """Clear the changing part of a row."""
    row.status = UNSENT
    row.seat = NIL
    row.replica = NIL
    row.first_scheduled_ns = row.last_scheduled_ns = np.int64(NIL)
    row.first_token_ns = row.answer_token_ns = row.last_token_ns = row.left_ns = np.int64(NIL)
    row.tokens = 0
    row.produced = row.cached_tokens = row.preemptions = 0
    row.watched = 0


@entry
def reset(state):
    """Make every row the unsent first try of the drawn request of its number, and every block free."""
    for index in range(len(state.requests)):
        _clear(state.requests[index])
        state.requests[index].content = index
    for r in range(len(state.replicas)):
        clear(state, state.replicas[r])


@compiled
def _another(state, at, request, output_tokens):
    first, row = state.requests[request], state.requests[at]
    _clear(row)
    row.content = request
    row.prompt_tokens = first.prompt_tokens
    row.output_tokens = output_tokens
    row.max_tokens = max(first.max_tokens, output_tokens)
    row.answer_at = min(first.answer_at, output_tokens)
    row.priority = first.priority


@entry
def another(box, at, request, output_tokens):
    """Make row `at` an unsent further try of a drawn request, with an answer of `output_tokens`."""
    _another(box.state, at, request, output_tokens)
