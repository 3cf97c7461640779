"""`trilemma run`: simulate a scenario and report."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sim import rundir
from sim.errors import InputError
from sim.report import Summary, Verdict, summarise, to_bench_json
from sim.result import Run
from sim.run import simulate
from sim.scenario.load import Loaded, load
from sim.scenario.scenario import Scenario
from sim.scenario.workload import Synthetic
from sim.shipped import find_scenario
from ui.commands.progress import progress
from ui.console import print_report

SLO_MISSED = 3
"""Exit code."""


def run(
    name: str,
    sets: Sequence[str],
    variant: str | None,
    *,
    json_to: str | None,
    out: Path | None,
    quiet: bool,
    fail_on_slo: bool,
) -> int:
    """Simulate, print the report or its JSON, save the run; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    loaded = load(find_scenario(name), sets, variant)
    if fail_on_slo and not _has_slo(loaded.scenario):
        raise InputError(f"{loaded.source}: slo: found no limit, expected one with --fail-on-slo")
    _check_targets(json_to, out)
    result = _simulate(loaded, quiet=quiet)
    summary = summarise(result)
    saved = rundir.write(result, summary, out or rundir.default_directory(result))
    if json_to == "-":
        sys.stdout.write(_json(result, summary))
    else:
        print_report(result, summary, saved)
    if json_to not in (None, "-"):
        _write(json_to, _json(result, summary))
    return SLO_MISSED if fail_on_slo and summary.verdict is Verdict.MISSED else 0


def _has_slo(scenario: Scenario) -> bool:
    classes = scenario.workload.classes if isinstance(scenario.workload, Synthetic) else ()
    slos = [scenario.slo, *(one.slo for one in classes if one.slo)]
    return any((slo.ttft_ms, slo.tpot_ms, slo.e2el_ms, slo.ttfat_ms, slo.availability) != (None,) * 5 for slo in slos)


def _simulate(loaded: Loaded, *, quiet: bool) -> Run:
    try:
        with progress("replications", quiet=quiet) as step:
            return simulate(loaded, progress=step)
    except InputError as error:
        raise InputError(f"{loaded.source}: {error}") from None


def _check_targets(json_to: str | None, out: Path | None) -> None:
    """Refuse what cannot be written before the simulation, not after."""
    if json_to not in (None, "-") and (Path(json_to).is_dir() or not Path(json_to).parent.is_dir()):
        raise InputError(f"--json {json_to}: expected a file in a folder that exists")
    if out is not None:
        rundir.check_target(out)


def _write(json_to: str, text: str) -> None:
    try:
        Path(json_to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {json_to}: cannot be written ({error.strerror})") from None


def _json(result: Run, summary: Summary) -> str:
    return json.dumps(to_bench_json(result, summary), indent=2, allow_nan=False) + "\n"
