"""When failures strike: at random lives, from a file, or as drills."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sim import catalog
from sim.errors import InputError
from sim.fleet.fleet import Fleet
from sim.fleet.nodes import BROKEN, Node, Replica
from sim.fleet.reclaim import reclaim
from sim.fleet.recovery import Repairs, can_fail
from sim.result import Cause
from sim.scenario.failures import Drill, ExponentialFailures, TracedFailures, WeibullFailures
from sim.scenario.scenario import Scenario
from sim.units import NS_PER_S, seconds_to_ns
from sim.workload.files import text_lines

NS_PER_HOUR = 3600 * NS_PER_S
_TARGETS = ("replica", "gpu", "node", "zone")
_LONGEST_NS = float(1 << 62)


@dataclass(frozen=True, slots=True)
class Strike:
    """One failure at a known time."""

    at_ns: int
    of: str
    index: int
    hang: bool
    for_ns: int | None
    notice_ns: int | None = None
    """Of a node that the spot market takes back."""


class Striker:
    """Lets the failures of a scenario happen."""

    def __init__(
        self,
        fleet: Fleet,
        repairs: Repairs,
        scenario: Scenario,
        base_dir: Path,
        rng: Callable[[str], np.random.Generator],
    ) -> None:
        """Arm everything; each block of `failures` draws from a stream of its own.

        Raises:
            InputError: an unknown preset, one of another target, or a bad file, or one that hangs what nobody notices.
        """
        self._fleet = fleet
        self._world = fleet.world
        self._repairs = repairs
        for number, spec in enumerate(scenario.failures):
            where = f"failures.{number}"
            match spec:
                case Drill():
                    self._at(_drill(spec))
                case TracedFailures():
                    read = strikes(base_dir / spec.path)
                    if scenario.waits_for_ever and any(one.hang and one.for_ns is None for one in read):
                        raise InputError(
                            f"{where}.path: {spec.path}: a hung replica passes liveness checks, so the run would never "
                            "end; expected clients.timeout_s, recovery.health.probe: inference or run.max_time_s"
                        )
                    for strike in read:
                        self._at(strike)
                case ExponentialFailures() | WeibullFailures():
                    self._at_random(spec, _lives(spec, where, rng(f"failures/{number}")), rng(f"hangs/{number}"))

    # At known times

    def _at(self, strike: Strike) -> None:
        wake = self._world.timeout(strike.at_ns)
        assert wake.callbacks is not None
        wake.callbacks.append(lambda _: None if self._world.over else self._strike(strike))

    def _strike(self, strike: Strike) -> None:
        """Hit the target with that index among those that live; none: nothing happens."""
        fleet, index = self._fleet, strike.index
        nodes = sorted((one for one in fleet.nodes if one.alive and one.paid), key=lambda one: one.number)
        if strike.notice_ns is not None:
            spot = [one for one in nodes if not one.noticed and fleet.pools[one.pool].market == "spot"]
            if index < len(spot):
                reclaim(fleet, spot[index], strike.notice_ns)
        elif strike.of == "node" and index < len(nodes):
            self._repairs.lose(nodes[index], Cause.NODE, strike.for_ns)
        elif strike.of == "zone" and index < len(self._zones):
            self._lose_zone(index, strike.for_ns)
        elif strike.of in ("replica", "gpu"):
            alive = sorted((one for one in fleet.replicas if can_fail(one)), key=lambda one: one.place)
            if index >= len(alive):
                return
            replica = alive[index]
            if strike.of == "gpu":
                node = replica.nodes[0]
                self._repairs.break_gpu(node, node.gpus.index(replica.place), strike.for_ns)
            elif strike.hang:
                self._repairs.hang(replica, strike.for_ns)
            else:
                self._repairs.crash(replica, strike.for_ns)

    # At random

    def _at_random(
        self, spec: ExponentialFailures | WeibullFailures, life_ns: Callable[[], int], rng: np.random.Generator
    ) -> None:
        if spec.of == "replica":
            self._fleet.on_ready.append(lambda one: self._watch_replica(one, life_ns, rng, spec.hang_share))
        elif spec.of == "zone":
            for zone in range(len(self._zones)):
                self._watch_zone(zone, life_ns)
        else:
            self._fleet.on_node.append(lambda node, gpu: self._watch_node(node, gpu, life_ns, spec.of))

    def _watch_replica(
        self, replica: Replica, life_ns: Callable[[], int], rng: np.random.Generator, hang_share: float
    ) -> None:
        def fail() -> None:
            if rng.random() < hang_share:
                self._repairs.hang(replica)
            else:
                self._repairs.crash(replica)

        self._fleet.later(life_ns(), replica, fail)

    def _watch_node(self, node: Node, begins: int | None, life_ns: Callable[[], int], of: str) -> None:
        """Draw the life of what begins to run, the node (None) or a GPU of it; a draw before that counts no more."""
        if of == "node":
            mortal: list[int | None] = [None] if begins is None else []
        else:
            mortal = [*range(len(node.gpus))] if begins is None else [begins]

        def fail(gpu: int | None, age: tuple[int, int], _: object) -> None:
            if not node.alive or node not in self._fleet.nodes or node.age(gpu) != age or self._world.over:
                return
            if gpu is None:
                self._repairs.lose(node, Cause.NODE)
            elif node.gpus[gpu] != BROKEN:
                self._repairs.break_gpu(node, gpu)

        for gpu in mortal:
            wake = self._world.timeout(life_ns())
            assert wake.callbacks is not None
            wake.callbacks.append(partial(fail, gpu, node.age(gpu)))

    @property
    def _zones(self) -> list[str]:
        """Names of the zones, pool by pool in their order; one without a name where a pool states none."""
        names = [zone.zone for pool in self._fleet.pools for zone in pool.zones]
        return list(dict.fromkeys(names)) or [""]

    def _lose_zone(self, index: int, for_ns: int | None) -> None:
        name = self._zones[index]
        for node in list(self._fleet.nodes):
            zones = self._fleet.pools[node.pool].zones
            if node.alive and node.paid and (zones[node.zone].zone if zones else "") == name:
                self._repairs.lose(node, Cause.ZONE, for_ns)

    def _watch_zone(self, index: int, life_ns: Callable[[], int]) -> None:
        wake = self._world.timeout(life_ns())

        def fail(_: object) -> None:
            if not self._world.over:
                self._lose_zone(index, None)
                self._watch_zone(index, life_ns)

        assert wake.callbacks is not None
        wake.callbacks.append(fail)


def _lives(spec: ExponentialFailures | WeibullFailures, where: str, rng: np.random.Generator) -> Callable[[], int]:
    """Draws of a target's life, ns."""
    if isinstance(spec, WeibullFailures):
        scale, shape = spec.scale_hours * NS_PER_HOUR, spec.shape
        return lambda: int(min(scale * rng.weibull(shape), _LONGEST_NS))
    hours = spec.mtbf_hours
    if spec.preset is not None:
        preset = catalog.failure_preset(spec.preset)
        if preset.of != spec.of:
            raise InputError(f"{where}.of: found {spec.of}, expected {preset.of}, of which preset {spec.preset} is")
        hours = preset.mtbf_hours
    assert hours is not None
    mean = hours * NS_PER_HOUR
    return lambda: int(min(rng.exponential(mean), _LONGEST_NS))


