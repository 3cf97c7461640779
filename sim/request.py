"""Requests as columns, drawn before the run and shared by every design that is compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Requests:
    """`n` requests in the order in which they are sent (ties keep this order).

    A request's content is a chain of token streams: first its shared segments (system prompt, earlier blocks of a
    trace), then its own stream. Two requests share a KV block exactly if the block's last token lies in the same
    stream at the same position; a stream id always follows the same earlier segments. The own stream covers the
    output too, so the next turn of a session (same own stream) finds the previous answer in the prefix cache.
    """

    arrival_ns: Int64s
    """When the client sends it, since the start. For a later turn (`after` >= 0): the pause after that answer."""
    prompt_tokens: Int32s
    output_tokens: Int32s
    """Tokens the model will generate, at least 1."""
    max_tokens: Int32s
    """What the client asks for, >= output_tokens; greater means that the answer ends early, by EOS."""
    klass: NDArray[np.int16]
    """Index into `classes`."""
    reasoning_tokens: Int32s
    """Leading output tokens that are reasoning: token number reasoning_tokens + 1 is the first of the answer."""
    own_stream: Int64s
    """Stream of everything after the shared segments; turns of one session share it."""
    after: Int32s
    """Index of the request whose answer this one waits for, or -1."""
    segment_offset: Int64s
    """int64[n + 1]: request i has segments segment_offset[i] .. segment_offset[i + 1]."""
    segment_stream: Int64s
    segment_end: Int32s
    """Token position at which each shared segment ends, rising within a request, at most its prompt_tokens."""
    classes: tuple[str, ...]
    concurrency: int | None = None
    """Closed loop: this many requests are in flight at once, each next one sent when one ends; None: open loop."""

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.arrival_ns)
