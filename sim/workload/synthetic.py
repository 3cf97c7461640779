"""Requests drawn from distributions: classes, lengths, shared prefixes, sessions, reasoning."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.request import Int32s, Int64s, Requests
from sim.scenario.workload import ClosedLoop, Lengths, RequestClass, Sessions, SharedPrefix, Synthetic
from sim.units import NS_PER_S
from sim.workload import Streams
from sim.workload.arrivals import arrival_times
from sim.workload.files import MAX_TOKENS
from sim.workload.lengths import draw_lengths

Int16s = NDArray[np.int16]
MAX_THINK_S = 1e7
"""Four months: a mean pause beyond it is a slip, and its draws could pass what int64 ns can hold."""


@dataclass(frozen=True, slots=True)
class _Class:
    """A request class with what it takes from the workload filled in."""

    name: str
    share: float
    lengths: Lengths
    prefix: SharedPrefix | None
    first_prompt: int
    """Stream of its first system prompt; classes that take the workload's share its prompts."""
    sessions: Sessions | None
    reasoning_share: float

    @property
    def last_prompt(self) -> int:
        """Stream of its last system prompt, -1 if it has none."""
        return self.first_prompt + self.prefix.prompts - 1 if self.prefix else -1


def synthesize(workload: Synthetic, streams: Streams, base_dir: Path) -> Requests:
    """Draw the requests of a synthetic workload.

    Sessions start at the arrival times, and lie one after another in rising order of their starts; `request_rate`
    then counts sessions a second, and the last session is cut where `num_prompts` is reached. A later turn's prompt
    is the conversation so far, every answer with its reasoning, plus the new input. System prompts have the streams
    0, 1, ..., the sessions' own streams follow.

    Args:
        workload: What to draw.
        streams: Named streams, one a purpose and class.
        base_dir: Where a relative path of a length table starts.

    Raises:
        InputError: Bad length table, times or conversations out of range, or sessions in a closed loop.
    """
    classes = _classes(workload)
    if isinstance(workload.arrivals, ClosedLoop) and any(known.sessions for known in classes):
        raise InputError(
            "workload.sessions: found with arrivals of kind closed_loop, expected single requests there: "
            "a session's pauses would leave the loop short of requests"
        )
    for known in classes:
        if known.sessions and known.sessions.think_s > MAX_THINK_S:
            raise InputError(
                f"workload.sessions.think_s: found {known.sessions.think_s:g}, expected at most {MAX_THINK_S:g}"
            )
    n = workload.num_prompts
    klass_of, session, first = _turns(classes, n, streams)
    klass = klass_of[session]
    after = np.where(first < np.arange(n), np.arange(-1, n - 1), -1).astype(np.int32)
    prompt, output, reasoning = _tokens(classes, klass, streams, base_dir)
    shared, system_prompt = _prefixes(classes, klass_of, streams)
    shared = shared[session]
    prompt += shared + _conversation(prompt + output, first)
    if prompt.max() > MAX_TOKENS:
        raise InputError(f"workload: a prompt has {prompt.max():,} tokens, expected at most {MAX_TOKENS:,}")
    return Requests(
        arrival_ns=_arrivals(workload, classes, klass, after, streams),
        prompt_tokens=prompt.astype(np.int32),
        output_tokens=output,
        max_tokens=output,
        klass=klass,
        reasoning_tokens=reasoning,
        own_stream=session + 1 + max(known.last_prompt for known in classes),
        after=after,
        segment_offset=np.concatenate([[0], np.cumsum(shared > 0)]),
        segment_stream=system_prompt[session[shared > 0]],
        segment_end=shared[shared > 0].astype(np.int32),
        classes=tuple(known.name for known in classes),
        concurrency=workload.arrivals.concurrency if isinstance(workload.arrivals, ClosedLoop) else None,
    )


