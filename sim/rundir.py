"""A run on disk: a directory of Parquet and JSON that holds everything and never overwrites another run."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.errors import InputError
from sim.report import Summary, to_bench_json
from sim.request import Requests
from sim.result import COUNTERS, PADDING, Draw, Gauges, Leases, Measured, ReplicaInfo, Replication, Run, Timeline, Tries

Columns = Mapping[str, NDArray[Any]]

_DRAWN = (
    "arrival_ns",
    "prompt_tokens",
    "output_tokens",
    "max_tokens",
    "klass",
    "reasoning_tokens",
    "own_stream",
    "after",
)
_LIVED = (
    "outcome",
    "sent_ns",
    "queued_ns",
    "first_scheduled_ns",
    "last_scheduled_ns",
    "first_token_ns",
    "answer_token_ns",
    "last_token_ns",
    "cached_tokens",
    "preemptions",
    "replica",
    "ended_ns",
)
_ITL = ("itl_ns", "itl_count")
_RECORDS = {"gauges": Gauges, "tries": Tries, "timeline": Timeline, "leases": Leases}
"""Fields of a replication that are tables of their own, each column a field of these."""
_TABLES = ("requests", "itl", "counters", *_RECORDS)
_JSON = ("scenario", "summary", "bench", "provenance", "run")


def default_directory(run: Run) -> Path:
    """Return runs/<name>-<seed>-<first 8 hex digits of the scenario's SHA-256>."""
    settings: Any = run.scenario["run"]
    text = json.dumps(run.scenario, sort_keys=True, separators=(",", ":"))
    digest = run.provenance.get("scenario_sha256") or hashlib.sha256(text.encode()).hexdigest()
    return Path("runs") / f"{run.scenario['name']}-{settings['seed']}-{digest[:8]}"


