"""A sweep: every design of a study simulated once, whatever happens to workers, and to the sweep itself."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.errors import InputError
from sim.scenario.load import Loaded, load
from sim.study.evaluation import Design, Evaluation, evaluate_loaded
from sim.study.executor import Executor, Failed, attempt
from sim.study.journal import STUDY, Journal, design_key
from sim.study.study import Study
from sim.study.table import Result, parquet
from sim.study.variations import Variation, variations

RESULTS = "results.parquet"

Progress = Callable[[int, int], None]
"""Called with designs that are done and designs in all."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A study that is to be run, checked as far as that goes without simulating."""

    study: Study
    designs: tuple[Variation, ...]
    loaded: tuple[Loaded | Failed, ...]
    keys: tuple[str, ...]
    """Hash of all that a design's numbers depend on; empty for one that cannot be loaded."""

    @property
    def directory(self) -> Path:
        """Return runs/<name>-<8 hex digits of all that the results depend on>."""
        text = json.dumps([self.study.model_dump(mode="json"), self.keys])
        return Path("runs") / f"{self.study.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def prepare(study: Study, source: Path) -> Sweep:
    """Load every design of the study that was read from `source`.

    Raises:
        InputError: none of them can be loaded.
    """
    designs = variations(study, source)
    loaded = [attempt(_load, one) for one in designs]
    _not_all_failed(designs, loaded)
    keys = tuple("" if isinstance(one, Failed) else design_key(one) for one in loaded)
    return Sweep(study, tuple(designs), tuple(loaded), keys)


def run(sweep: Sweep, out: Path, executor: Executor, progress: Progress) -> tuple[Result, ...]:
    """Simulate what is not done yet, write results.parquet, return what each design came to.

    What is done is kept at once in `out`: a later call with the same directory goes on from there, and ends with the
    same bytes in results.parquet. Designs that failed are not kept.

    Raises:
        InputError: `out` cannot be written or is no place for it, or every design failed.
    """
    journal = Journal(out)
    with journal.locked():
        about = {"study": sweep.study.model_dump(mode="json"), "scenario": sweep.designs[0].design.source}
        journal.write(STUDY, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
        results = _simulate(sweep, journal, executor, progress)
        _not_all_failed(sweep.designs, results)
        journal.write(RESULTS, parquet(sweep.designs, results))
    return results


def _simulate(sweep: Sweep, journal: Journal, executor: Executor, progress: Progress) -> tuple[Result, ...]:
    """Return what each design came to; designs that come to the same scenario are simulated once."""
    ended: dict[str, Result] = {}
    left: dict[str, tuple[Design, Loaded]] = {}
    for one, loaded, key in zip(sweep.designs, sweep.loaded, sweep.keys, strict=True):
        if isinstance(loaded, Failed) or key in ended or key in left:
            continue
        if (kept := journal.find(key)) is not None:
            ended[key] = kept
        else:
            left[key] = one.design, loaded
    total, keys = len(ended) + len(left), list(left)
    progress(len(ended), total)
    for task, result in executor.run(_evaluate, list(left.values())):
        if isinstance(result, Evaluation):
            journal.keep(keys[task], result)
        ended[keys[task]] = result
        progress(len(ended), total)
    return tuple(
        loaded if isinstance(loaded, Failed) else ended[key]
        for loaded, key in zip(sweep.loaded, sweep.keys, strict=True)
    )


def _load(one: Variation) -> Loaded:
    """Load a design; a mistake is told without the scenario's name and the settings, which stand beside it."""
    design = one.design
    try:
        return load(Path(design.source), design.settings, design.variant)
    except InputError as error:
        settings = "".join(f" --set {setting}" for setting in design.settings)
        raise InputError(str(error).replace(settings, "", 1).removeprefix(f"{design.source}: ")) from None


def _evaluate(task: tuple[Design, Loaded]) -> Evaluation:
    return evaluate_loaded(*task)


def _not_all_failed(designs: Sequence[Variation], results: Sequence[object]) -> None:
    failed = [one for one in results if isinstance(one, Failed)]
    if len(failed) == len(results):
        more = f" (the first of {len(failed)} designs, which all fail)" if len(failed) > 1 else ""
        raise InputError(f"{designs[0].design.source}: {failed[0].sentence}{more}")
