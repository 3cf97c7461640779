"""Files of the app's scenarios and uploaded traces, named by their content, in a folder that goes with the server."""

import hashlib
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from sim.errors import InputError

MOST_FILES = 5_000
MOST_BYTES = 1 << 30
_FILES = (".csv", ".gz", ".json", ".jsonl", ".yaml", ".yml", ".parquet")


class Store:
    """A folder; what was not used for longest goes first when there is too much."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="trilemma-ui-")
        self.root = Path(self._folder.name)

    def put(self, content: bytes, name: str, beside: Path | None = None) -> Path:
        """Keep a file; a scenario lies beside the trace that it names.

        Args:
            content: what is in it.
            name: its name, for a trace; a scenario's begins with its hash.
            beside: a file that was put before.
        """
        digest = hashlib.sha256(content).hexdigest()[:16]
        folder = self.root / (f"trace-{digest}" if beside is None else beside.parent.name)
        path = folder / name if beside is None else folder / f"{digest}-{name}"
        if path.exists():
            os.utime(path)
            return path
        folder.mkdir(exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
        partial.write_bytes(content)
        partial.rename(path)
        self._prune(keep=path)
        return path

    def scenario(self, text: str, trace: Path | None) -> Path:
        """Keep a scenario."""
        return self.put(text.encode(), "scenario.yaml", trace or self.root / "scenarios" / "-")

    def find_trace(self, name: str) -> Path | None:
        """The uploaded trace of a link, "HASH/NAME", if this server has it."""
        match = re.fullmatch(r"([0-9a-f]{16})/([A-Za-z0-9_-][A-Za-z0-9_.-]{0,99})", name)
        path = self.root / f"trace-{match[1]}" / match[2] if match else None
        return path if path is not None and path.is_file() else None

    def _prune(self, keep: Path) -> None:
        files = sorted((path for path in self.root.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in files)
        while files and (len(files) > MOST_FILES or size > MOST_BYTES):
            oldest = files.pop(0)
            if oldest != keep:
                size -= oldest.stat().st_size
                oldest.unlink(missing_ok=True)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The server's one store."""
    return Store()


def safe_name(name: str) -> str:
    """A name for an uploaded file that is nothing but a name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", Path(name).name).lstrip(".")[-100:] or "trace"


def refuse_paths(data: object, trace: Path | None, key: str = "") -> None:
    """Refuse a scenario from elsewhere that names files: this machine's are none of its business.

    Raises:
        InputError: it names a file that is not the uploaded trace.
    """
    if isinstance(data, dict):
        for name, value in data.items():
            refuse_paths(value, trace, f"{key}.{name}" if key else str(name))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            refuse_paths(value, trace, f"{key}.{index}")
    elif isinstance(data, str) and _is_file(key.rpartition(".")[2], data) and (trace is None or data != trace.name):
        raise InputError(f"{key}: found the file {data[:80]!r}, expected a name of the catalogue or an uploaded trace")


def _is_file(key: str, value: str) -> bool:
    named = key in {"model", "table", "calibration", "trace"}
    return key == "path" or (named and ("/" in value or "\\" in value or value.lower().endswith(_FILES)))
