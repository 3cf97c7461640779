"""`trilemma profile`: measure single engine steps of the real vLLM."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.profile import Order, profile
from harness.profile_engine import AS_MEASURED
from sim.errors import InputError
from sim.scenario.load import load
from sim.shipped import find_scenario
from ui.commands.progress import progress

INTERRUPTED = 130
"""Exit code."""


def run_profile(
    name: str,
    sets: Sequence[str],
    variant: str | None,
    *,
    out: Path | None,
    serve_flags: Sequence[str],
    minutes: float | None,
    repeats: int,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Measure, or say what would be measured; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    if minutes is not None and not 0 < minutes < float("inf"):
        raise InputError(f"--minutes {minutes}: expected more than 0")
    order = Order(load(find_scenario(name), sets, variant), tuple(serve_flags), minutes, repeats)
    target = out or Path("profiles") / order.loaded.scenario.name
    if dry_run:
        _show(order, target)
        return 0
    if not quiet:
        print("profile: starting the engine", file=sys.stderr)
    try:
        with progress("profile: visits", quiet=quiet) as step:
            ending = profile(order, target, step)
    except KeyboardInterrupt:
        print(f"trilemma: stopped; what was measured is in {target}, the same command goes on", file=sys.stderr)
        return INTERRUPTED
    print(f"{ending.steps} steps measured, {ending.visits} of {ending.planned} visits made")
    print(f"Saved in {target}\nFit it: trilemma calibrate {target} --out calibration.yaml")
    return 0


def _show(order: Order, target: Path) -> None:
    limit = "" if order.minutes is None else f" within {order.minutes:g} min"
    print(f"Engine in this process: {shlex.join([*order.flags, *AS_MEASURED])}")
    print(
        f"Steps: prompts alone and continued, decoding batches of several contexts, and both together, {order.repeats} "
        f"times each{limit}; the grid depends on the KV cache that the engine finds room for"
    )
    print(f"Written to {target}: steps.csv, profile.json")