def check_target(out: Path) -> None:
    """Make sure, before the work is done, that `out` can become a run directory.

    Raises:
        InputError: it is a file, a directory with other content, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: found a file, expected a directory or a name that is free")
    if out.is_dir() and any(out.iterdir()) and not (out / "run.json").is_file():
        raise InputError(
            f"--out {out}: found a directory that holds no run, expected a run, an empty one or a free name"
        )
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.parent / f".{out.name}.{os.getpid()}"
        probe.mkdir()
        probe.rmdir()


def write(run: Run, summary: Summary, out: Path) -> Path:
    """Save a run and return where it lies: `out`, or with a number appended if another run lies there.

    Everything is written beside the target and then renamed, so there is never half a run. Saving the same run again
    finds it and writes nothing. The same scenario and seed give the same bytes, except provenance.json and the date
    and provenance in bench.json.

    Raises:
        InputError: see `check_target`.
    """
    check_target(out)
    draft = out.parent / f".{out.name}.{os.getpid()}"
    with _writing(out):
        draft.mkdir()
        try:
            _write_files(run, summary, draft)
            return _settle(draft, out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def read(path: Path) -> Run:
    """Read a run that `write` saved.

    Raises:
        InputError: there is no run, or it is damaged.
    """
    if not (path / "run.json").is_file():
        raise InputError(f"{path}: found no run.json, expected a directory that `trilemma run` saved")
    try:
        about = json.loads((path / "run.json").read_text())
        names = [name for name in (*_TABLES, "padding") if name in _TABLES or (path / f"{name}.parquet").is_file()]
        tables = {name: pq.read_table(path / f"{name}.parquet") for name in names}
        return Run(
            scenario=json.loads((path / "scenario.json").read_text()),
            provenance=json.loads((path / "provenance.json").read_text()),
            replicas=tuple(ReplicaInfo(**info) for info in about["replicas"]),
            replications=tuple(_replication(i, one, tables) for i, one in enumerate(about["replications"])),
            draws=tuple(_draw(one) for one in about.get("draws", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path}: this run is damaged ({type(error).__name__}: {error})") from None


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}), expected a writable place") from None


def _settle(draft: Path, out: Path) -> Path:
    """Rename the draft to the first name that is free or already holds the same run."""
    target, number = out, 1
    while True:
        if target.is_dir() and _same(draft, target):
            return target
        try:
            draft.rename(target)  # replaces an empty directory, never one with content
        except OSError:
            if not target.exists():
                raise
        else:
            return target
        number += 1
        target = out.with_name(f"{out.name}-{number}")


def _same(draft: Path, there: Path) -> bool:
    names = [f"{name}.parquet" for name in _TABLES] + ["scenario.json", "summary.json", "run.json"]
    return all(
        (there / name).is_file() and (there / name).read_bytes() == (draft / name).read_bytes() for name in names
    )


def _write_files(run: Run, summary: Summary, folder: Path) -> None:
    documents = {
        "scenario": run.scenario,
        "summary": summary.to_json(),
        "bench": to_bench_json(run, summary),
        "provenance": run.provenance,
        "run": {
            "replicas": [asdict(info) for info in run.replicas],
            "replications": [
                {
                    "end_ns": one.end_ns,
                    "classes": one.requests.classes,
                    "concurrency": one.requests.concurrency,
                }
                for one in run.replications
            ],
        }
        | ({"draws": [asdict(one) for one in run.draws]} if run.draws else {}),
    }
    for name in _JSON:
        (folder / f"{name}.json").write_text(json.dumps(documents[name], indent=1, allow_nan=False) + "\n")
    ones = run.replications
    _write_table(folder / "requests.parquet", [_request_columns(one) for one in ones])
    _write_table(folder / "itl.parquet", [{name: getattr(one, name) for name in _ITL} for one in ones])
    for name, kind in _RECORDS.items():
        records = [getattr(one, name) for one in ones]
        columns = [{f.name: getattr(record, f.name) for f in fields(kind)} for record in records]
        _write_table(folder / f"{name}.parquet", columns)
    _write_table(folder / "counters.parquet", [_fields(one.counters) for one in ones])
    padding = [_fields(one.padding) for one in ones if one.padding is not None]
    if padding:
        _write_table(folder / "padding.parquet", padding)


def _fields(records: NDArray[np.void]) -> dict[str, Any]:
    return {name: records[name] for name in records.dtype.names or ()}


def _request_columns(one: Replication) -> dict[str, Any]:
    drawn = one.requests
    columns: dict[str, Any] = {name: getattr(drawn, name) for name in _DRAWN}
    columns |= {name: getattr(one, name) for name in _LIVED}
    offsets: Any = pa.array(drawn.segment_offset)
    for name in ("segment_stream", "segment_end"):
        columns[name] = pa.LargeListArray.from_arrays(offsets, pa.array(getattr(drawn, name)))
    return columns


def _write_table(path: Path, replications: Sequence[Mapping[str, Any]]) -> None:
    """Write one row group a replication, numbered in the column `replication`."""
    tables = []
    for number, columns in enumerate(replications):
        rows = len(next(iter(columns.values())))
        tables.append(pa.table({"replication": np.full(rows, number, np.int16), **columns}))
    schema = pa.unify_schemas([one.schema for one in tables], promote_options="permissive")
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))


def _replication(number: int, about: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Replication:
    rows = {name: _rows_of(table, number) for name, table in tables.items()}
    requests, itl, counters = (rows[name] for name in ("requests", "itl", "counters"))
    columns = {name: _array(requests[name]) for name in (*_DRAWN, *_LIVED)}
    streams: Any = requests["segment_stream"].combine_chunks()
    ends: Any = requests["segment_end"].combine_chunks()
    drawn = Requests(
        **{name: columns[name] for name in _DRAWN},
        segment_offset=np.concatenate([[0], _array(pc.list_value_length(streams)).cumsum()]).astype(np.int64),
        segment_stream=_array(streams.flatten()),
        segment_end=_array(ends.flatten()),
        classes=tuple(about["classes"]),
        concurrency=about["concurrency"],
    )
    return Replication(
        requests=drawn,
        **{name: columns[name] for name in _LIVED},
        **{name: _array(itl[name]) for name in _ITL},
        counters=_filled(counters, COUNTERS),
        **{name: kind(**{f.name: _array(rows[name][f.name]) for f in fields(kind)}) for name, kind in _RECORDS.items()},
        end_ns=about["end_ns"],
        padding=_filled(rows["padding"], PADDING) if "padding" in rows else None,
    )


def _filled(table: pa.Table, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    filled = np.zeros(table.num_rows, dtype)
    for name in dtype.names or ():
        filled[name] = _array(table[name])
    return filled


def _draw(about: Mapping[str, Any]) -> Draw:
    measured = about["measured"]
    parts = (tuple(measured[name]) for name in ("classes", "pools"))
    return Draw(about["number"], about["replication"], Measured(measured["whole"], *parts))


def _rows_of(table: pa.Table, number: int) -> pa.Table:
    first, last = np.searchsorted(_array(table["replication"]), [number, number + 1])
    return table.slice(int(first), int(last - first))


def _array(column: Any) -> Any:  # noqa: ANN401 (pyarrow's arrays are generic)
    return column.to_numpy()