def _classes(workload: Synthetic) -> list[_Class]:
    listed = workload.classes or (RequestClass(name="default", share=1.0),)
    next_prompt = workload.shared_prefix.prompts if workload.shared_prefix else 0
    classes = []
    for item in listed:
        prefix = item.shared_prefix or workload.shared_prefix
        first_prompt = next_prompt if item.shared_prefix else 0
        if item.shared_prefix:
            next_prompt += item.shared_prefix.prompts
        reasoning = workload.reasoning_share if item.reasoning_share is None else item.reasoning_share
        classes.append(
            _Class(
                name=item.name,
                share=item.share,
                lengths=item.lengths or workload.lengths,
                prefix=prefix,
                first_prompt=first_prompt,
                sessions=item.sessions or workload.sessions,
                reasoning_share=reasoning,
            )
        )
    return classes


def _turns(classes: list[_Class], n: int, streams: Streams) -> tuple[Int16s, Int64s, Int64s]:
    """Return each session's class, int16[sessions], and each request's session and session's first request."""
    shares = np.cumsum([known.share for known in classes])
    klass = np.searchsorted(shares / shares[-1], streams("classes").random(n), side="right").astype(np.int16)
    turns = np.ones(n, np.int64)
    for index, known in enumerate(classes):
        if known.sessions:
            chosen = klass == index
            drawn = streams(f"turns/{known.name}").geometric(1 / known.sessions.turns, int(chosen.sum()))
            turns[chosen] = np.minimum(drawn, n)
    ends = np.cumsum(turns)
    sessions = int(np.searchsorted(ends, n)) + 1
    turns = turns[:sessions]
    turns[-1] -= ends[sessions - 1] - n
    return klass[:sessions], np.repeat(np.arange(sessions), turns), np.repeat(np.cumsum(turns) - turns, turns)


def _tokens(classes: list[_Class], klass: Int16s, streams: Streams, base_dir: Path) -> tuple[Int64s, Int32s, Int32s]:
    """Return each request's new input, output and reasoning tokens."""
    prompt = np.empty(len(klass), np.int64)
    output, reasoning = np.empty(len(klass), np.int32), np.empty(len(klass), np.int32)
    for index, known in enumerate(classes):
        chosen = klass == index
        count = int(chosen.sum())
        prompt[chosen], output[chosen] = draw_lengths(known.lengths, count, streams, known.name, base_dir)
        reasoning[chosen] = np.rint(output[chosen] * known.reasoning_share)
    return prompt, output, reasoning


def _conversation(tokens: Int64s, first: Int64s) -> Int64s:
    """Return how many tokens earlier turns of its session left before each request; `tokens` are each turn's new."""
    before = np.cumsum(tokens) - tokens
    return before - before[first]


def _prefixes(classes: list[_Class], klass_of: Int16s, streams: Streams) -> tuple[Int64s, Int64s]:
    """Return the tokens and the stream of each session's system prompt; 0 tokens where it has none."""
    tokens, stream = np.zeros((2, len(klass_of)), np.int64)
    for index, known in enumerate(classes):
        if known.prefix:
            chosen = klass_of == index
            picks = streams(f"prefixes/{known.name}").integers(known.prefix.prompts, size=int(chosen.sum()))
            tokens[chosen], stream[chosen] = known.prefix.tokens, known.first_prompt + picks
    return tokens, stream


def _arrivals(workload: Synthetic, classes: list[_Class], klass: Int16s, after: Int32s, streams: Streams) -> Int64s:
    starts = after < 0
    arrival = np.empty(len(klass), np.int64)
    arrival[starts] = arrival_times(workload.arrivals, int(starts.sum()), streams)
    for index, known in enumerate(classes):
        if known.sessions:
            later = ~starts & (klass == index)
            pauses = streams(f"think/{known.name}").standard_exponential(int(later.sum()))
            arrival[later] = np.rint(pauses * known.sessions.think_s * NS_PER_S)
    return arrival
