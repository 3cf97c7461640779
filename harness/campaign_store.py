"""What of a campaign is done: the finished directories, and nothing else.

A run works in a draft beside its place and is renamed into it when all is written, its record (done.json) last. So a
directory is whole or absent. What is damaged all the same (a lost disk, a bucket that was not flushed) is found by the
sizes in the record, set aside and run again.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.campaign_points import Point
from sim.errors import InputError

RECORD = "done.json"
RESULT = "result"
"""The folder that the command writes."""
CONSOLE = "console.log"
STOPPING_S = 120.0
"""How long the last run of a killed campaign may take to stop its server."""


@dataclass(frozen=True, slots=True)
class Record:
    """How a run ended."""

    failure: str
    """The sentence of a run that failed; empty if it did not."""
    seconds: float


class Store:
    """The directory of a campaign."""

    def __init__(self, out: Path) -> None:
        """Take the directory; it need not exist."""
        self.out = out

    @contextmanager
    def locked(self) -> Iterator[TextIO]:
        """Keep other campaigns out, and yield the file whose lock a run inherits until it has ended.

        Raises:
            InputError: another campaign is at work here, or the last one's run does not end.
        """
        with self.writing():
            self.out.mkdir(parents=True, exist_ok=True)
            campaign, child = ((self.out / name).open("a") for name in (".campaign.lock", ".run.lock"))
        with campaign, child:
            if not self._lock(campaign, 0):
                raise InputError(f"--out {self.out}: another campaign is at work here, expected one at a time")
            if not self._lock(child, STOPPING_S):
                raise InputError(
                    f"--out {self.out}: the last run of a campaign that was killed is still at work here, "
                    f"expected it to end within {STOPPING_S:.0f} s"
                )
            yield child

    def _lock(self, file: TextIO, patience_s: float) -> bool:
        until = time.monotonic() + patience_s
        while True:
            try:
                with self.writing():
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    return False
                time.sleep(0.1)
            else:
                return True

    def find(self, point: Point) -> Record | None:
        """Return how a run ended, None if it is still to be made (or damaged: then it is set aside).

        Raises:
            InputError: its directory holds the run of another plan.
        """
        place = self.out / point.place
        if not place.exists():
            return None
        try:
            about = json.loads((place / RECORD).read_text())
            sizes = {name: (place / name).stat().st_size for name in about["files"]}
            record = Record(str(about["failure"]), float(about["seconds"]))
            whole = sizes == about["files"]
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            with self.writing():
                place.rename(_free(place.with_name(f"{place.name}.damaged")))
            return None
        if about["run"] != point.identity:
            raise InputError(
                f"--out {self.out}: {point.place} holds a run of another plan or scenario, expected a directory of "
                "this one or a free name"
            )
        return record

    def draft(self, point: Point) -> Path:
        """Return an empty directory for a run to work in."""
        draft = (self.out / point.place).with_name(f".{point.repeat}.draft")
        with self.writing():
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
        return draft

    def settle(self, point: Point, draft: Path, record: Record) -> None:
        """Make a draft the run's directory; an earlier failure there gives way."""
        place = self.out / point.place
        with self.writing():
            found = sorted(path for path in draft.rglob("*") if path.is_file())
            files = {path.relative_to(draft).as_posix(): path.stat().st_size for path in found}
            about: dict[str, Any] = {"run": point.identity, "failure": record.failure, "seconds": record.seconds}
            self.write(draft / RECORD, json.dumps(about | {"files": files}, indent=1) + "\n")
            shutil.rmtree(place, ignore_errors=True)
            draft.rename(place)

    def write(self, path: Path, text: str) -> None:
        """Write a file through a draft beside it."""
        draft = path.with_name(f".{path.name}.draft")
        with self.writing():
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say in one sentence that the directory cannot be written (a full disk, for one)."""
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise InputError(
                f"--out {self.out}: cannot be written ({os.strerror(error.errno or 0)}), expected a writable place "
                "with room; what is done is kept"
            ) from None


def _free(place: Path) -> Path:
    names = (place.with_name(f"{place.name}{suffix}") for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(name for name in names if not name.exists())
