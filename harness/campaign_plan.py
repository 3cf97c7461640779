"""An experiment plan: a YAML file that lists what to measure, how often, and how long each run should take."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationError

from sim.errors import InputError
from sim.scenario.base import Block, NotABoolean, Positive
from sim.scenario.reading import read_file
from sim.scenario.sentences import show, suggest
from sim.shipped import FOLDER

Repeats = Annotated[int, Field(ge=3, le=1000)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]


class _Item(Block):
    """One kind of measurement at one or several points."""

    minutes: Positive
    """How long one run should take, its engine's start included; for profile its time budget too."""
    repeats: Repeats = 3
    """Runs of each point; a profile repeats every step so often instead, in one run."""
    flags: Texts = ()
    """Further options of the command, for example --load-format=dummy."""


class _OfScenario(_Item):
    sets: Texts = ()
    """Settings of the scenario, as --set."""
    variants: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """Scenarios named in the file, each measured; default the file's base."""


class Measure(_OfScenario):
    """`trilemma measure`: the scenario's requests sent to a server."""

    measure: str
    """Scenario: a path beside the plan, or the name of a shipped one."""
    rates: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] | None = None
    """Request rates, each measured (workload.arrivals.request_rate); default the scenario's."""
    start_minutes: Positive | None = None
    """If given, one server serves all these runs, and takes so long to start; else every run starts its own."""


class Profile(_OfScenario):
    """`trilemma profile`: single engine steps."""

    profile: str


class Startup(_OfScenario):
    """`trilemma startup`: from process start to the first token."""

    startup: str


class Collectives(_Item):
    """`trilemma collectives`: communication between GPUs."""

    collectives: Annotated[int, Field(ge=2, le=1024)]
    """Number of GPUs."""


_BLOCKS: dict[str, type[Block]] = {
    "measure": Measure,
    "profile": Profile,
    "startup": Startup,
    "collectives": Collectives,
}


def _kind(item: object) -> str | None:
    """Tell the kind of an item by the one key that names it."""
    found = [kind for kind in _BLOCKS if isinstance(item, dict) and kind in item]
    return found[0] if len(found) == 1 else None


Item = Annotated[
    Annotated[Measure, Tag("measure")]
    | Annotated[Profile, Tag("profile")]
    | Annotated[Startup, Tag("startup")]
    | Annotated[Collectives, Tag("collectives")],
    Discriminator(_kind),
]


class Plan(Block):
    """A campaign."""

    schema_version: Annotated[Literal[1], NotABoolean]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
    description: str = ""
    gpus: str = ""
    """What it is meant for, in words."""
    max_minutes: Positive | None = None
    """What all runs together may be estimated at."""
    measurements: Annotated[tuple[Item, ...], Field(min_length=1, strict=False)]


def plan_names() -> list[str]:
    """Names of the shipped plans."""
    return sorted(path.stem for path in (FOLDER / "campaigns").glob("*.yaml"))


def find_plan(name: str) -> Path:
    """Return the file that `name` means: a path, or a bare name of a shipped plan."""
    path = Path(name)
    if path.name != name or path.suffix or path.is_file():
        return path
    if name not in plan_names():
        raise InputError(f"{name}: no such file or shipped plan, {suggest(name, plan_names(), 'shipped are')}")
    return FOLDER / "campaigns" / f"{name}.yaml"


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        InputError: the first mistake, in one sentence.
    """
    data = read_file(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {show(data)}, expected the keys of a plan (schema_version, name, ...)")
    try:
        return Plan.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    found = error.errors(include_url=False)
    first = min(found, key=lambda mistake: mistake["type"] != "extra_forbidden")
    block: type[Block] = Plan
    loc = list(first["loc"])
    if len(loc) > 2:  # pydantic names the kind of item between its number and its key
        block = _BLOCKS[str(loc.pop(2))]
    where, more = ".".join(map(str, loc)), len(found) - 1
    match first["type"]:
        case "extra_forbidden":
            text = f"unknown key {where}, {suggest(str(loc[-1]), block.model_fields, 'known here')}"
        case "missing":
            text = f"{where} is missing"
        case "union_tag_not_found":
            text = f"{where}: found {show(first['input'])}, expected a block with one of the keys {', '.join(_BLOCKS)}"
        case _:
            expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should ").removeprefix("be ")
            text = f"{where}: found {show(first['input'])}, expected {expected}"
    return f"{text} (and {more} more)" if more else text
