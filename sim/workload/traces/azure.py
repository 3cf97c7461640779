"""Azure LLM inference traces 2023 (Splitwise, ISCA 2024) and 2024 (DynamoLLM, arXiv:2408.00741)."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from sim.errors import InputError
from sim.units import NS_PER_S
from sim.workload.files import csv_rows, token_count
from sim.workload.traces.rows import Row

# 2023-11-16 18:15:46.6805900, and in 2024 2024-05-10 00:00:00.009930+00:00.
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:\+00:00|Z)?", re.ASCII)


def read(path: Path) -> Iterator[Row]:
    """Yield the requests of ``TIMESTAMP,ContextTokens,GeneratedTokens``, timed from the first; rising in time."""
    start: int | None = None
    for line, (timestamp, context, generated) in csv_rows(path, ("TIMESTAMP", "ContextTokens", "GeneratedTokens")):
        now = _epoch_ns(path, line, timestamp)
        start = now if start is None else start
        yield Row(
            line,
            now - start,
            token_count(path, line, "ContextTokens", context),
            token_count(path, line, "GeneratedTokens", generated),
        )


def _epoch_ns(path: Path, line: int, text: str) -> int:
    if match := TIMESTAMP.fullmatch(text):
        with suppress(ValueError):  # no such day or hour
            return _epoch_s(match[1]) * NS_PER_S + int((match[2] or "0").ljust(9, "0"))
    raise InputError(
        f"{path}, line {line}: TIMESTAMP is {text!r}, expected a UTC time such as 2023-11-16 18:15:46.6805900"
    )


@lru_cache(maxsize=4)  # a week has 45 requests in each second
def _epoch_s(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
