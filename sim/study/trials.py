"""The designs that a search has tried, as trials of an Optuna study: on a disk, or in a database for many machines."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.study.space import Dimension, Point, Search, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

_KEY, _TOLD, _FAILURE = "key", "told", "failure"
_NO_SUCH = 1.0
"""What Optuna's samplers are told that a design which cannot be built misses the SLO by."""

ABANDONED = timedelta(hours=1)
"""A trial that has run for so long on a shared storage is taken for one whose machine is gone: it may be tried again.
If it is not gone after all, that costs no more than a design simulated twice."""

_PAUSES_S = (0.2, 0.5, 1.0)
"""Before a database is asked again: two that lay out the same new one get into each other's way."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A design that was tried."""

    number: int
    point: Point
    key: str
    """Of its numbers; empty if it is no scenario."""
    told: dict[str, Any] | None
    """See sim/study/assess.py."""
    failure: str | None
    """Why it cannot be built: one sentence."""

    @property
    def feasible(self) -> bool:
        """It keeps the SLO."""
        return self.told is not None and self.told["verdict"] in (None, "met")


class Trials:
    """Trials of one search, shared with all others that use the same storage and search file."""

    def __init__(self, search: Search, space: Space, name: str, url: str, *, alone: bool) -> None:
        """Open the study, or begin it.

        Args:
            search: what is searched for.
            space: all designs.
            name: of the study in the storage.
            url: of the storage, as Optuna takes it.
            alone: nobody else uses it, so what is still marked as running was killed.

        Raises:
            InputError: Optuna is not installed, or the storage cannot be used.
        """
        self._optuna = _optuna()
        self._space = space
        self._begun: dict[int, Trial] = {}
        self._distributions = {one.key: _distribution(self._optuna, one) for one in space.dimensions}
        self._sampler = _sampler(self._optuna, search)
        directions = ["minimize" if way == "minimise" else "maximize" for way in search.objectives.values()]
        self._study = _open(self._optuna, name, url, directions)
        if alone:
            for trial in self._of("RUNNING"):
                self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def tried(self) -> list[Tried]:
        """Return the designs that have come to something, each once, in the order of their trials."""
        found: dict[Point, Tried] = {}
        for one in self._of("COMPLETE", "PRUNED"):
            point, attributes = self._point(one), one.user_attrs
            if _KEY in attributes and point not in found:
                told, failure = attributes.get(_TOLD), attributes.get(_FAILURE)
                found[point] = Tried(one.number, point, attributes[_KEY], told, failure)
        return list(found.values())

    def open(self) -> list[Point]:
        """Return the designs that are being tried now, here or on other machines."""
        return [self._point(one) for one in self._alive()]

    def begin(self, point: Point | None) -> tuple[int, Point]:
        """Begin a trial of a design, None: of what Optuna's sampler suggests; return its number and its design."""
        self._study.sampler = self._sampler
        if point is not None:  # no queue: others, or one that was killed, would get in between
            chosen = dict(zip(self._space.keys, point, strict=True))
            self._study.sampler = self._optuna.samplers.PartialFixedSampler(chosen, self._sampler)
        trial = self._study.ask(self._distributions)
        self._begun[trial.number] = trial
        return trial.number, self._point(trial)

    def contested(self, number: int) -> bool:
        """Whether another has begun the same design just before: two that think at the same time think the same."""
        point = self._point(self._begun[number])
        others = [*self._alive(), *self._of("COMPLETE", "PRUNED")]
        return any(one.number < number and self._point(one) == point for one in others)

    def drop(self, number: int) -> None:
        """Leave a trial: it comes to nothing."""
        self._study.tell(self._begun.pop(number), state=self._optuna.trial.TrialState.FAIL)

    def end(self, number: int, key: str, told: dict[str, Any] | None, failure: str | None, *, for_good: bool) -> None:
        """Write down what a trial came to; `for_good`: it would come to the same again."""
        states = self._optuna.trial.TrialState
        trial = self._begun.pop(number)
        trial.set_user_attr(_KEY, key)
        if told is None:
            trial.set_user_attr(_FAILURE, failure)
            trial.set_constraint("slo", _NO_SUCH)
            self._study.tell(trial, state=states.PRUNED if for_good else states.FAIL)
            return
        trial.set_user_attr(_TOLD, told)
        trial.set_constraint("slo", told["margin"])
        values = means(told)
        if None in values:
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, [value for value in values if value is not None])

    def _alive(self) -> Sequence["FrozenTrial"]:
        dead = datetime.now() - ABANDONED
        return [one for one in self._of("RUNNING") if one.datetime_start and one.datetime_start > dead]

    def _of(self, *states: str) -> Sequence["FrozenTrial"]:
        wanted = tuple(self._optuna.trial.TrialState[state] for state in states)
        found: Sequence[FrozenTrial] = self._study.get_trials(deepcopy=False, states=wanted)
        return found

    def _point(self, trial: "Trial | FrozenTrial") -> Point:
        return tuple(trial.params.get(key, "") for key in self._space.keys)


def _open(optuna: ModuleType, name: str, url: str, directions: Sequence[str]) -> "Study":
    for pause in (*_PAUSES_S, None):
        try:
            found: Study = optuna.create_study(study_name=name, storage=url, directions=directions, load_if_exists=True)
        except Exception as error:  # Optuna passes on what the database's own library raises
            if pause is None or not hasattr(error, "orig"):  # which the database has not said
                raise InputError(f"--storage {url}: cannot be used ({_first_line(error)})") from None
            time.sleep(pause)
        else:
            break
    return found


def _sampler(optuna: ModuleType, search: Search) -> "BaseSampler":
    made: BaseSampler
    match search.sampler:
        case "tpe":
            made = optuna.samplers.TPESampler(seed=search.search_seed, multivariate=True)
        case "nsga2":
            made = optuna.samplers.NSGAIISampler(seed=search.search_seed)
        case _:
            made = optuna.samplers.RandomSampler(seed=search.search_seed)  # never asked: designs are handed to it
    return made


def _distribution(optuna: ModuleType, one: Dimension) -> "BaseDistribution":
    made: BaseDistribution
    kinds = optuna.distributions
    if one.levels is not None and one.domain.choices is not None:
        made = kinds.CategoricalDistribution(one.levels)
    else:
        low, high = one.domain.bounds
        if one.domain.whole:
            made = kinds.IntDistribution(int(low), int(high), one.domain.log, int(one.domain.step or 1))
        else:
            made = kinds.FloatDistribution(float(low), float(high), one.domain.log, one.domain.step)
    return made


def means(told: dict[str, Any]) -> list[float | None]:
    """Return each objective's mean over the replications; None where it lacks in one of them."""
    return [
        None if not values or None in values else float(sum(values) / len(values))
        for values in told["objectives"].values()
    ]


def _optuna() -> ModuleType:
    try:
        optuna = import_module("optuna")  # an extra, and slow to import
    except ImportError:
        raise InputError('optuna is not installed, which search needs: pip install "trilemma[search]"') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # multivariate TPE, fixed points
    return optuna


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
