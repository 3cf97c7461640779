"""Traces that name each block of the prompt by a content id: Mooncake (FAST'25) and Qwen-Bailian (ATC'25)."""

from collections.abc import Iterator
from pathlib import Path

from sim.errors import InputError
from sim.workload.files import json_lines, time_ns, token_count
from sim.workload.traces.rows import Row

KEYS = ("timestamp", "input_length", "output_length", "hash_ids")
MOONCAKE_BLOCK = 512
BAILIAN_BLOCK = 16


def read_mooncake(path: Path) -> Iterator[Row]:
    """Yield Mooncake's requests: timestamp in ms, an id for each 512 tokens, the last one of the rest; rising in time.

    In the published conversation and synthetic traces every prompt has ceil(input_length / 512) ids.
    """
    for line, item in json_lines(path, KEYS):
        prompt = token_count(path, line, "input_length", item["input_length"])
        blocks = _ids(path, line, item["hash_ids"])
        if len(blocks) > -(-prompt // MOONCAKE_BLOCK):
            raise InputError(
                f"{path}, line {line}: found {len(blocks)} hash_ids for {prompt} tokens, "
                f"expected at most one for each {MOONCAKE_BLOCK}"
            )
        yield Row(
            line,
            time_ns(path, line, "timestamp", item["timestamp"], 1e-3),
            prompt,
            token_count(path, line, "output_length", item["output_length"]),
            blocks,
        )


def read_bailian(path: Path) -> Iterator[Row]:
    """Yield Qwen-Bailian's requests: timestamp in s, an id for each 16 tokens; not promised to rise in time.

    The request's type (text, search, image, file) is its class. Turns of one chat are sent at their recorded times;
    what they share is in their ids, so `parent_chat_id` is not needed. Ids beyond the prompt are padding and dropped
    (the data's docs/qa-context-growth-pattern.md).
    """
    for line, item in json_lines(path, (*KEYS, "type")):
        prompt = token_count(path, line, "input_length", item["input_length"])
        yield Row(
            line,
            time_ns(path, line, "timestamp", item["timestamp"]),
            prompt,
            token_count(path, line, "output_length", item["output_length"]),
            _ids(path, line, item["hash_ids"])[: -(-prompt // BAILIAN_BLOCK)],
            str(item["type"]),
        )


def _ids(path: Path, line: int, value: object) -> list[int]:
    if isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value):
        return value
    raise InputError(f"{path}, line {line}: hash_ids is not a list of integers of at least 0")
