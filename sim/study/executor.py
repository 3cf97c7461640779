"""Where the tasks of a study run: one seam, and processes of this machine behind it."""

import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from typing import Protocol, Self, TypeVar

from sim.errors import InputError

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 2
"""How often a task is tried again after its worker died."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task without a result."""

    sentence: str
    bad_input: bool = False
    """It is the task's own mistake, and would fail again."""


class Executor(Protocol):
    """Runs tasks, as many at a time as there is room for."""

    def run(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Failed]]:
        """Yield (number of the task, its result) as they end, in any order; stops the rest when it is closed.

        `work` is a function of a module, and tasks and results can be pickled. A worker that dies costs its task one
        of `RETRIES` retries; the others go on.
        """
        ...


def attempt(work: Callable[[T], R], task: T) -> R | Failed:
    """Do one task; whatever goes wrong with it concerns no other."""
    try:
        return work(task)
    except InputError as error:
        return Failed(str(error), bad_input=True)
    except MemoryError:
        return Failed("not enough memory for it on this machine, expected fewer requests, or fewer workers")
    except Exception as error:  # a defect costs its design, not the study
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(f"internal error, {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalExecutor:
    """Processes of this machine, each with one task at a time, so that it is known whose worker died.

    Inside `with`, they stay from one run to the next: to start one takes longer than a small simulation.
    """

    def __init__(self, workers: int | None = None) -> None:
        """Take the number of processes; default as many as there are cores."""
        self._size = workers or cores()
        self._staying: dict[Connection, _Worker] | None = None

    def __enter__(self) -> Self:
        """Keep processes from here on."""
        self._staying = {}
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        for worker in (self._staying or {}).values():
            worker.stop()
        self._staying = None

    def run(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Failed]]:
        """See `Executor`."""
        waiting = deque(range(len(tasks)))
        deaths = [0] * len(tasks)
        workers = {} if self._staying is None else self._staying
        busy: dict[Connection, int] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self._size:
                    worker = next((one for pipe, one in workers.items() if pipe not in busy), None) or _Worker()
                    workers[worker.pipe] = worker
                    busy[worker.pipe] = waiting.popleft()
                    worker.send(work, tasks[busy[worker.pipe]])
                for pipe in [one for one in wait(list(busy)) if isinstance(one, Connection)]:
                    number = busy.pop(pipe)
                    try:
                        result: R | Failed = pipe.recv()
                    except (EOFError, OSError):
                        deaths[number] += 1
                        how = workers.pop(pipe).bury()
                        if deaths[number] <= RETRIES:
                            waiting.appendleft(number)
                            continue
                        result = Failed(f"its worker died {deaths[number]} times, the last time {how}")
                    yield number, result
        finally:
            for pipe in list(workers):
                if self._staying is None or pipe in busy:
                    workers.pop(pipe).stop()


class _Worker:
    """A process that does one task after the other. It inherits none of our threads and locks (spawn)."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # it unblocks Ctrl-C when it starts
        with _ctrl_c_is_ours():
            self._process.start()
        theirs.close()  # so that its death ends the pipe

    def send(self, work: Callable[[T], R], task: T) -> None:
        """Hand it a task."""
        with suppress(OSError):  # if it is dead, recv() will tell
            self.pipe.send((work, task))

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def bury(self) -> str:
        """Say how a process ended whose pipe has ended."""
        self._process.join(timeout=1)  # which is a moment later
        code = self._process.exitcode
        self.stop()
        if code is None or code >= 0:
            return f"with exit code {code}"
        name = signal.Signals(-code).name
        return f"by {name}" + (" (perhaps for want of memory: expected fewer workers)" if name == "SIGKILL" else "")


def _serve(pipe: Connection) -> None:
    """What a worker does."""
    Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            work, task = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(work, task))


def _die_with_parent() -> None:
    """A study that is killed leaves no worker behind."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _ctrl_c_is_ours() -> Iterator[None]:
    """What starts meanwhile does not hear Ctrl-C, which a terminal sends to all: we stop it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
