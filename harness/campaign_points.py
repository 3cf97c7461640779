"""A plan laid out as runs: every command, in the order in which they are made."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from pathlib import Path

from harness.campaign_plan import Collectives, Item, Measure, Plan, Profile, Startup
from sim.errors import InputError
from sim.scenario.load import Loaded, load
from sim.scenario.scenario import Scenario
from sim.shipped import find_scenario

_RATE = "workload.arrivals.request_rate"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that consecutive runs share; two are the same if model, engine, fleet and flags are."""

    serves: str
    """Model, engine and fleet of the scenario and where its paths start, as JSON."""
    flags: tuple[str, ...]
    minutes: float
    """To start it."""
    scenario: Scenario = field(compare=False)
    """A scenario that it serves."""
    base_dir: Path = field(compare=False)
    """Relative paths in it start here."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run of one point of the plan."""

    name: str
    """Of the point, as its directory is called: number in the plan, kind, scenario, variant, rate."""
    repeat: int
    kind: str
    scenario: str
    """Its name; empty for collectives."""
    variant: str
    rate: float | None
    flags: tuple[str, ...]
    command: tuple[str, ...]
    """Arguments of `trilemma`, without --out."""
    sha256: str
    """Of the scenario with its settings; empty where there is none."""
    minutes: float
    server: Server | None = None
    """None: the run starts what it needs itself."""

    @property
    def place(self) -> str:
        """Its directory in the campaign's."""
        return f"{self.name}/{self.repeat}"

    @property
    def identity(self) -> dict[str, object]:
        """What makes it this run and no other, as JSON data; not where the scenario file lies."""
        return {
            "point": self.name,
            "repeat": self.repeat,
            "flags": list(self.flags),
            "scenario_sha256": self.sha256,
        }


def points(plan: Plan, source: Path) -> list[Point]:
    """Return all runs of a plan in their order; scenarios are read on the way.

    Within an item each repeat goes over all points before the next: what drifts is spread over the points.

    Args:
        plan: what to run.
        source: its file; scenarios are looked for beside it.

    Raises:
        InputError: a scenario is missing or wrong, or the estimates exceed the plan's max_minutes.
    """
    runs = [point for number, item in enumerate(plan.measurements) for point in _repeated(item, number, source)]
    total = estimated_minutes(runs)
    if plan.max_minutes is not None and total > plan.max_minutes:
        raise InputError(
            f"{source}: max_minutes: the runs are estimated at {total:.1f} minutes together, "
            f"expected at most {plan.max_minutes:g}"
        )
    return runs


def estimated_minutes(runs: Sequence[Point]) -> float:
    """Add up the estimates of these runs, with one start of every server that they share."""
    servers = [None, *(run.server for run in runs)]
    starts = sum(new.minutes for old, new in pairwise(servers) if new is not None and new != old)
    return sum(run.minutes for run in runs) + starts


def shown(point: Point) -> str:
    """Write the command of a run as one would type it."""
    url = ["--base-url", "URL"] if point.server else []
    return shlex.join(["trilemma", *point.command, *url, "--out", f"{point.place}/result"])


def _repeated(item: Item, number: int, source: Path) -> Iterator[Point]:
    once = list(_once(item, number, source))
    if isinstance(item, Profile):  # repeats every step itself, in one process
        yield from once
        return
    for repeat in range(item.repeats):
        for point in once:
            again = ("--replication", str(repeat)) if isinstance(item, Measure) else ()
            yield replace(point, repeat=repeat, command=(*point.command, *again))


def _once(item: Item, number: int, source: Path) -> Iterator[Point]:
    if isinstance(item, Collectives):
        gpus = item.collectives
        command = ("collectives", "--gpus", str(gpus), *item.flags)
        yield _point(item, f"{number:02d}-collectives-{gpus}", "collectives", command)
        return
    kind, name = _kind_and_name(item)
    path = _find(name, source)
    rates = (item.rates or (None,)) if isinstance(item, Measure) else (None,)
    for variant, rate in product(item.variants or (None,), rates):
        sets = item.sets if rate is None else (*item.sets, f"{_RATE}={rate:.12g}")
        loaded = load(path, sets, variant)
        options = [option for setting in sets for option in ("--set", setting)]
        options += [] if variant is None else ["--scenario", variant]
        if isinstance(item, Profile):
            options += ["--minutes", f"{item.minutes:.12g}", "--repeats", str(item.repeats)]
        options += [f"--serve-flag={flag}" for flag in item.flags]
        parts = [f"{number:02d}", kind, loaded.scenario.name, variant, None if rate is None else f"rate{rate:.12g}"]
        yield replace(
            _point(item, "-".join(part for part in parts if part), kind, (kind, str(path), *options)),
            scenario=loaded.scenario.name,
            variant=variant or "",
            rate=rate,
            sha256=loaded.sha256,
            server=_server(item, loaded),
        )


def _point(item: Item, name: str, kind: str, command: tuple[str, ...]) -> Point:
    return Point(
        name=name,
        repeat=0,
        kind=kind,
        scenario="",
        variant="",
        rate=None,
        flags=item.flags,
        command=command,
        sha256="",
        minutes=item.minutes,
    )


def _kind_and_name(item: Measure | Profile | Startup) -> tuple[str, str]:
    match item:
        case Measure():
            return "measure", item.measure
        case Profile():
            return "profile", item.profile
        case Startup():
            return "startup", item.startup


def _find(name: str, source: Path) -> Path:
    """A path is taken from the plan's folder."""
    beside = source.parent / name
    return beside if beside.is_file() else find_scenario(name)


def _server(item: Item, loaded: Loaded) -> Server | None:
    if not isinstance(item, Measure) or item.start_minutes is None:
        return None
    parts = loaded.scenario.model_dump(mode="json", include={"model", "engine", "fleet"})
    serves = json.dumps([*parts.items(), str(loaded.base_dir)])
    return Server(serves, item.flags, item.start_minutes, loaded.scenario, loaded.base_dir)
