"""A design as Compare needs it: its numbers, and how its latencies are distributed. Runs in a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim import metrics
from sim.result import Replication
from sim.run import simulate
from sim.scenario.load import load
from sim.stats import Interval, t_interval
from sim.study.evaluation import Design, Evaluation, silent, told

LATENCIES = ("ttft", "tpot")
SHARES = (0.5, 1, 2, 5, *range(10, 91, 5), 92, 94, 95, 96, 97, 98, 98.5, 99, 99.5, 99.9)
"""Per cent of the answered requests."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A design."""

    evaluation: Evaluation
    quantiles: Mapping[str, tuple[Interval, ...]]
    """By latency: ms at each of SHARES, averaged over the replications; never pooled."""


def compared(design: Design) -> Compared:
    """Simulate a design.

    Raises:
        InputError: it cannot be built.
    """
    loaded = load(Path(design.source), design.settings, design.variant)
    run = simulate(loaded, progress=silent)
    quantiles = {name: _quantiles(run.replications, name) for name in LATENCIES}
    return Compared(told(design, loaded.sha256, run), quantiles)


def _quantiles(replications: tuple[Replication, ...], name: str) -> tuple[Interval, ...]:
    latencies = (metrics.LATENCIES[name](one, metrics.finished(one)) for one in replications)
    rows = [np.percentile(values, SHARES).tolist() for values in latencies if len(values)]
    return tuple(t_interval(column) for column in zip(*rows, strict=True))
