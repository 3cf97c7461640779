"""Simulations for pages: done by worker processes, shared by all sessions, remembered by what was asked.

A page declares the tasks whose answers it wants, each time it is drawn; what it no longer declares is dropped. So a
slider that moves on abandons the simulations of where it was. Sessions take turns.
"""

import pickle
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from sim.scenario.load import Loaded, load
from sim.study.evaluation import Design, evaluate
from ui.app.limits import check_size

REMEMBERED = 2000
"""Answers kept; one has some 50 kB."""
LIMIT_S = 300.0
"""Longest time that one task may take."""
GONE_S = 20.0
"""A session that has not asked for so long has closed its page."""
GRACE_S = 1.0
"""A task nobody asks for is not broken off earlier: between two drawings of a page nobody asks."""


@dataclass(frozen=True, slots=True)
class Task:
    """A call, and the name under which its answer is remembered."""

    key: Hashable
    function: Callable[..., Any]
    """Of a module, so that another process finds it."""
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """How far a task has come."""

    state: Literal["waiting", "running", "done", "failed"]
    value: Any = None
    problem: str = ""
    """One sentence, of a task that failed."""


def evaluation(design: Design) -> Task:
    """The task of simulating a design.

    Raises:
        InputError: the design is no scenario, or too large for the app.
    """
    return task(evaluate, design)


def task(function: Callable[..., Any], design: Design, *args: Hashable) -> Task:
    """Name `function(design, *args)` by the scenario's hash (the seed is part of it), the arguments and the version.

    Raises:
        InputError: as `evaluation`.
    """
    loaded = resolve(design)
    name = f"{function.__module__}.{function.__qualname__}"
    return Task((name, loaded.sha256, str(loaded.base_dir), args, version("trilemma")), function, (design, *args))


@lru_cache(maxsize=5000)
def resolve(design: Design) -> Loaded:
    """Read a design's scenario; files of the app never change once they are written.

    Raises:
        InputError: as `evaluation`.
    """
    loaded = load(Path(design.source), design.settings, design.variant)
    check_size(loaded.scenario)
    return loaded


