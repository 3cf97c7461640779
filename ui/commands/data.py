"""`trilemma data`: the public traces of requests and of spot markets that scenarios may name."""

import sys

from sim.errors import InputError
from sim.workload.fetch import fetch
from sim.workload.named import TRACES, locate
from sim.workload.named_spot import SPOT_TRACES
from ui.commands.progress import progress


def show_traces() -> None:
    """Print each named trace, its licence and source, and where it lies on this machine."""
    for trace in (TRACES | SPOT_TRACES).values():
        print(f"{trace.id:24}{trace.licence:14}{_place(trace.id)}\n{'':24}{trace.citation}")


def _place(trace_id: str) -> str:
    try:
        return str(locate(trace_id))
    except InputError:
        return "not on this machine"


def get(trace_id: str) -> None:
    """Download a trace into the cache, unless it is there, and print its path.

    Raises:
        InputError: unknown name, or the download fails.
    """
    # Off a terminal a line every megabyte would be noise.
    with progress(trace_id, quiet=not sys.stderr.isatty()) as step:
        fetched = fetch(trace_id, lambda done, total: step(done, total or done))
    if not fetched.pinned:
        print(f"{trace_id}: no hash was known beforehand, trusting SHA-256 {fetched.sha256}", file=sys.stderr)
    print(fetched.path)
