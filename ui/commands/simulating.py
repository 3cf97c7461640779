"""Designs simulated side by side, with progress on stderr, for commands that ask for more as they learn."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sim.errors import InputError
from sim.study.evaluation import Design, Evaluation, evaluate
from sim.study.executor import Failed, LocalExecutor
from ui.commands.progress import progress

Simulate = Callable[[Sequence[Design]], list[Evaluation]]


@contextmanager
def simulating(workers: int | None, *, quiet: bool) -> Iterator[Simulate]:
    """Yield a function that evaluates designs in this machine's processes and returns them in their order."""
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: expected at least 1")
    done = 0
    with progress("simulations", quiet=quiet) as step, LocalExecutor(workers) as executor:

        def simulate(designs: Sequence[Design]) -> list[Evaluation]:
            nonlocal done
            found: dict[int, Evaluation] = {}
            in_all = done + len(designs)
            for number, result in executor.run(evaluate, designs):
                if isinstance(result, Failed):
                    raise InputError(result.sentence)
                found[number] = result
                done += 1
                step(done, in_all)
            return [found[number] for number in range(len(designs))]

        yield simulate
