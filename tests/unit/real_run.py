"""Measured runs made by hand: a directory as `trilemma measure` writes it, every number chosen."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.result import Outcome, Replication

QUEUE, PREFILL = "vllm:request_queue_time_seconds", "vllm:request_prefill_time_seconds"


def write_real(
    folder: Path,
    one: Replication,
    *,
    sent=None,
    first=None,
    last=None,
    queue_s=None,
    prefill_s=None,
    preemptions=None,
    errors=None,
    server=None,
    **columns,
) -> Path:
    """Save `one` as if it had been measured; times in ns and columns may be given otherwise.

    Args:
        queue_s: the engine's queue times, summed up over the requests, s; None: the engine was not scraped.
        prefill_s: likewise.
    """
    folder.mkdir(parents=True)
    drawn, n = one.requests, len(one.requests)
    sent, first, last = (
        np.asarray(theirs if mine is None else mine, np.int64)
        for mine, theirs in ((sent, one.sent_ns), (first, one.first_token_ns), (last, one.last_token_ns))
    )
    errors = (
        ["" if outcome == Outcome.FINISHED else "HTTP 400" for outcome in one.outcome] if errors is None else errors
    )
    table = {
        "index": np.arange(n),
        "arrival_ns": drawn.arrival_ns,
        "sent_ns": sent,
        "first_token_ns": first,
        "last_token_ns": last,
        "prompt_tokens": drawn.prompt_tokens,
        "output_tokens": drawn.output_tokens,
        "requested_tokens": drawn.output_tokens,
        "cached_tokens": np.full(n, -1),
        "error": errors,
    } | columns
    pq.write_table(pa.table(table), folder / "requests.parquet")
    times = [np.linspace(first[i], last[i], drawn.output_tokens[i]).astype(np.int64) for i in range(n)]
    who = [np.full(len(mine), i, np.int32) for i, mine in enumerate(times)]
    pq.write_table(
        pa.table({"request": np.concatenate(who), "time_ns": np.concatenate(times)}), folder / "tokens.parquet"
    )
    ended = sum(error == "" for error in errors)
    series = []  # counters do not start at 0: others were served before
    for name, seconds in ((QUEUE, queue_s), (PREFILL, prefill_s)):
        if seconds is not None:
            series += [(0, f"{name}_sum", 5.0), (9, f"{name}_sum", 5.0 + seconds)]
            series += [(0, f"{name}_count", 3.0), (9, f"{name}_count", 3.0 + ended)]
    if preemptions is not None:
        series += [(0, "vllm:num_preemptions_total", 1.0), (9, "vllm:num_preemptions_total", 1.0 + preemptions)]
    rows = [{"time_ns": t, "name": name, "labels": '{"engine": "0"}', "value": value} for t, name, value in series]
    kinds = pa.schema(
        [("time_ns", pa.int64()), ("name", pa.string()), ("labels", pa.string()), ("value", pa.float64())]
    )
    pq.write_table(pa.Table.from_pylist(rows, kinds), folder / "series.parquet")
    (folder / "scenario.json").write_text("{}")
    (folder / "server.json").write_text(json.dumps({"seed": 7, "replication": 0} | (server or {})))
    return folder
