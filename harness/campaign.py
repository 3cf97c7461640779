"""A campaign: all runs of a plan, one after the other, resumable after a kill at any point."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

from harness import campaign_child as child
from harness import campaign_table as table
from harness.campaign_points import Point, Server, estimated_minutes
from harness.campaign_store import CONSOLE, RESULT, Record, Store
from sim.errors import InputError

ATTEMPTS = 2

OpenServer = Callable[[Server, Path, TextIO], AbstractContextManager[str]]
"""Starts a server, with its log in the given file, and yields its base URL; it holds the lock until it has stopped."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign stands."""

    done: int
    total: int
    minutes_left: float
    """Estimate, scaled by how long the runs of this start took so far against theirs."""
    what: str


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a campaign ended."""

    total: int
    failed: tuple[tuple[str, str], ...]
    """Directory and sentence of every run that failed."""
    results: Path


def run_campaign(
    points: Sequence[Point], out: Path, program: Sequence[str], open_server: OpenServer, report: Report
) -> Ending:
    """Make all runs that are not done yet, each in its own process, and write the table of all.

    A run that fails is tried once more, then recorded, and the campaign goes on. A later start makes only the runs
    that are missing or failed.

    Args:
        points: what to run, in this order.
        out: directory of the campaign.
        program: what the commands are arguments of.
        open_server: starts a server for runs that share one.
        report: told before every run.

    Raises:
        InputError: `out` cannot be written, belongs to another plan, or another campaign is at work there.
    """
    store = Store(out)
    with _terminable(), store.locked() as lock:
        records = [store.find(point) for point in points]
        left = [point for point, record in zip(points, records, strict=True) if record is None or record.failure]
        try:
            with _Runner(store, program, open_server, lock) as runner:
                _make(left, len(points), runner, report)
        finally:
            table.write(points, store)
        ended = [(point, store.find(point)) for point in points]
    failed = tuple((point.place, record.failure) for point, record in ended if record and record.failure)
    return Ending(len(points), failed, out / table.CSV)


def _make(left: list[Point], total: int, runner: "_Runner", report: Report) -> None:
    began, estimated, pace = time.monotonic(), estimated_minutes(left), 1.0
    for i, point in enumerate(left):
        ahead = estimated_minutes(left[i:])
        if i:
            pace = (time.monotonic() - began) / 60 / max(estimated - ahead, 1e-9)
        report(Progress(total - len(left) + i, total, pace * ahead, point.place))
        for attempt in range(ATTEMPTS):
            if not runner.run(point, last=attempt == ATTEMPTS - 1):
                break


class _Runner:
    """Makes runs, and keeps the server that they share."""

    def __init__(self, store: Store, program: Sequence[str], open_server: OpenServer, lock: TextIO) -> None:
        self._store, self._program, self._open, self._lock = store, program, open_server, lock
        self._server: Server | None = None
        self._url = ""
        self._stack = ExitStack()

    def __enter__(self) -> "_Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, point: Point, *, last: bool) -> str:
        """Make one run and return why it failed, or nothing; a failure is recorded if it is the `last` attempt."""
        draft = self._store.draft(point)
        began = time.monotonic()
        failure = self._attempt(point, draft)
        if failure:
            self._close()  # the next attempt gets a server of its own
        if not failure or last:
            self._store.settle(point, draft, Record(failure, round(time.monotonic() - began, 3)))
        return failure

    def _attempt(self, point: Point, draft: Path) -> str:
        try:
            url = self._server_for(point)
        except InputError as error:
            return str(error)
        command = [*self._program, *point.command, *url, "--out", str(draft / RESULT)]
        with self._store.writing():
            return child.run(command, draft / CONSOLE, self._lock, child.timeout_s(point.minutes))

    def _server_for(self, point: Point) -> list[str]:
        if point.server != self._server:
            self._close()
        if point.server is None:
            return []
        if self._server is None:
            log = self._store.out / point.name / "server.log"
            with self._store.writing():
                self._url = self._stack.enter_context(self._open(point.server, log, self._lock))
            self._server = point.server
        return ["--base-url", self._url]

    def _close(self) -> None:
        self._server = None
        self._stack.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """Take TERM (Slurm, Kubernetes) like Ctrl-C: stop the run, keep what is done."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
