"""A search: designs of a space tried one after the other, each where most is to be gained, until so many are tried."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.scenario.load import load
from sim.shipped import find_scenario
from sim.study.assess import Assessment, Task, assess, key_of
from sim.study.evaluation import Design, Evaluation
from sim.study.executor import Executor, Failed
from sim.study.found import Found, found
from sim.study.journal import STUDY, Journal, design_key
from sim.study.propose import Proposer
from sim.study.search_table import parquet
from sim.study.space import Point, Search, Space
from sim.study.trials import Trials

RESULTS = "results.parquet"

_VAIN = 100
"""So often in a row Optuna's samplers may suggest what was tried, before a design is proposed to them."""

Progress = Callable[[int, int], None]
"""Called with designs that are tried and designs in all."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A search that is to be run."""

    search: Search
    space: Space
    source: Path
    """The scenario."""
    name: str
    """<name>-<8 hex digits of all that decides over designs and their numbers>."""

    @property
    def directory(self) -> Path:
        """Return where it is kept unless told otherwise."""
        return Path("runs") / self.name

    def design(self, point: Point) -> Design:
        """Return the design at a point of the space."""
        return Design(str(self.source), self.space.settings(point), self.search.variant)


def prepare(search: Search, source: Path) -> Prepared:
    """Check a search that was read from `source` as far as that goes without simulating.

    Raises:
        InputError: the scenario cannot be loaded with what holds for all designs.
    """
    beside = source.parent / search.scenario
    scenario = beside if beside.is_file() or Path(search.scenario).suffix else find_scenario(search.scenario)
    space = Space(search)
    base = design_key(load(scenario, space.settings(None), search.variant))
    about = search.model_dump(mode="json", exclude={"description", "trials", "near", "sampler", "search_seed"})
    digest = hashlib.sha256(json.dumps([about, base]).encode()).hexdigest()[:8]
    return Prepared(search, space, scenario, f"{search.name}-{digest}")


def run(
    prepared: Prepared,
    out: Path,
    executor: Executor,
    progress: Progress,
    *,
    trials: int | None = None,
    storage: str | None = None,
) -> Found:
    """Try designs until so many are tried in all, write results.parquet, return what was tried.

    Everything is kept at once: a later call goes on from there. A design is not simulated again if it was tried, here
    or by others on the same storage, or if its numbers lie in `out`.

    Args:
        prepared: the search.
        out: its directory.
        executor: runs simulations.
        progress: is told how far it is.
        trials: designs to try in all; default as the search says.
        storage: URL of an Optuna storage that several machines share; default a file in `out`.

    Raises:
        InputError: `out` or the storage cannot be used, an objective is unknown, or no design can be built.
    """
    journal = Journal(out)
    with journal.locked():
        about = {"search": prepared.search.model_dump(mode="json"), "scenario": str(prepared.source)}
        journal.write(STUDY, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
        url = storage or f"sqlite:///{(out / 'trials.db').resolve()}"
        store = Trials(prepared.search, prepared.space, prepared.name, url, alone=storage is None)
        work = _Work(prepared, store, journal, trials or prepared.search.trials, progress)
        for number, assessment in executor.run(_assess, work):
            work.done(number, assessment)
        result = found(prepared.search, store.tried())
        if result.tried and all(one.told is None for one in result.tried):
            raise InputError(f"{result.tried[0].failure} (no design of {len(result.tried)} can be built)")
        journal.write(RESULTS, parquet(result, prepared.space))
    return result


@dataclass(frozen=True, slots=True)
class _Begun:
    """A trial whose design is being simulated."""

    number: int
    point: Point
    key: str
    task: Task


class _Work(Sequence[Task | None]):
    """Tasks that are thought of when they are asked for, so that each rests on all that is known then."""

    def __init__(self, prepared: Prepared, store: Trials, journal: Journal, total: int, progress: Progress) -> None:
        self._prepared, self._store, self._journal = prepared, store, journal
        self._proposer = Proposer(prepared.search, prepared.space)
        self._begun: dict[int, _Begun | None] = {}
        """By number of the task; None where no design is left."""
        self._ended: set[int] = set()
        self._broken: set[Point] = set()
        """Designs whose simulation broke off: not tried again in this run."""
        self._total, self._progress = total, progress
        self._length = max(total - len(store.tried()), 0)
        progress(total - self._length, total)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Task | None:  # type: ignore[override]  # nobody slices it
        if number not in self._begun:
            self._begun[number] = self._next()
        begun = self._begun[number]
        return None if begun is None else begun.task

    def done(self, number: int, result: Assessment | Failed | None) -> None:
        """Write down what a task came to."""
        begun = self._begun[number]
        self._ended.add(number)
        if begun is None or result is None:
            return
        if isinstance(result, Failed):
            if not result.bad_input:
                self._broken.add(begun.point)
            said = _without_settings(result.sentence, begun.task.design)
            self._store.end(begun.number, begun.key, None, said, for_good=result.bad_input)
        else:
            for key, evaluation in result.evaluations:
                self._journal.keep(key, evaluation)
            self._store.end(begun.number, begun.key, result.told, None, for_good=True)
        self._tell()

    def _next(self) -> _Begun | None:
        """Begin trials until one must be simulated."""
        search = self._prepared.search
        while len(self._store.tried()) + self._running < self._total and (trial := self._begin()) is not None:
            number, point = trial
            task = Task(self._prepared.design(point), tuple(search.objectives), search.second_model)
            try:
                key = key_of(task.design)
                told = self._known(key, task)
            except InputError as error:
                said = _without_settings(str(error), task.design)
                self._store.end(number, "", None, said, for_good=True)
            else:
                if told is None:
                    return _Begun(number, point, key, task)
                self._store.end(number, key, told, None, for_good=True)
            self._tell()
        return None

    @property
    def _running(self) -> int:
        return sum(begun is not None and number not in self._ended for number, begun in self._begun.items())

    def _begin(self) -> tuple[int, Point] | None:
        """Begin the trial of a design that is not taken; None: all are."""
        if self._prepared.search.sampler != "surrogate":
            taken = self._taken()
            for _ in range(_VAIN):
                number, point = self._store.begin(None)
                if point not in taken:
                    return number, point
                self._store.drop(number)
        while (proposed := self._proposer.propose(self._store.tried(), self._taken())) is not None:
            number, point = self._store.begin(proposed)
            if not self._store.contested(number):
                return number, point
            self._store.drop(number)
        return None

    def _taken(self) -> set[Point]:
        return {one.point for one in self._store.tried()} | set(self._store.open()) | self._broken

    def _known(self, key: str, task: Task) -> dict[str, Any] | None:
        """What the design came to where another one is the same scenario, or where its numbers are kept."""
        same = next((one.told for one in self._store.tried() if one.key == key and one.told), None)
        if same is not None or self._journal.find(key) is None:
            return same
        try:
            return assess(task, self._kept).told
        except _NotKeptError:
            return None

    def _kept(self, design: Design) -> Evaluation:
        found = self._journal.find(key_of(design))
        if found is None:
            raise _NotKeptError
        return found

    def _tell(self) -> None:
        self._progress(min(len(self._store.tried()), self._total), self._total)


class _NotKeptError(Exception):
    """Something of a design must be simulated."""


def _assess(task: Task | None) -> Assessment | None:
    return None if task is None else assess(task)


def _without_settings(said: str, design: Design) -> str:
    """Leave out of a sentence the settings, which stand beside it wherever it is shown."""
    return said.replace("".join(f" --set {setting}" for setting in design.settings), "", 1)
