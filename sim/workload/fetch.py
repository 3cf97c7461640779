"""Downloading a named trace: streamed, checked by SHA-256, and put in the cache in one step."""

import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError

from sim.cachedir import cache_dir
from sim.errors import InputError
from sim.workload.named import find_any
from sim.workload.published import NamedTrace

TIMEOUT_S = 30.0
"""Longest silence of the server."""
CHUNK = 1 << 20
MAX_BYTES = 4 << 30

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far, and their total if known."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A trace in the cache."""

    path: Path
    sha256: str
    pinned: bool
    """The hash was known beforehand. If not, the first download was trusted, its hash kept beside it, and later
    downloads must have the same."""


def fetch(trace_id: str, progress: Progress | None = None, url: str | None = None) -> Fetched:
    """Download a named trace into the cache, unless it is there already; an interrupted download leaves nothing.

    Args:
        trace_id: Its name.
        progress: Told how far the download is.
        url: Another address than the published one: a mirror.

    Raises:
        InputError: Unknown name, the server fails or stalls for 30 s, or the file has another size or hash.
    """
    trace = find_any(trace_id)
    path = cache_dir() / trace.path
    kept = path.with_name(f"{path.name}.sha256")
    expected = trace.sha256 or (kept.read_text()[:64] if kept.is_file() else None)
    if path.is_file() and expected and _hash(path) == expected:
        return Fetched(path, expected, trace.sha256 is not None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
            try:
                found = _download(trace, url or trace.url, expected, part.write, progress)
                os.replace(part.name, path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
        if not trace.sha256:
            kept.write_text(f"{found}  {path.name}\n")
    except OSError as error:
        raise InputError(f"{trace_id}: cannot write {path}: {error.strerror or error}") from error
    return Fetched(path, found, trace.sha256 is not None)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(
    trace: NamedTrace, url: str, expected: str | None, write: Callable[[bytes], int], progress: Progress | None
) -> str:
    """Stream `url` into `write`, check size and hash, and return its SHA-256."""
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            announced = response.headers.get("Content-Length", "")
            total = int(announced) if announced.isdigit() else trace.bytes
            while chunk := response.read(CHUNK):
                done += len(chunk)
                if done > (trace.bytes or MAX_BYTES):
                    raise InputError(
                        f"{trace.id}: {url} is larger than the {trace.bytes or MAX_BYTES:,} bytes expected"
                    )
                digest.update(chunk)
                write(chunk)
                if progress:
                    progress(done, total)
    except HTTPError as error:
        raise InputError(f"{trace.id}: {url} answered HTTP {error.code} {error.reason}, expected the file") from error
    except (URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise InputError(f"{trace.id}: {url} cannot be downloaded: {error}") from error
    if total is not None and done != total:
        raise InputError(f"{trace.id}: {url} ended after {done:,} bytes, expected {total:,}")
    if expected and digest.hexdigest() != expected:
        raise InputError(f"{trace.id}: {url} has SHA-256 {digest.hexdigest()}, expected {expected}")
    return digest.hexdigest()