def _drill(spec: Drill) -> Strike:
    if spec.at is not None:
        parts = [int(part) for part in spec.at.split(":")]
        at_ns = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False)) * NS_PER_S
    else:
        assert spec.at_s is not None
        at_ns = seconds_to_ns(spec.at_s)
    for_ns, notice_ns = (None if s is None else seconds_to_ns(s) for s in (spec.for_s, spec.notice_s))
    return Strike(at_ns, spec.of, spec.index, spec.hang, for_ns, notice_ns)


def strikes(path: Path) -> list[Strike]:
    """Read failures from a CSV file with the columns time_s, of, index, and perhaps hang (0 or 1) and for_s.

    Raises:
        InputError: the file cannot be read, or a line is wrong.
    """
    rows = csv.DictReader(text_lines(path))
    missing = {"time_s", "of", "index"} - set(rows.fieldnames or ())
    if missing:
        raise InputError(f"{path}: found no column {min(missing)}, expected time_s, of, index, and perhaps hang, for_s")
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            for_s = float(row.get("for_s") or 0)
            strike = Strike(
                seconds_to_ns(float(row["time_s"])),
                row["of"],
                int(row["index"]),
                row.get("hang") in ("1", "true"),
                seconds_to_ns(for_s) or None,
            )
            valid = strike.of in _TARGETS and strike.index >= 0 and strike.at_ns >= 0 and for_s >= 0
        except (ValueError, TypeError, OverflowError):
            valid = False
        if not valid:
            raise InputError(
                f"{path}, line {number}: found {', '.join(str(one) for one in row.values())}, expected a time in s, "
                f"one of {', '.join(_TARGETS)} and its index"
            )
        found.append(strike)
    return found
