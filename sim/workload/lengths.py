"""Prompt and output lengths."""

import math
from pathlib import Path

import numpy as np

from sim.errors import InputError
from sim.request import Int32s
from sim.scenario.workload import EmpiricalLengths, FixedLength, Length, Lengths, UniformLength
from sim.workload import Streams
from sim.workload.files import csv_rows, token_count

SHIPPED = Path(__file__).resolve().parents[1] / "catalog" / "lengths"
COLUMNS = ("input_low", "input_high", "output_low", "output_high", "weight")


def draw_lengths(lengths: Lengths, count: int, streams: Streams, name: str, base_dir: Path) -> tuple[Int32s, Int32s]:
    """Draw input and output lengths, int32[count] tokens each, all at least 1.

    Args:
        lengths: How they are distributed.
        count: How many.
        streams: Named streams; used are ``lengths/NAME/input``, ``.../output`` and ``.../row``.
        name: The class's.
        base_dir: Where a relative table path starts.

    Raises:
        InputError: A bad table, or lognormal parameters that have no distribution.
    """
    if isinstance(lengths, EmpiricalLengths):
        table = read_table(lengths.table, base_dir)
        rows = np.searchsorted(
            np.cumsum(table[:, 4]) / table[:, 4].sum(), streams(f"lengths/{name}/row").random(count), side="right"
        )
        low_in, high_in, low_out, high_out = table[np.minimum(rows, len(table) - 1), :4].astype(np.int64).T
        return (
            streams(f"lengths/{name}/input").integers(low_in, high_in + 1).astype(np.int32),
            streams(f"lengths/{name}/output").integers(low_out, high_out + 1).astype(np.int32),
        )
    return (
        _separate(lengths.input, count, streams(f"lengths/{name}/input")),
        _separate(lengths.output, count, streams(f"lengths/{name}/output")),
    )


def _separate(length: Length, count: int, rng: np.random.Generator) -> Int32s:
    if isinstance(length, FixedLength):
        return np.full(count, length.tokens, np.int32)
    if isinstance(length, UniformLength):
        # vllm/benchmarks/datasets/utils.py get_sampling_params (0.32).
        low = max(1, math.floor(length.tokens * (1 - length.range_ratio)))
        high = math.ceil(length.tokens * (1 + length.range_ratio))
        return rng.integers(low, high + 1, count).astype(np.int32)
    if length.min_tokens > length.max_tokens:
        raise InputError(
            f"workload.lengths: min_tokens ({length.min_tokens}) must be at most max_tokens ({length.max_tokens})"
        )
    sigma = math.sqrt(2 * math.log(math.hypot(1.0, length.std_tokens / length.mean_tokens)))
    if not math.isfinite(sigma):
        raise InputError(
            f"workload.lengths: std_tokens / mean_tokens is {length.std_tokens:g} / {length.mean_tokens:g}, "
            "expected a finite ratio"
        )
    mu = math.log(length.mean_tokens) - sigma**2 / 2
    logs = np.minimum(mu + sigma * rng.standard_normal(count), math.log(length.max_tokens) + 1)
    return np.clip(np.rint(np.exp(logs)), length.min_tokens, length.max_tokens).astype(np.int32)


def read_table(table: str, base_dir: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Read a joint length table, float64[rows, 5]: the columns `COLUMNS`, bounds in tokens and inclusive.

    Args:
        table: Name of a shipped table, or a path.
        base_dir: Where a relative path starts.

    Raises:
        InputError: No such table, or a bad row of it.
    """
    shipped = SHIPPED / f"{table}.csv"
    path = shipped if "/" not in table and shipped.is_file() else base_dir / table
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in SHIPPED.glob("*.csv")))
        raise InputError(f"workload.lengths.table: {table!r} is neither a shipped table ({names}) nor a file")
    rows = [_bounds(path, line, row) for line, row in csv_rows(path, COLUMNS)]
    if not sum(row[4] for row in rows) > 0:
        raise InputError(f"{path}: column weight sums to 0, expected a positive weight")
    return np.array(rows, np.float64)


def _bounds(path: Path, line: int, row: list[str]) -> list[float]:
    bounds = [token_count(path, line, name, text) for name, text in zip(COLUMNS[:4], row[:4], strict=True)]
    try:
        weight = float(row[4])
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise InputError(f"{path}, line {line}: weight is {row[4]!r}, expected a number of at least 0")
    if not (1 <= bounds[0] <= bounds[1] and 1 <= bounds[2] <= bounds[3]):
        raise InputError(f"{path}, line {line}: bounds are {bounds}, expected 1 <= low <= high for input and output")
    return [*bounds, weight]
