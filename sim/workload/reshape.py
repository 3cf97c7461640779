"""Traffic changed after it was drawn or read: bursts, and prompts that are longer; everything else stays as it was."""

from dataclasses import replace

import numpy as np

from sim.errors import InputError
from sim.request import Int64s, Requests
from sim.scenario.workload import Bursts, LongContext, Workload
from sim.units import NS_PER_S
from sim.workload import Streams
from sim.workload.files import MAX_TOKENS


def reshape(requests: Requests, workload: Workload, streams: Streams) -> Requests:
    """Apply the workload's `bursts` and `long_context`; stream ``long_context``.

    Raises:
        InputError: a prompt becomes longer than any that may be read.
    """
    if workload.bursts is not None:
        first = requests.after < 0
        sent = requests.arrival_ns.copy()
        sent[first] = _bunched(sent[first], workload.bursts)
        requests = replace(requests, arrival_ns=sent)
    if workload.long_context is not None:
        requests = _lengthened(requests, workload.long_context, streams)
    return requests


def _bunched(sent_ns: Int64s, bursts: Bursts) -> Int64s:
    """Stretch time so that the middle of each period holds more: the inverse of the cumulative rate (Cinlar 1975)."""
    period, inside = bursts.every_s, bursts.for_s
    before = (period - inside) / 2
    held = bursts.times * inside
    corners = np.array([0.0, (period - held) / 2, (period + held) / 2, period])
    times = np.array([0.0, before, before + inside, period])
    periods, rest = np.divmod(sent_ns / NS_PER_S, period)
    return np.asarray(np.rint((periods * period + np.interp(rest, corners, times)) * NS_PER_S), np.int64)


def _lengthened(requests: Requests, long: LongContext, streams: Streams) -> Requests:
    """Add tokens to the first prompt of some conversations, and so to all that follow from it."""
    _, first, which = np.unique(requests.own_stream, return_index=True, return_inverse=True)
    missing = np.maximum(long.tokens - requests.prompt_tokens[first].astype(np.int64), 0)
    missing[streams("long_context").random(len(first)) >= long.share] = 0
    prompts = requests.prompt_tokens + missing[which]
    if prompts.max() > MAX_TOKENS:
        raise InputError(
            f"workload.long_context: a prompt has {prompts.max():,} tokens, expected at most {MAX_TOKENS:,}"
        )
    return replace(requests, prompt_tokens=prompts.astype(np.int32))
