"""The result of `vllm bench serve --save-result --save-detailed`: what was sent, and when."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.workload.files import parse_json, text_lines, time_ns, token_count
from sim.workload.traces.rows import Row

KEYS = ("start_times", "input_lens", "output_lens", "errors")


def read(path: Path) -> Iterator[Row]:
    """Yield requests, timed from the first; `line` is the place in the lists. Failed ones have no output.

    start_times are a clock's readings in seconds at sending; the lists are in the order of the data set.
    """
    result = parse_json(path, 1, "".join(text_lines(path)))
    for key in KEYS:
        if not isinstance(result.get(key), list):
            raise InputError(f"{path}: found no list {key!r}, expected a result saved with --save-detailed")
    lists: list[list[Any]] = [result[key] for key in KEYS]
    if len({len(values) for values in lists}) > 1:
        raise InputError(f"{path}: {', '.join(KEYS)} have {[len(v) for v in lists]} entries, expected equally many")
    clock = [time_ns(path, place, "start_times", value) for place, value in enumerate(lists[0], 1)]
    start = min(clock, default=0)
    for place, (now, sent, got, error) in enumerate(zip(clock, *lists[1:], strict=True), 1):
        prompt = token_count(path, place, "input_lens", sent)
        output = token_count(path, place, "output_lens", got)
        yield Row(place, now - start, prompt, 0 if error else output)
