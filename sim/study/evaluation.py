"""One design evaluated: a scenario with some keys set, simulated and told in numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.report import measured, summarise, warm_up
from sim.result import Measures, Run
from sim.run import simulate
from sim.scenario.load import Loaded, load


@dataclass(frozen=True, slots=True)
class Design:
    """A variation of a scenario file. Designs of one seed serve the same requests (common random numbers)."""

    source: str
    """Path of the scenario file."""
    settings: tuple[str, ...] = ()
    """As --set takes them, applied in turn: "fleet.0.replicas=3"."""
    variant: str | None = None
    """A name under the file's `scenarios:`."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a design came to."""

    design: Design
    sha256: str
    """Of the resolved scenario."""
    replications: tuple[Measures, ...]
    """Of the whole traffic, keys as in sim/report/measure.py: for paired comparisons."""
    classes: tuple[tuple[Measures, ...], ...]
    """[replication][request class]: good_share and more."""
    summary: dict[str, Any]
    """Summary.to_json(): values with intervals, verdict, bottleneck, warnings."""


def evaluate(design: Design) -> Evaluation:
    """Simulate all replications of a design; takes a second or many, and may run in another process.

    Raises:
        InputError: the design cannot be built, in one sentence.
    """
    return evaluate_loaded(design, load(Path(design.source), design.settings, design.variant))


def evaluate_loaded(design: Design, loaded: Loaded) -> Evaluation:
    """The same of a design that has been loaded."""
    return told(design, loaded.sha256, simulate(loaded, progress=silent))


def told(design: Design, sha256: str, run: Run) -> Evaluation:
    """What a run of a design came to; `sha256`: of the resolved scenario."""
    parts = [measured(run, one, warm_up(run, one)) for one in run.replications]
    return Evaluation(
        design,
        sha256,
        tuple(part.whole for part in parts),
        tuple(part.classes for part in parts),
        summarise(run).to_json(),
    )


def silent(done: int, of: int) -> None:
    """A study tells its own progress."""