class Workshop:
    """Worker processes, and who wants what of them."""

    def __init__(self, workers: int) -> None:
        self._lock = threading.Condition()
        self._wanted: dict[str, dict[str, tuple[float, list[Task]]]] = {}
        """By session and part of its page: when it asked, and for what."""
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._running: dict[Hashable, _Bench] = {}
        self._turns: list[str] = []
        """Sessions, the one served longest ago first."""
        self._benches = [_Bench(self) for _ in range(workers)]
        threading.Thread(target=self._tidy_up, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether some worker has loaded the simulator."""
        return any(bench.ready for bench in self._benches)

    def ask(self, session: str, part: str, tasks: Sequence[Task], *, start: bool = True) -> list[Answer]:
        """Say what a part of a session's page wants, in the order of urgency, in place of what it wanted before.

        Args:
            session: whose page it is.
            part: a name, where a page asks in several places.
            tasks: the same task may be wanted by many.
            start: False to take what is known and start nothing, as after Cancel.
        """
        with self._lock:
            if session not in self._turns:
                self._turns.insert(0, session)
            open_ = [task for task in tasks if task.key not in self._answers] if start else []
            self._wanted.setdefault(session, {})[part] = (time.monotonic(), open_)
            self._make_room(session)
            self._lock.notify_all()
            return [self._answer(task) for task in tasks]

    def waiting(self) -> int:
        """Sessions that have not got all their answers."""
        with self._lock:
            return sum(next(self._open(session), None) is not None for session in self._wanted)

    def _answer(self, task: Task) -> Answer:
        if task.key in self._answers:
            self._answers.move_to_end(task.key)
            return self._answers[task.key]
        return Answer("running" if task.key in self._running else "waiting")

    def take(self, bench: "_Bench") -> Task:
        """Wait for the next task: of the sessions in turn, each one's most urgent."""
        with self._lock:
            while True:
                for session in self._turns:
                    if (found := next(self._open(session), None)) is not None:
                        self._turns.remove(session)
                        self._turns.append(session)
                        bench.begin(session)
                        self._running[found.key] = bench
                        return found
                self._lock.wait()

    def put(self, task: Task, answer: Answer | None) -> None:
        """Take the answer to a task, None if it was broken off."""
        with self._lock:
            self._running.pop(task.key, None)
            if answer is not None:
                self._answers[task.key] = answer
                while len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
            self._lock.notify_all()

    def _open(self, session: str) -> Iterator[Task]:
        for _, tasks in self._wanted.get(session, {}).values():
            for one in tasks:
                if one.key not in self._answers and one.key not in self._running:
                    yield one

    def _make_room(self, session: str) -> None:
        """Break off the newest task of a session that has several going, if this one has none and no worker is idle."""
        mine = any(bench.session == session for bench in self._running.values())
        if mine or len(self._running) < len(self._benches) or next(self._open(session), None) is None:
            return
        holders = [bench.session for bench in self._running.values()]
        greedy = [bench for bench in self._running.values() if holders.count(bench.session) > 1]
        if greedy:
            max(greedy, key=lambda bench: bench.started).break_off()

    def _tidy_up(self) -> None:
        """Once a second: forget sessions that have gone, break off what nobody wants and what takes too long."""
        while True:
            time.sleep(1.0)
            now = time.monotonic()
            with self._lock:
                for session, parts in list(self._wanted.items()):
                    for part, (asked, _) in list(parts.items()):
                        if now - asked > GONE_S:
                            del parts[part]
                    if not parts:
                        del self._wanted[session]
                        self._turns.remove(session)
                wanted = {one.key for parts in self._wanted.values() for _, tasks in parts.values() for one in tasks}
                for key, bench in self._running.items():
                    if now - bench.started > LIMIT_S:
                        bench.break_off(
                            f"The simulation took more than {LIMIT_S:.0f} s, which is the app's limit: "
                            "expected fewer requests or replicas, or `trilemma run` in a terminal."
                        )
                    elif key not in wanted and now - bench.started > GRACE_S:
                        bench.break_off()


class _Bench:
    """A worker process and the thread that waits for it."""

    def __init__(self, workshop: Workshop) -> None:
        self.session = ""
        self.started = 0.0
        self.ready = False
        self._workshop = workshop
        self._broken_off: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def begin(self, session: str) -> None:
        """A task of this session starts."""
        self.session, self.started, self._broken_off = session, time.monotonic(), None

    def break_off(self, problem: str = "") -> None:
        """Kill the process over its task; with a problem, that is the task's answer."""
        if self._broken_off is None and self._process is not None:
            self._broken_off = problem
            self._process.kill()

    def _work(self) -> None:
        while True:
            self._start()
            while self._process is not None:
                one = self._workshop.take(self)
                self._workshop.put(one, self._do(one))
                if self._broken_off is not None or self._process.poll() is not None:
                    self._process.kill()
                    self._process.wait()
                    self._process, self.ready = None, False

    def _do(self, one: Task) -> Answer | None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            pickle.dump((one.function, one.args), process.stdin)
            process.stdin.flush()
            state, value = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()
            process.wait()
            if self._broken_off is None:
                return Answer("failed", problem="The simulation's process died: not enough memory on this machine?")
            return Answer("failed", problem=self._broken_off) if self._broken_off else None
        return Answer("done", value) if state == "done" else Answer("failed", problem=str(value))

    def _start(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "ui.app.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the server
        )
        try:
            pickle.load(process.stdout)  # type: ignore[arg-type]
        except EOFError:
            time.sleep(5.0)
            return
        self._process, self.ready = process, True


@st.cache_resource(show_spinner=False)
def workshop() -> Workshop:
    """The server's one workshop: a process more than cores, so that somebody new need not wait for a core."""
    return Workshop((cpu_count() or 1) + 1)
