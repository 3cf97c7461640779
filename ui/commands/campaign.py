"""`trilemma campaign`: make all measurements of a plan."""

import sys
from pathlib import Path

from harness.campaign import Progress, run_campaign
from harness.campaign_jobs import Job, job
from harness.campaign_plan import Plan, find_plan, read_plan
from harness.campaign_points import Point, Server, estimated_minutes, points, shown
from harness.campaign_server import open_server

FAILED = 1
"""Exit code: a run failed."""
PROGRAM = (sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())")
"""This very `trilemma`, wherever it is installed."""


def campaign(name: str, out: Path | None, *, dry_run: bool) -> int:
    """Make the runs of a plan that are not done yet, or show them; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    source = find_plan(name)
    plan = read_plan(source)
    runs = points(plan, source)
    if dry_run:
        _show(plan, runs)
        return 0
    ending = run_campaign(runs, out or Path("campaigns") / plan.name, PROGRAM, open_server, _report)
    print(f"{ending.total - len(ending.failed)} of {ending.total} runs done, table in {ending.results}")
    for place, sentence in ending.failed:
        print(f"trilemma: {place} failed: {sentence}", file=sys.stderr)
    return FAILED if ending.failed else 0


def show_job(kind: Job, name: str) -> int:
    """Print a job that runs the plan on a GPU node; return the exit code."""
    sys.stdout.write(job(kind, name))
    return 0


def _report(where: Progress) -> None:
    left = f"about {where.minutes_left:.0f} min left"
    print(f"campaign: {where.done} of {where.total} done, {left}: {where.what}", file=sys.stderr, flush=True)


def _show(plan: Plan, runs: list[Point]) -> None:
    """Print every command with its estimate, and the sum."""
    server: Server | None = None
    for run in runs:
        if run.server is not None and run.server != server:
            flags = " ".join(run.server.flags)
            print(f"{run.server.minutes:6.2f} min  (a server for {run.server.scenario.model} {flags})".rstrip())
        server = run.server
        print(f"{run.minutes:6.2f} min  {shown(run)}")
    total = estimated_minutes(runs)
    limit = "" if plan.max_minutes is None else f" of {plan.max_minutes:g} allowed"
    print(f"{total:6.2f} min  in all{limit}: {len(runs)} runs")
