"""Reading trace files line by line, plain or gzip, so that an error names the file and the line."""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.units import NS_PER_S

MAX_BYTES = 4 << 30
"""Decompressed; the week of Azure 2024 conversations has 1.1 GB."""
MAX_LINE = 256 << 20
"""A bench result is a single line."""
MAX_TOKENS = 10_000_000
"""Longest prompt or output that the scenario schema allows."""


def open_trace(path: Path) -> io.BufferedIOBase:
    """Open a plain or gzip file for reading bytes; InputError if that cannot be."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: found a directory, expected a file")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: found a device or pipe, expected a file")
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        return gzip.open(path, "rb") if packed else path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their ends, first one without byte order mark.

    Raises:
        InputError: Truncated gzip, not UTF-8, a line above 256 MiB, or more than 4 GiB in all.
    """
    number = size = 0
    with open_trace(path) as file:
        while True:
            try:
                raw = file.readline(MAX_LINE)
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"{path}, line {number + 1}: damaged or truncated: {error}") from error
            if not raw:
                return
            number += 1
            size += len(raw)
            if size > MAX_BYTES or len(raw) == MAX_LINE:
                raise InputError(f"{path}, line {number}: larger than a trace may be (4 GiB, 256 MiB a line)")
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}, line {number}: expected UTF-8 text, found bytes that are not") from error


def csv_rows(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of a CSV with a header, its fields in the order `columns` + `optional` ("" if absent).

    Lines that start with # and empty lines are skipped.

    Raises:
        InputError: No header, missing or repeated columns, or a row with another number of fields.
    """
    numbers: list[int] = []

    def content() -> Iterator[str]:
        for number, line in enumerate(text_lines(path), 1):
            if line.strip() and not line.startswith("#"):
                numbers[:] = [number]
                yield line

    reader = csv.reader(content(), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if header.count(name) != 1]
        if missing:
            raise InputError(f"{path}: the header is {header}, expected one column each of {', '.join(columns)}")
        picks = [header.index(name) for name in columns]
        extras = [header.index(name) if name in header else -1 for name in optional]
        for row in reader:
            if len(row) != len(header):
                raise InputError(f"{path}, line {numbers[0]}: found {len(row)} fields, expected {len(header)}")
            yield numbers[0], [row[i] for i in picks] + [row[i] if i >= 0 else "" for i in extras]
    except csv.Error as error:
        raise InputError(f"{path}, line {numbers[0] if numbers else 1}: not CSV: {error}") from error


def parse_json(path: Path, line: int, text: str) -> dict[str, Any]:
    """Parse one JSON object; InputError names the line."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {line}: not a whole JSON object: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}, line {line}: found a JSON {type(value).__name__}, expected an object")
    return value


def json_lines(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of a JSON Lines file whose objects all have `keys`; empty lines are skipped."""
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        value = parse_json(path, number, line)
        missing = [key for key in keys if key not in value]
        if missing:
            raise InputError(f"{path}, line {number}: found no key {missing[0]!r}, expected {', '.join(keys)}")
        yield number, value


def token_count(path: Path, line: int, key: str, value: object) -> int:
    """Return a number of tokens, 0 to 10 million, from JSON or CSV text."""
    try:
        count = int(value) if isinstance(value, str) else value
    except ValueError:
        count = None
    if type(count) is not int or not 0 <= count <= MAX_TOKENS:
        raise InputError(f"{path}, line {line}: {key} is {value!r}, expected an integer from 0 to {MAX_TOKENS:,}")
    return count


def time_ns(path: Path, line: int, key: str, value: object, unit_s: float = 1.0) -> int:
    """Return nanoseconds from a number of `unit_s` seconds, from JSON or CSV text, of at least 0 and below 30 years."""
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    seconds = number * unit_s
    if not 0 <= seconds < 1e9:
        raise InputError(f"{path}, line {line}: {key} is {value!r}, expected a time of at least 0")
    return round(seconds * NS_PER_S)
