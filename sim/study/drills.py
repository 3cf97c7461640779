"""Drills: what may befall a fleet at a known time, a third into its traffic, and how it takes that.

    replica crash     the oldest replica's engine process
    node lost         the fullest node falls silent
    spot reclaim      a third of the spot nodes get the market's notice
    zone lost         every node of the scenario's first zone falls silent
    retry storm       the fullest node is away for seven minutes, or a sixth of the traffic's time if that is less,
                      among clients that wait 30 s and try three times more while nobody tells the engines that they
                      went away (as in scenarios/retry-storm.yaml)

Nobody touches the fleet: what is mended is mended by the scenario's own recovery. All drills serve the same requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.report.goodput import Goodput, bin_width_ns, bins, goodput
from sim.report.incidents import NEVER, incidents
from sim.report.objective import objectives
from sim.report.recovery import minutes_to_recover, patience_ns
from sim.result import Replication
from sim.run import simulate
from sim.scenario.load import Loaded, load
from sim.stats import Interval, t_interval
from sim.study.evaluation import Design, Evaluation, silent, told
from sim.study.stress import Rewrite, Settings, stressed
from sim.units import NS_PER_S

CALM = "no drill"
NAMES = ("replica crash", "node lost", "zone lost", "spot reclaim", "retry storm")

OUTAGE_S, OUTAGE_SHARE = 420.0, 1 / 6
IMPATIENT: Settings = {"clients.timeout_s": 30.0, "clients.cancellation": "none", "clients.retry.max_retries": 3}


@dataclass(frozen=True, slots=True)
class Outage:
    """An incident of one replication."""

    start_s: float
    whole_s: float | None
    """When as many replicas had become ready as fell; None: never."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill did to a design."""

    name: str
    evaluation: Evaluation | None
    """None where the drill does not apply."""
    why_not: str = ""
    through: Goodput | None = None
    """Requests by the time of sending."""
    outages: tuple[tuple[Outage, ...], ...] = ()
    """[replication]"""
    minutes: tuple[tuple[float | None, ...], ...] = ()
    """[replication][incident]: to recover, as sim/report/recovery.py has it; None where it did not."""

    @property
    def longest(self) -> tuple[float | None, ...]:
        """Of each replication with incidents, minutes of the one that took longest; None if one never ended."""
        kept = [one for one in self.minutes if one]
        return tuple(None if None in one else max(minute for minute in one if minute is not None) for one in kept)

    @property
    def recovery(self) -> Interval:
        """Mean of these minutes over the replications; without a mean unless all recovered."""
        known = self.longest
        found = t_interval(() if None in known else known)
        low = found.low if found.low is None else max(found.low, 0.0)
        return Interval(found.mean, low, found.high, found.n)


def drilled(design: Design, name: str) -> Drilled:
    """Simulate a design with a drill, or with CALM as it stands.

    Raises:
        InputError: the design cannot be built.
    """
    settings = _settings(load(Path(design.source), design.settings, design.variant), name)
    if isinstance(settings, str):
        return Drilled(name, None, settings)
    one = stressed(design, settings)
    loaded = load(Path(one.source), one.settings, one.variant)
    run = simulate(loaded, progress=silent)
    aims, width_ns = objectives(run), bin_width_ns(run.replications)
    sorted_in = [bins(each, aims, width_ns) for each in run.replications]
    scenario: Mapping[str, Any] = run.scenario
    patience = patience_ns(scenario["clients"])
    return Drilled(
        name,
        told(one, loaded.sha256, run),
        through=goodput(sorted_in),
        outages=tuple(_outages(each) for each in run.replications),
        minutes=tuple(
            tuple(minutes_to_recover(found, each.timeline, patience))
            for found, each in zip(sorted_in, run.replications, strict=True)
        ),
    )


def _settings(loaded: Loaded, name: str) -> Settings | str:
    """What the drill sets, or why it does not apply."""
    if name == CALM:
        return {}
    if name == "zone lost" and not any(pool.zones for pool in loaded.scenario.fleet):
        return "The fleet names no zones (fleet.0.zones)."
    rewrite = Rewrite(loaded)
    if name == "retry storm":
        away = rewrite.node_lost(for_s=min(OUTAGE_S, rewrite.span_s * OUTAGE_SHARE))
        return away if isinstance(away, str) else away | IMPATIENT
    found: Mapping[str, Settings | str] = {
        "replica crash": rewrite.drills(1, of="replica", index=0),
        "node lost": rewrite.node_lost(),
        "zone lost": rewrite.drills(1, of="zone", index=0),
        "spot reclaim": rewrite.spot_reclaim(),
    }
    return found[name]


def _outages(one: Replication) -> tuple[Outage, ...]:
    columns = (each.tolist() for each in incidents(one.timeline))
    return tuple(
        Outage(first / NS_PER_S, None if whole >= NEVER else whole / NS_PER_S)
        for first, _, whole in zip(*columns, strict=True)
    )
