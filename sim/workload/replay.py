"""A recorded trace as requests."""

import warnings
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from sim.errors import InputError
from sim.request import Requests
from sim.scenario.workload import Trace
from sim.units import NS_PER_S, seconds_to_ns
from sim.workload import Streams, named
from sim.workload.arrivals import MAX_SECONDS, to_ns
from sim.workload.prefixes import block_ends, chain_streams
from sim.workload.traces import FORMATS, Format
from sim.workload.traces.rows import Row

MAX_CLASSES = 1000


def replay(trace: Trace, streams: Streams, base_dir: Path) -> Requests:
    """Read the requests sent in [start_s, end_s) of a recording, at most max_requests, at rate_scale times its pace.

    All arrive at their recorded times, later turns of a session too (`after` is -1 throughout). A recording is the
    same in every replication; a ServeGen pool is drawn from anew.

    Args:
        trace: Which, and which part.
        streams: Named streams; only ServeGen uses one (``servegen``).
        base_dir: Where a relative path starts.

    Raises:
        InputError: The file is missing or bad, or no request is left.
    """
    known = None if trace.trace is None else named.find(trace.trace)
    path = base_dir / str(trace.path) if known is None else named.locate(known.id)
    form = FORMATS[str(trace.format) if known is None else known.format]
    failed: list[int] = []
    rows = _window(_rising(path, form.read(path, streams), form), trace, failed)
    requests = _columns(path, rows, trace, form.block_tokens)
    if failed:
        warnings.warn(f"{path}: left out {len(failed)} failed requests (without input or output tokens)", stacklevel=2)
    if requests is None:
        raise InputError(f"{path}: found no requests{_part(trace)}, expected at least one")
    return requests


def _part(trace: Trace) -> str:
    if trace.end_s is None:
        return f" sent at {trace.start_s:g} s or later" if trace.start_s else ""
    return f" sent in [{trace.start_s:g}, {trace.end_s:g}) s"


def _rising(path: Path, rows: Iterator[Row], form: Format) -> Iterator[Row]:
    if not form.rising:
        yield from sorted(rows, key=lambda row: row.arrival_ns)
        return
    last = 0
    for row in rows:
        if row.arrival_ns < last:
            raise InputError(f"{path}, line {row.line}: sent before the request above it, expected rising times")
        last = row.arrival_ns
        yield row


def _window(rows: Iterator[Row], trace: Trace, failed: list[int]) -> Iterator[Row]:
    """Yield the requests to keep and stop reading at the last; put the lines of failed ones into `failed`."""
    start = seconds_to_ns(min(trace.start_s, MAX_SECONDS))
    end = seconds_to_ns(min(trace.end_s or MAX_SECONDS, MAX_SECONDS))

    def kept() -> Iterator[Row]:
        for row in rows:
            if row.arrival_ns >= end:
                return
            if row.arrival_ns < start:
                continue
            if row.prompt_tokens and row.output_tokens:
                yield row
            else:
                failed.append(row.line)

    return islice(kept(), trace.max_requests)


def _columns(path: Path, rows: Iterator[Row], trace: Trace, block_tokens: int) -> Requests | None:
    arrival, own, offset, ids = array("q"), array("q"), array("q", [0]), array("q")
    prompt, output, reasoning, klass = array("i"), array("i"), array("i"), array("h")
    classes: dict[str, int] = {}
    sessions: dict[str, int] = {}
    for row in rows:
        arrival.append(row.arrival_ns)
        prompt.append(row.prompt_tokens)
        output.append(row.output_tokens)
        reasoning.append(-1 if row.reasoning_tokens is None else row.reasoning_tokens)
        klass.append(classes.setdefault(row.klass, len(classes)))
        if len(classes) > MAX_CLASSES:
            raise InputError(
                f"{path}, line {row.line}: found class number {len(classes)}, expected at most {MAX_CLASSES}"
            )
        own.append(len(own) if row.session is None else sessions.setdefault(row.session, len(own)))
        ids.extend(row.blocks)
        offset.append(len(ids))
    if not arrival:
        return None
    start_ns = seconds_to_ns(trace.start_s)
    outputs = np.array(output, np.int32)
    recorded = np.array(reasoning, np.int32)
    offsets = np.array(offset, np.int64)
    blocks, count = chain_streams(np.array(ids, np.int64), offsets)
    prompts = np.array(prompt, np.int32)
    return Requests(
        arrival_ns=to_ns(
            (np.array(arrival, np.int64) - start_ns) / (NS_PER_S * trace.rate_scale), "workload.rate_scale"
        ),
        prompt_tokens=prompts,
        output_tokens=outputs,
        max_tokens=outputs,
        klass=np.array(klass, np.int16),
        reasoning_tokens=np.where(recorded < 0, np.rint(outputs * trace.reasoning_share), recorded).astype(np.int32),
        own_stream=np.array(own, np.int64) + count,
        after=np.full(len(prompts), -1, np.int32),
        segment_offset=offsets,
        segment_stream=blocks,
        segment_end=block_ends(prompts, offsets, block_tokens).astype(np.int32),
        classes=tuple(classes),
    )
