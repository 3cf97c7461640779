"""`trilemma search`: look for the designs of a space that no other beats."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.study.executor import LocalExecutor
from sim.study.found import Found
from sim.study.search import RESULTS, Prepared, prepare, run
from sim.study.space import find_search, read_search
from ui.commands.progress import progress
from ui.console_search import print_found
from ui.files import check_json, write_json

NOTHING = 3
"""Exit code, that of an SLO that is missed."""
INTERRUPTED = 130


def search(
    name: str,
    *,
    trials: int | None,
    storage: str | None,
    workers: int | None,
    json_to: str | None,
    out: Path | None,
    quiet: bool,
) -> int:
    """Search, print the frontier and write the table of all designs; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    for option, value in (("--trials", trials), ("--workers", workers)):
        if value is not None and value < 1:
            raise InputError(f"{option} {value}: expected at least 1")
    check_json(json_to)
    source = find_search(name)
    prepared = prepare(read_search(source), source)
    out = out or prepared.directory
    try:
        with progress("designs", quiet=quiet) as step, LocalExecutor(workers) as executor:
            found = run(prepared, out, executor, step, trials=trials, storage=storage)
    except KeyboardInterrupt:
        print(f"trilemma: stopped; what is done is in {out}, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    if json_to is not None:
        write_json(json_to, to_json(prepared, found, out))
    if json_to != "-":
        print_found(prepared, found, out)
    return 0 if found.feasible.any() else NOTHING


def to_json(prepared: Prepared, found: Found, out: Path) -> dict[str, Any]:
    """What is printed, with intervals as numbers."""
    triangle = found.triangle
    numbers = range(len(found.tried))
    return {
        "search": prepared.search.name,
        "scenario": str(prepared.source),
        "space": prepared.space.size,
        "tried": len(found.tried),
        "feasible": int(found.feasible.sum()),
        "frontier": [_design(prepared, found, index) for index in numbers if found.frontier[index]],
        "near_optimal": [_design(prepared, found, index) for index in numbers if found.near[index]],
        "one_near_the_best_in_all_three": None if triangle is None else asdict(triangle.answer(prepared.search.near)),
        "failures": [
            {"number": one.number, "settings": prepared.space.settings(one.point), "failure": one.failure}
            for one in found.tried
            if one.failure
        ],
        "results": str(out / RESULTS),
    }


def _design(prepared: Prepared, found: Found, index: int) -> dict[str, Any]:
    one = found.tried[index]
    told = one.told or {}
    intervals = {key: asdict(found.interval(index, key)) for key in prepared.search.objectives}
    keys = ("mean", "low", "high", "n")
    return {
        "number": one.number,
        "settings": prepared.space.settings(one.point),
        "objectives": {key: {part: value[part] for part in keys} for key, value in intervals.items()},
        **{key: told[key] for key in ("verdict", "kept", "minutes_to_recover", "not_recovered") if key in told},
    }
