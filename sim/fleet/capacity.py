"""How many nodes a spot market has, replayed from a recording: readers of four formats, and one step function."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from sim.errors import InputError
from sim.request import Int64s
from sim.scenario.market import TracedReclaims
from sim.units import NS_PER_MS, NS_PER_S, seconds_to_ns
from sim.workload.files import text_lines
from sim.workload.named import find_spot, locate

MAX_NODES = 1_000_000
MAX_MS = 10**12
"""About 32 years."""

Steps = list[tuple[int, int]]
"""Time in ns since the start of the recording, and the nodes from then on; of equal times the last holds."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Nodes of the market over time: `nodes[i]` from `times_ns[i]` on, and again from the start after `period_ns`."""

    times_ns: Int64s
    """Rising, the first is 0."""
    nodes: Int64s
    period_ns: int
    """Where the recording ends: at its last entry, whose count therefore never holds (Parcae: as it says)."""


def capacity(reclaims: TracedReclaims, base_dir: Path) -> Capacity:
    """Read a recording of a spot market, scaled to `reclaims.nodes` and begun at `reclaims.start_s`.

    Args:
        reclaims: Which recording, and how to replay it.
        base_dir: Where a relative path starts.

    Raises:
        InputError: Unknown or missing recording, a bad line, no time or node in it, or it ends before `start_s`.
    """
    path, steps, end_ns = recording(reclaims, base_dir)
    if end_ns == 0:
        raise InputError(f"{path}: found no time between first and last entry, expected a recording of some length")
    times, nodes = _tidy([(0, 0), *steps], end_ns)
    if not nodes.any():
        raise InputError(f"{path}: found no node at any time, expected at least one")
    if reclaims.nodes is not None:
        peak = int(nodes.max())
        nodes = (2 * nodes * reclaims.nodes + peak) // (2 * peak)  # to the nearest, halves up
    start_ns = seconds_to_ns(reclaims.start_s)
    if start_ns >= end_ns:
        raise InputError(
            f"{path}: start_s: found {reclaims.start_s:g}, expected less than its length of {end_ns / NS_PER_S:g} s"
        )
    later = int(np.searchsorted(times, start_ns, side="right"))
    turned = [(0, nodes[later - 1]), *zip(times[later:] - start_ns, nodes[later:], strict=True)]
    turned += zip(times[:later] + (end_ns - start_ns), nodes[:later], strict=True)
    return Capacity(*_tidy(turned, end_ns), end_ns)


def recording(reclaims: TracedReclaims, base_dir: Path) -> tuple[Path, Steps, int]:
    """Return where a recording lies, its entries as they are, and its end in ns; errors as of `capacity`."""
    if reclaims.trace is not None:
        form, path = find_spot(reclaims.trace).format, locate(reclaims.trace)
    else:
        form, path = str(reclaims.format), base_dir / str(reclaims.path)
    return path, *_READERS[form](path)


def _tidy(steps: Steps, end_ns: int) -> tuple[Int64s, Int64s]:
    """Columns of times and nodes before the end, one row a change."""
    last = {int(time): int(nodes) for time, nodes in steps if time < end_ns}
    times, nodes = np.array(list(last), np.int64), np.array(list(last.values()), np.int64)
    changed = np.concatenate([[True], nodes[1:] != nodes[:-1]])
    return times[changed], nodes[changed]


def _bamboo(path: Path) -> tuple[Steps, int]:
    """Lines `ms,add|remove,node`: a cluster's changes, node by node."""
    alive: set[str] = set()
    steps: Steps = []
    for where, line in _lines(path):
        fields = line.split(",")
        if len(fields) != 3 or fields[1] not in ("add", "remove"):
            raise InputError(f"{where}: found {line!r}, expected ms,add|remove,node")
        time, change, node = fields
        _change(where, alive, change, [node])
        _append(where, steps, _integer(where, time, "time in ms", MAX_MS) * NS_PER_MS, len(alive))
    return steps, _end(steps)


