"""A measured run on disk, as `trilemma measure` writes it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.errors import InputError
from sim.request import Int64s
from sim.units import NS_PER_MS

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RealRun:
    """One measured run. Columns have one row a request, in the scenario's order; times are ns, -1 where none came."""

    path: Path
    scenario: dict[str, Any]
    server: dict[str, Any]
    """Version, GPU, flags, KV blocks, seed and replication (server.json)."""
    arrival_ns: Int64s
    """When the request was planned to be sent, since the start."""
    sent_ns: Int64s
    first_token_ns: Int64s
    last_token_ns: Int64s
    prompt_tokens: Int64s
    output_tokens: Int64s
    """As received."""
    ok: Mask
    """Ended without an error."""
    token_request: Int64s
    """Request of each received token; tokens are in the order of their times within a request."""
    token_ns: Int64s
    series: pa.Table
    """Scraped series: time_ns, name, labels, value."""

    def increase(self, name: str) -> float | None:
        """Return by how much a counter grew over the run, summed over engines; None if it was not seen twice."""
        first: dict[str, float] = {}
        last: dict[str, float] = {}
        rows = self.series.filter(pc.field("name") == name).sort_by("time_ns").to_pylist()
        if not rows or rows[0]["time_ns"] == rows[-1]["time_ns"]:
            return None
        for row in rows:
            first.setdefault(row["labels"], row["value"])
            last[row["labels"]] = row["value"]
        return sum(last.values()) - sum(first.values())

    def engine_mean_ms(self, name: str) -> tuple[float, int] | None:
        """Return the mean of one of vLLM's histograms of seconds over the run, in ms, and of how many requests."""
        total, count = self.increase(f"{name}_sum"), self.increase(f"{name}_count")
        if total is None or not count:
            return None
        return 1000 * total / count, round(count)

    def itl_ms(self, chosen: Mask) -> NDArray[np.float64]:
        """Return all gaps between consecutive tokens of the chosen requests, ms."""
        kept = chosen[self.token_request]
        request, time = self.token_request[kept], self.token_ns[kept]
        order = np.lexsort((time, request))
        gaps: NDArray[np.float64] = np.diff(time[order])[np.diff(request[order]) == 0] / NS_PER_MS
        return gaps


def read(path: Path) -> RealRun:
    """Read a directory that `trilemma measure` wrote.

    Raises:
        InputError: there is no measured run, or it is damaged.
    """
    if not (path / "requests.parquet").is_file() or not (path / "server.json").is_file():
        raise InputError(f"{path}: found no requests.parquet and server.json, expected what `trilemma measure` saved")
    try:
        requests = pq.read_table(path / "requests.parquet")
        tokens = pq.read_table(path / "tokens.parquet")
        order = np.argsort(requests["index"].to_numpy(), kind="stable")
        if not np.array_equal(requests["index"].to_numpy()[order], np.arange(len(order))):
            raise ValueError(f"index: expected 0 to {len(order) - 1}, each once")  # noqa: TRY301
        names = ("arrival_ns", "sent_ns", "first_token_ns", "last_token_ns", "prompt_tokens", "output_tokens")
        columns = {name: requests[name].to_numpy()[order].astype(np.int64) for name in names}
        errors = np.asarray(requests["error"].to_pylist(), dtype=object)[order]
        run = RealRun(
            path=path,
            scenario=json.loads((path / "scenario.json").read_text()),
            server=json.loads((path / "server.json").read_text()),
            **columns,
            ok=(errors == "") & (columns["last_token_ns"] >= 0),
            token_request=tokens["request"].to_numpy().astype(np.int64),
            token_ns=tokens["time_ns"].to_numpy().astype(np.int64),
            series=pq.read_table(path / "series.parquet").select(["time_ns", "name", "labels", "value"]),
        )
        _check(run)
        return run  # noqa: TRY300
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path}: this measured run is damaged ({type(error).__name__}: {error})") from None


def _check(run: RealRun) -> None:
    """Refuse what cannot have been measured.

    Raises:
        ValueError: in a sentence.
    """
    if not isinstance(run.scenario, dict) or not isinstance(run.server, dict):
        raise TypeError("scenario.json and server.json must be objects")
    for key in ("seed", "replication"):
        found = run.server.get(key, 0)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise ValueError(f"server.json: {key}: found {found!r}, expected a count")
    owners = run.token_request
    if len(owners) and not 0 <= owners.min() <= owners.max() < len(run.ok):
        raise ValueError("tokens.parquet: a token belongs to no request")
    sent, first, last = (column[run.ok] for column in (run.sent_ns, run.first_token_ns, run.last_token_ns))
    if (sent < 0).any() or (first <= sent).any() or (last < first).any():
        raise ValueError("requests.parquet: a request's times are not in order: sent, first token, last token")
    if run.ok.any() and not len(owners):
        raise ValueError("tokens.parquet: no token, although requests ended well")
