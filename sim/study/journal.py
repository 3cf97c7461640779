"""What of a study is done: one file a finished design, and nothing else.

A file is written beside its name and renamed, so it is whole or absent; what is damaged all the same is made again.
It is named by a hash of all that its numbers depend on, so a changed scenario, trace, calibration or version of the
simulator finds no old numbers, and a study that has grown finds all that it had.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import sim
from sim.errors import InputError
from sim.scenario.load import Loaded
from sim.study.evaluation import Design, Evaluation

STUDY = "study.json"
_FOLDER = "designs"


@cache
def code_sha256() -> str:
    """Hash of the simulator: its source, catalogue and calibrations."""
    root = Path(sim.__file__).parent
    files = sorted(path for path in root.rglob("*") if path.suffix in {".py", ".yaml", ".csv"})
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(root)
        if name.parts[0] != "shipped":  # scenarios, as installed: a design knows its own
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def design_key(loaded: Loaded) -> str:
    """Hash of all that a design's numbers depend on: the scenario, the files that it names, the simulator."""
    digest = hashlib.sha256(f"{code_sha256()} {loaded.sha256}".encode())
    for text in sorted(set(_texts(loaded.scenario.model_dump(mode="json")))):
        path = loaded.base_dir / text
        if _is_file(path):
            digest.update(f"\0{text}\0{_file_sha256(path, path.stat().st_mtime_ns)}".encode())
    return digest.hexdigest()


class Journal:
    """The directory of a study."""

    def __init__(self, out: Path) -> None:
        """Take the directory; it need not exist."""
        self.out = out

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other sweeps out, and clear away what a killed one left half written.

        Raises:
            InputError: the place holds something else, cannot be written, or another sweep is at work here.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"--out {self.out}: found a file, expected a directory or a name that is free")
        if self.out.is_dir() and not self._ours():
            raise InputError(
                f"--out {self.out}: found a directory that holds no study, expected a study, an empty one or a free "
                "name"
            )
        with self._writing():
            (self.out / _FOLDER).mkdir(parents=True, exist_ok=True)
            lock = (self.out / ".lock").open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"--out {self.out}: another sweep is at work here, expected one at a time") from None
            with self._writing():
                for draft in [*self.out.glob(".*.draft"), *(self.out / _FOLDER).glob(".*.draft")]:
                    draft.unlink()
            yield

    def _ours(self) -> bool:
        return {path.name for path in self.out.iterdir()} <= {".lock", _FOLDER} or (self.out / STUDY).is_file()

    def find(self, key: str) -> Evaluation | None:
        """Return what a design came to; None if it is still to be simulated, or its file is damaged."""
        try:
            about: dict[str, Any] = json.loads((self.out / _FOLDER / f"{key}.json").read_text())
            return Evaluation(
                Design(**{**about["design"], "settings": tuple(about["design"]["settings"])}),
                about["sha256"],
                tuple(about["replications"]),
                tuple(map(tuple, about["classes"])),
                about["summary"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: str, evaluation: Evaluation) -> None:
        """Write down what a design came to.

        Raises:
            InputError: the directory cannot be written.
        """
        self.write(f"{_FOLDER}/{key}.json", json.dumps(asdict(evaluation), allow_nan=False, indent=1).encode())

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the study, whole or not at all.

        Raises:
            InputError: the directory cannot be written.
        """
        path = self.out / name
        draft = path.with_name(f".{path.name}.draft")
        with self._writing():
            draft.write_bytes(data)
            draft.replace(path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"--out {self.out}: cannot be written ({os.strerror(error.errno or 0)}), expected a writable place "
                "with room; what is done is kept"
            ) from None


def _texts(data: object) -> Iterator[str]:
    match data:
        case str():
            yield data
        case dict():
            for value in data.values():
                yield from _texts(value)
        case list():
            for value in data:
                yield from _texts(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a long text is no file's name
        return False


@cache
def _file_sha256(path: Path, _changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
