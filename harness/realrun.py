"""A measured run on disk: a directory that is there whole or not at all."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.client import Answer
from harness.scrape import Series
from sim.errors import InputError
from sim.request import Requests

_SERIES: dict[str, Any] = {
    "time_ns": pa.int64(),
    "name": pa.string(),
    "labels": pa.string(),
    "value": pa.float64(),
}


def check_target(out: Path) -> None:
    """Make sure, before the work is done, that `out` can become a run directory.

    Raises:
        InputError: something lies there, or it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: found something there, expected a free name or an empty directory")
    with whole(out) as draft:
        (draft / "probe").write_text("x")
        (draft / "probe").unlink()
    out.rmdir()


def free_name(out: Path) -> Path:
    """Return `out`, or with a number appended if something lies there."""
    names = itertools.chain([out], (out.with_name(f"{out.name}-{number}") for number in itertools.count(2)))
    return next(name for name in names if not name.exists())


def write(
    out: Path, documents: Mapping[str, Mapping[str, Any]], tables: Mapping[str, pa.Table], log: Path | None
) -> None:
    """Save a measured run.

    Args:
        out: a free name or an empty directory.
        documents: what becomes NAME.json.
        tables: what becomes NAME.parquet.
        log: the server's, which is copied to server.log.

    Raises:
        InputError: it cannot be written.
    """
    with whole(out) as draft:
        for name, document in documents.items():
            text = json.dumps(document, indent=1, allow_nan=False)
            (draft / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
        for name, table in tables.items():
            pq.write_table(table, draft / f"{name}.parquet", compression="zstd")
        if log is not None and log.is_file():
            shutil.copyfile(log, draft / "server.log")


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """Yield a draft beside `out` that takes its name when the context ends well.

    Raises:
        InputError: it cannot be written, for example because the disk is full.
    """
    draft = out.parent / f".{out.name}.{os.getpid()}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        yield draft
        draft.rename(out)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise InputError(f"--out {out}: cannot be written ({why}), expected a writable place with room") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def request_table(requests: Requests, answers: Sequence[Answer]) -> pa.Table:
    """One row a request, in the scenario's order; times in ns since the start, -1 where there is none."""
    first = [answer.chunk_ns[0] if answer.chunk_ns else -1 for answer in answers]
    last = [answer.chunk_ns[-1] if answer.chunk_ns else -1 for answer in answers]
    columns: dict[str, Any] = {
        "index": np.arange(len(answers)),
        "arrival_ns": requests.arrival_ns,
        "sent_ns": np.array([answer.sent_ns for answer in answers], np.int64),
        "first_token_ns": np.array(first, np.int64),
        "last_token_ns": np.array(last, np.int64),
        "prompt_tokens": requests.prompt_tokens.astype(np.int64),
        "output_tokens": np.array([answer.tokens for answer in answers], np.int64),
        "requested_tokens": requests.output_tokens.astype(np.int64),
        "cached_tokens": np.array([answer.cached_tokens for answer in answers], np.int64),
        "error": pa.array([answer.error for answer in answers], pa.string()),
    }
    return pa.table(columns)


def token_table(answers: Sequence[Answer]) -> pa.Table:
    """One row a token; tokens of one chunk came at the same time."""
    times = [np.repeat(np.array(one.chunk_ns, np.int64), one.chunk_tokens) for one in answers]
    owner = np.repeat(np.arange(len(answers), dtype=np.int32), [len(time) for time in times])
    return pa.table({"request": owner, "time_ns": np.concatenate(times) if times else np.array([], np.int64)})


def series_table(series: Series) -> pa.Table:
    """One row a sample."""
    return pa.table({name: getattr(series, name) for name in _SERIES}, schema=pa.schema(_SERIES))
