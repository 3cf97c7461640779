"""`trilemma sweep`: all designs of a study, compared."""

import os
import sys
from pathlib import Path
from typing import Literal

from rich.console import Console

from sim.errors import InputError
from sim.study.executor import Executor, Failed, LocalExecutor
from sim.study.ray_executor import RayExecutor
from sim.study.study import find_study, read_study
from sim.study.sweep import RESULTS, Sweep, prepare
from sim.study.sweep import run as run_sweep
from sim.study.table import Result
from ui.commands.progress import progress
from ui.console_sweep import render

FAILED = 1
"""Exit code: a design failed for another reason than a mistake in it."""
INTERRUPTED = 130

Kind = Literal["local", "ray"]


def sweep(name: str, *, out: Path | None, executor: Kind, workers: int | None, address: str | None, quiet: bool) -> int:
    """Simulate what is not done yet, print the designs and their differences; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    where = _executor(executor, workers, address)
    source = find_study(name)
    prepared = prepare(read_study(source), source)
    target = out or prepared.directory
    try:
        with progress("designs", quiet=quiet) as step:
            results = run_sweep(prepared, target, where, step)
    except KeyboardInterrupt:
        print(f"trilemma: stopped; what is done is in {target}, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    _print(prepared, results, target)
    return FAILED if any(isinstance(one, Failed) and not one.bad_input for one in results) else 0


def _executor(kind: Kind, workers: int | None, address: str | None) -> Executor:
    if kind == "ray":
        if workers is not None:
            raise InputError(f"--workers {workers}: found beside --executor ray, expected the cluster to say how many")
        return RayExecutor(address or "auto")
    if address is not None:
        raise InputError(f"--address {address}: expected beside it --executor ray")
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: expected at least 1")
    return LocalExecutor(workers)


def _print(prepared: Sweep, results: tuple[Result, ...], target: Path) -> None:
    """Print without any ANSI code, and as wide as it takes, if the output is no terminal; no colours with NO_COLOR."""
    plain = not sys.stdout.isatty()
    console = Console(
        highlight=False,
        width=1000 if plain else None,
        color_system=None if plain or os.environ.get("NO_COLOR") else "auto",
    )
    with console.capture() as page:
        console.print(render(prepared.study, prepared.designs, results))
    sys.stdout.write("\n".join(line.rstrip() for line in page.get().splitlines()) + "\n")
    print(f"\nSaved in {target / RESULTS}")
