"""ServeGen client pools (arXiv:2505.09999): production clients, each by its rates, burstiness and length PDFs.

A pool is a tar.gz with chunk-K-trace.csv (start_s, rate, cv, family, shape, scale of each 10 minutes of client K) and
chunk-K-dataset.json (by start_s: PDFs of input_tokens, output_tokens and reason_ratio, each the text of a dict).
Several pools may lie in one archive, as in the public repository: the one of DeepSeek-R1 is then taken.
"""

import csv
import io
import json
import re
import tarfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.units import NS_PER_S
from sim.workload import Streams
from sim.workload.files import MAX_TOKENS, open_trace
from sim.workload.traces.rows import Row

Floats = NDArray[np.float64]

WINDOW_S = 600
MEMBER = re.compile(r"chunk-(\d+)-(trace\.csv|dataset\.json)")
ENTRY = re.compile(r"([0-9.eE+-]+): ([0-9.eE+-]+)")
MAX_MEMBER = 64 << 20
MAX_RATE = 1e6
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class Window:
    """Ten minutes of a client."""

    rate: float
    family: str
    """Gamma or Weibull gaps."""
    shape: float


@dataclass(frozen=True, slots=True)
class Pdf:
    """A discrete distribution."""

    values: Floats
    cumulative: Floats

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw float64[count]."""
        at = np.searchsorted(self.cumulative, rng.random(count), side="right")
        return self.values[np.minimum(at, len(self.values) - 1)]


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its windows by start_s, and its PDFs (input, output, reasoning share) by rising start_s."""

    windows: dict[int, Window]
    data: list[tuple[int, tuple[Pdf, Pdf, Pdf]]]


def read(path: Path, streams: Streams) -> Iterator[Row]:
    """Draw a day of requests from the pool, rising in time; stream ``servegen``.

    As in ServeGen's own generator (construct.py), a client sends in each window as many requests as its rate says,
    at gaps of its fitted family stretched to the window. Unlike there, input, output and reasoning share are drawn
    independently of each other (there one random number picks all three). A window's PDFs are the latest at its start.

    Raises:
        InputError: No archive, no pool in it, or a bad file of the pool.
    """
    clients = _pool(path)
    rng = streams("servegen")
    for start in sorted({start for client in clients for start in client.windows}):
        parts = [_window(client, start, rng) for client in clients if start in client.windows]
        times, prompts, outputs, shares = (np.concatenate(column) for column in zip(*parts, strict=True))
        reasoning = np.rint(shares * outputs)
        for i in np.argsort(times, kind="stable").tolist():
            # A last gap too small for a float would put a request into the next window.
            within = min(int(times[i] * NS_PER_S), WINDOW_S * NS_PER_S - 1)
            yield Row(
                0, start * NS_PER_S + within, int(prompts[i]), int(outputs[i]), reasoning_tokens=int(reasoning[i])
            )


def _window(client: Client, start: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    window = client.windows[start]
    count = round(window.rate * WINDOW_S)
    gaps = (
        rng.standard_gamma(window.shape, count + 1)
        if window.family == "Gamma"
        else rng.weibull(window.shape, count + 1)
    )
    sums = np.cumsum(gaps)
    _, pdfs = client.data[max(0, bisect_right(client.data, start, key=lambda entry: entry[0]) - 1)]
    prompts, outputs, shares = (pdf.draw(count, rng) for pdf in pdfs)
    return sums[:-1] / max(sums[-1], TINY) * WINDOW_S, prompts, outputs, shares


def _pool(path: Path) -> list[Client]:
    files: dict[str, dict[tuple[int, str], bytes]] = {}
    try:
        with open_trace(path) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                match = MEMBER.fullmatch(name.name)
                if match and member.isfile() and member.size <= MAX_MEMBER and (content := archive.extractfile(member)):
                    files.setdefault(name.parent.name, {})[int(match[1]), match[2]] = content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: expected a tar.gz of a ServeGen pool, found a damaged one: {error}") from error
    if "deepseek-r1" in files:
        files = {"deepseek-r1": files["deepseek-r1"]}
    if len(files) != 1:
        raise InputError(f"{path}: found pools {sorted(files)}, expected one, or deepseek-r1 among them")
    pool = files.popitem()[1]
    return [_client(path, key, pool) for key in sorted({key for key, _ in pool})]


def _client(path: Path, key: int, pool: dict[tuple[int, str], bytes]) -> Client:
    try:
        windows = _windows(pool[key, "trace.csv"].decode())
        data = _data(json.loads(pool[key, "dataset.json"]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: client chunk-{key} is not in ServeGen's form: {error!r}") from error
    if windows and not data:
        raise InputError(f"{path}: client chunk-{key} has rates but no PDFs, expected both")
    return Client(windows, data)


def _windows(text: str) -> dict[int, Window]:
    windows = {}
    for start, rate, _, family, shape, _ in csv.reader(io.StringIO(text)):
        if not 0 <= float(rate) <= MAX_RATE:
            raise ValueError(f"rate {rate}")
        if float(rate) > 0:
            if family not in ("Gamma", "Weibull") or not 0.01 <= float(shape) <= 1e6:
                raise ValueError(f"gaps {family} {shape}")
            windows[int(start)] = Window(float(rate), family, float(shape))
    return windows


def _data(texts: dict[str, dict[str, str]]) -> list[tuple[int, tuple[Pdf, Pdf, Pdf]]]:
    data = []
    for start, fields in texts.items():
        if fields["input_tokens"] != "{}":
            prompts, outputs = (_pdf(fields[name], 1, MAX_TOKENS) for name in ("input_tokens", "output_tokens"))
            data.append((int(start), (prompts, outputs, _pdf(fields["reason_ratio"], 0, 1))))
    return sorted(data, key=lambda entry: entry[0])


def _pdf(text: str, low: float, high: float) -> Pdf:
    pairs = np.array(ENTRY.findall(text), np.float64).reshape(-1, 2)
    weights = pairs[:, 1]
    if not (np.all((weights >= 0) & (weights < np.inf)) and weights.sum() > 0):
        raise ValueError("probabilities are not positive numbers")
    return Pdf(np.clip(pairs[:, 0], low, high), np.cumsum(weights) / weights.sum())
