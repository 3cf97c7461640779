"""One recorded request, the common form that every trace reader yields."""

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A recorded request."""

    line: int
    """Where it stands in the file, for messages."""
    arrival_ns: int
    """Since the start of the recording."""
    prompt_tokens: int
    output_tokens: int
    """0: the request failed, and is dropped."""
    blocks: Sequence[int] = ()
    """Content ids of the prompt's blocks, in order; equal ids after equal ids are equal tokens."""
    klass: str = "default"
    session: str | None = None
    """Requests of one session continue one text: a longer prompt starts with the shorter one and its answer."""
    reasoning_tokens: int | None = None
    """None: not recorded."""
