"""Progress on stderr: a bar on a terminal, a plain line a step elsewhere, nothing when quiet."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

Step = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


@contextmanager
def progress(what: str, *, quiet: bool) -> Iterator[Step]:
    """Yield a function that shows progress while the context lasts."""
    if quiet:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with _bar(what) as step:
            yield step
    else:
        # Nothing at 0: a mistake found then leaves one line on stderr, the sentence about it.
        yield lambda done, total: print(f"{what}: {done} of {total}", file=sys.stderr) if done else None


@contextmanager
def _bar(what: str) -> Iterator[Step]:
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
