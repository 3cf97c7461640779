"""Step times from a CSV of measured steps.

Columns, in any order:
    kind: `prefill` (one request, no decodes) or `decode` (a decode-only step).
    tokens: prompt tokens computed in a prefill step; sequences of a decode step.
    context: tokens computed before, by sequence: 0 for an unchunked prefill; the KV length of a decode.
    step_ms: the whole step, host included; repeats of a shape are averaged.

Decode rows must form a full grid of tokens x context; prefill rows need context 0 and may add others, from which the
attention by query-key pair is fitted (without them it stays inside the step times, at the measured prompt lengths).
"""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sim.errors import InputError
from sim.steptime.cost import StepCost
from sim.steptime.grid import StepGrid, pairs

COLUMNS = ("kind", "tokens", "context", "step_ms")
Rows = dict[tuple[int, int], float]
"""(tokens, context) -> milliseconds."""


class MeasuredTable:
    """Interpolates a measured table; refuses steps larger than were measured."""

    def __init__(self, path: Path) -> None:
        """Read the table.

        Raises:
            InputError: The file is missing, malformed, or lacks a kind of rows.
        """
        self._path = path
        self.grid = _read(path)
        """Its last entries bound what was measured."""
        self.max_context = int(self.grid.contexts[-1])
        self.frontend_s = 0.0
        self.reservations: tuple[str, ...] = ()
        self.label = (
            f"measured table (prefill to {self.grid.prefill_tokens[-1]:.0f} tokens, decode to "
            f"{self.grid.decode_seqs[-1]:.0f} sequences, context to {self.grid.contexts[-1]:.0f} tokens, linear beyond)"
        )

    def cost(self, max_tokens: int, max_seqs: int) -> StepCost:
        """Tables up to the given sizes.

        Raises:
            InputError: They exceed what was measured.
        """
        sizes = (
            ("prefill", "max_num_batched_tokens", max_tokens, self.grid.prefill_tokens[-1]),
            ("decode", "max_num_seqs", max_seqs, self.grid.decode_seqs[-1]),
        )
        for kind, key, wanted, measured in sizes:
            if wanted > measured:
                raise InputError(
                    f"{self._path}: tokens of {kind} rows must reach engine.{key} ({wanted}), found at most "
                    f"{measured:.0f}: measure larger steps or set engine.{key} lower"
                )
        return self.grid.cost(max_tokens, max_seqs, host_fs=np.zeros(max_seqs + 1, dtype=np.int64), overlap=True)


def _read(path: Path) -> StepGrid:
    repeats: dict[str, dict[tuple[int, int], list[float]]] = {"prefill": defaultdict(list), "decode": defaultdict(list)}
    if not path.is_file():
        raise InputError(f"{path}: step_time.path must be a readable CSV of step times, found no such file")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            found = tuple(reader.fieldnames or ())
            if set(found) != set(COLUMNS) or len(found) != len(COLUMNS):
                raise InputError(f"{path}: columns must be {', '.join(COLUMNS)}, found {', '.join(found) or 'none'}")
            for row in reader:
                kind, shape, milliseconds = _row(f"{path}: line {reader.line_num}", row)
                repeats[kind][shape].append(milliseconds)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: step_time.path must be a readable CSV of step times, found {error}") from error
    for kind, shapes in repeats.items():
        if not shapes:
            raise InputError(f"{path}: kind must include {kind!r} rows, found none")
    mean = {kind: {shape: math.fsum(ms) / len(ms) for shape, ms in by.items()} for kind, by in repeats.items()}
    return _grid(path, mean["prefill"], mean["decode"])


def _row(where: str, row: Mapping[str | None, str | list[str] | None]) -> tuple[str, tuple[int, int], float]:
    """One row: kind, (tokens, context), milliseconds."""
    kind = row["kind"]
    if kind not in {"prefill", "decode"}:
        raise InputError(f"{where}: kind must be prefill or decode, found {kind!r}")
    least = 0 if kind == "prefill" else 1
    tokens = _count(where, "tokens", row["tokens"], 1)
    context = _count(where, "context", row["context"], least)
    try:
        milliseconds = float(str(row["step_ms"]))
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds < 1e6 or None in row:
        raise InputError(f"{where}: step_ms must be a positive number below 1000000, found {row['step_ms']!r}")
    return str(kind), (tokens, context), milliseconds


def _count(where: str, key: str, text: object, least: int) -> int:
    if isinstance(text, str) and text.isascii() and text.isdigit() and least <= int(text[:9]) and len(text) <= 8:
        return int(text)
    raise InputError(f"{where}: {key} must be an integer from {least} to 99999999, found {text!r}")


def _grid(path: Path, prefill: Rows, decode: Rows) -> StepGrid:
    seqs = sorted({tokens for tokens, _ in decode})
    contexts = sorted({context for _, context in decode})
    for tokens in seqs:
        for context in contexts:
            if (tokens, context) not in decode:
                raise InputError(
                    f"{path}: decode rows must hold every tokens x context, found none for tokens {tokens}, "
                    f"context {context}"
                )
    unchunked = sorted(tokens for tokens, context in prefill if context == 0)
    if not unchunked:
        raise InputError(f"{path}: prefill rows must include context 0, found none")
    pair_ms = _pair_ms(prefill)
    prompts = np.array(unchunked, dtype=np.float64)
    total = np.array([prefill[size, 0] for size in unchunked])
    return StepGrid(
        prefill_tokens=prompts,
        prefill_ms=np.maximum(total - pair_ms * pairs(prompts, 0), 0.0),
        pair_ms=pair_ms,
        decode_seqs=np.array(seqs, dtype=np.float64),
        contexts=np.array(contexts, dtype=np.float64),
        decode_ms=np.array([[decode[size, context] for context in contexts] for size in seqs]),
        prefill_comm_ms=np.zeros(len(unchunked)),
        decode_comm_ms=np.zeros(len(seqs)),
    )


def _pair_ms(prefill: Rows) -> float:
    """Slope of step time over pairs, from rows that differ in context only: weighted by pairs, at least 0."""
    extra_ms = extra_pairs = 0.0
    for (tokens, context), milliseconds in prefill.items():
        if context and (tokens, 0) in prefill:
            extra_ms += milliseconds - prefill[tokens, 0]
            extra_pairs += tokens * context
    return max(extra_ms / extra_pairs, 0.0) if extra_pairs else 0.0
