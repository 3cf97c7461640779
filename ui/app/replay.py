"""One replication as an operator would see it: in bins and a few rows, whatever the number of its requests."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.deployment import deploy
from sim.places import places
from sim.report.objective import Objective, class_objectives
from sim.result import Outcome, ReplicaInfo, Replication
from sim.run import serve
from sim.scenario.load import load
from sim.study.evaluation import Design
from sim.units import NS_PER_S
from sim.workload.draw import draw
from ui.lives import Lives, lives
from ui.panels import Bins, Panel, cut, panels
from ui.waterfall import Worst, worst


@dataclass(frozen=True, slots=True)
class Replay:
    """A replication to be drawn."""

    number: int
    """Of the replication, from 0."""
    replications: int
    """Of the scenario."""
    end_s: float
    counts: Mapping[str, int]
    """Requests by the name of their Outcome."""
    retried: int
    """Requests with more than one try."""
    bins: Bins
    panels: tuple[Panel, ...]
    lives: Lives
    worst: tuple[Worst, ...]


def replay(design: Design, number: int) -> Replay:
    """Simulate replication `number` of a design, the same as `trilemma run` does, and only that.

    Raises:
        InputError: the design cannot be built, in one sentence.
    """
    loaded = load(Path(design.source), design.settings, design.variant)
    scenario = loaded.scenario
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # reservations are the summary's to tell
        deployments = deploy(scenario, loaded.base_dir)
        requests = draw(scenario, scenario.run.seed, number, loaded.base_dir)
        one = serve(scenario, deployments, requests, number, loaded.base_dir)
    replicas = [deployments[pool].replica_info() for pool in places(scenario).pools]
    aims = class_objectives(scenario.model_dump(mode="json"), requests.classes)
    return picture(one, replicas, aims, number, scenario.run.replications)


def picture(
    one: Replication, replicas: Sequence[ReplicaInfo], aims: Sequence[Objective], number: int, replications: int
) -> Replay:
    """Make a replication small enough to draw."""
    bins = cut(one)
    tries = np.bincount(one.tries.request) if len(one.tries) else np.zeros(0, np.int64)
    return Replay(
        number=number,
        replications=replications,
        end_s=one.end_ns / NS_PER_S,
        counts={outcome.name: int(np.count_nonzero(one.outcome == outcome)) for outcome in Outcome},
        retried=int(np.count_nonzero(tries > 1)),
        bins=bins,
        panels=panels(one, bins, aims),
        lives=lives(one, replicas),
        worst=worst(one, aims),
    )
