"""The table of a campaign: one row a run, built from the finished directories alone."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.campaign_points import Point
from harness.campaign_store import RESULT, Store

CSV = "results.csv"
PARQUET = "results.parquet"

_FILES = {
    "measure": "bench.json",
    "profile": "profile.json",
    "startup": "startup.json",
    "collectives": "collectives.json",
}
"""Where each kind of run leaves its numbers."""
_BENCH = {
    "completed",
    "failed",
    "duration",
    "request_throughput",
    "output_throughput",
    *(f"{what}_{metric}_ms" for metric in ("ttft", "tpot", "itl", "e2el") for what in ("mean", "median", "p99")),
}
"""The numbers of vLLM bench's result that stand in the table; of the others all do."""

Row = dict[str, str | int | float | None]


def write(points: Sequence[Point], store: Store) -> None:
    """Write results.csv and results.parquet: what was run, how it ended (ok, failed, missing), what it measured.

    The same directories give the same bytes.

    Raises:
        InputError: the directory cannot be written.
    """
    rows = [_row(point, store) for point in points]
    columns = list(dict.fromkeys(name for row in rows for name in row))  # in the order in which they come up
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    store.write(store.out / CSV, text.getvalue())
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    draft = store.out / f".{PARQUET}.draft"
    with store.writing():
        pq.write_table(table, draft)
        draft.replace(store.out / PARQUET)


def _row(point: Point, store: Store) -> Row:
    record = store.find(point)
    status = "missing" if record is None else "failed" if record.failure else "ok"
    row: Row = {
        "point": point.name,
        "repeat": point.repeat,
        "kind": point.kind,
        "scenario": point.scenario,
        "variant": point.variant,
        "rate": point.rate,
        "status": status,
        "failure": record.failure if record else "",
        "minutes": None if record is None else round(record.seconds / 60, 3),
    }
    if status == "ok":
        row |= _numbers(point.kind, store.out / point.place / RESULT)
    return row


def _numbers(kind: str, result: Path) -> Row:
    """The numbers of a finished run, those of one block under block.name; none where it left no such file."""
    try:
        data = json.loads((result / _FILES[kind]).read_text())
    except (OSError, ValueError):
        return {}
    found = dict(_flat(data))
    return {name: value for name, value in found.items() if kind != "measure" or name in _BENCH}


def _flat(data: object, prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value