def _gcp(path: Path) -> tuple[Steps, int]:
    """Lines `date, time, count`: samples of a cluster's size.

    A sample is repeated one and two minutes later, and the time then steps back to the next one where that came sooner.
    So lines are in the order of observation, and a line supersedes those before it whose time is not earlier.
    """
    samples: list[tuple[datetime, int]] = []
    for where, line in _lines(path):
        try:
            day, clock, count = (field.strip() for field in line.split(","))
            time = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S")
        except ValueError:
            raise InputError(f"{where}: found {line!r}, expected date, time, count") from None
        while samples and samples[-1][0] >= time:
            samples.pop()
        samples.append((time, _integer(where, count, "number of nodes", MAX_NODES)))
    steps = [(round((time - samples[0][0]).total_seconds()) * NS_PER_S, count) for time, count in samples]
    return steps, _end(steps)


def _parcae(path: Path) -> tuple[Steps, int]:
    """JSON lines `[ms, "add" | "remove" | ..., {"nodes": [...], "duration": ms}]`, or lines `ms,count`."""
    alive: set[str] = set()
    steps: Steps = []
    end_ns = 0
    for where, line in _lines(path):
        if not line.startswith("["):
            fields = line.split(",")
            if len(fields) != 2:
                raise InputError(f"{where}: found {line!r}, expected ms,count or a JSON list")
            time, count = fields
            _append(
                where,
                steps,
                _integer(where, time, "time in ms", MAX_MS) * NS_PER_MS,
                _integer(where, count, "number of nodes", MAX_NODES),
            )
            end_ns = steps[-1][0]
            continue
        try:
            ms, change, more = json.loads(line)
            nodes, lasts = more["nodes"], more["duration"]
            names = [str(node) for node in nodes]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError(
                f'{where}: found {line[:60]!r}, expected [ms, change, {{"nodes": [...], "duration": ms}}]'
            ) from None
        if names:
            _change(where, alive, change, names)
        start_ns = _integer(where, ms, "time in ms", MAX_MS) * NS_PER_MS
        _append(where, steps, start_ns, len(alive))
        end_ns = start_ns + _integer(where, lasts, "duration in ms", MAX_MS) * NS_PER_MS
    return steps, end_ns


def _csv(path: Path) -> tuple[Steps, int]:
    """A header, then rows `time_s,nodes`, from 0 on; the last row says when the recording ends."""
    lines = _lines(path)
    where, header = next(lines, (str(path), ""))
    if [name.strip() for name in header.split(",")] != ["time_s", "nodes"]:
        raise InputError(f"{where}: found {header!r}, expected the header time_s,nodes")
    steps: Steps = []
    for where, line in lines:
        fields = line.split(",")
        if len(fields) != 2:
            raise InputError(f"{where}: found {line!r}, expected time_s,nodes")
        _append(where, steps, _time_ns(where, fields[0]), _integer(where, fields[1], "number of nodes", MAX_NODES))
    return steps, _end(steps)


_READERS: dict[str, Callable[[Path], tuple[Steps, int]]] = {
    "bamboo": _bamboo,
    "gcp": _gcp,
    "parcae": _parcae,
    "csv": _csv,
}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines that are not blank, each with the words that name it in an error."""
    for number, line in enumerate(text_lines(path), 1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def _change(where: str, alive: set[str], change: object, nodes: list[str]) -> None:
    for node in nodes:
        if change == "add" and node not in alive:
            alive.add(node)
        elif change == "remove" and node in alive:
            alive.remove(node)
        else:
            held = "there" if node in alive else "not there"
            raise InputError(f"{where}: found {change!r} of {node}, which is {held}, expected adds and removes in turn")


def _append(where: str, steps: Steps, time_ns: int, nodes: int) -> None:
    if steps and time_ns < steps[-1][0]:
        raise InputError(f"{where}: time goes back by {(steps[-1][0] - time_ns) / NS_PER_S:g} s, expected rising times")
    steps.append((time_ns, nodes))


def _end(steps: Steps) -> int:
    return steps[-1][0] if steps else 0


def _time_ns(where: str, text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_MS / 1000:
        raise InputError(f"{where}: found {text.strip()!r}, expected time_s from 0 to {MAX_MS // 1000}")
    return seconds_to_ns(seconds)


def _integer(where: str, value: object, what: str, most: int) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= most:
        raise InputError(f"{where}: found {value!r}, expected a {what} from 0 to {most}")
    return number
