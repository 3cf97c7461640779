"""The tasks of a study on a Ray cluster, which is the user's own: one is never started here."""

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TypeVar

from sim.errors import InputError
from sim.study.executor import RETRIES, Failed, attempt
from sim.study.journal import code_sha256

T = TypeVar("T")
R = TypeVar("R")


class RayExecutor:
    """One task a free core of the cluster; its nodes have the same Trilemma installed."""

    def __init__(self, address: str = "auto") -> None:
        """Take the cluster's address; auto is $RAY_ADDRESS, else the cluster that this machine belongs to."""
        self._address = address

    def run(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Failed]]:
        """See `Executor`.

        Raises:
            InputError: Ray is not installed, or no cluster answers at that address.
        """
        ray = _ray()
        with _connected(ray, self._address):
            # We count the retries: Ray would try a task that runs out of memory for ever.
            remote = ray.remote(num_cpus=1, max_retries=0)(_attempt_there)
            pending = {remote.remote(work, task, code_sha256()): number for number, task in enumerate(tasks)}
            deaths: Counter[int] = Counter()
            while pending:
                (ended,), _ = ray.wait(list(pending))
                number = pending.pop(ended)
                try:
                    result: R | Failed = ray.get(ended)
                except ray.exceptions.RayTaskError as error:
                    result = Failed(f"the cluster could not run it: {_last_line(error)}")
                except ray.exceptions.RayError as error:
                    deaths[number] += 1
                    if deaths[number] <= RETRIES:
                        pending[remote.remote(work, tasks[number], code_sha256())] = number
                        continue
                    result = Failed(f"its worker died {deaths[number]} times, the last time: {_last_line(error)}")
                yield number, result


def _attempt_there(work: Callable[[T], R], task: T, version: str) -> R | Failed:
    """Do a task on a node."""
    if code_sha256() != version:
        return Failed("the cluster's node has another version of Trilemma, expected the one that is used here")
    return attempt(work, task)


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        return import_module("ray")  # an extra, and slow to import
    except ImportError:
        raise InputError('--executor ray: Ray is not installed here: pip install "trilemma[ray]"') from None


@contextmanager
def _connected(ray: ModuleType, address: str) -> Iterator[None]:
    """Connect, unless the process is connected already; leaving ends the tasks that are not done."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--address {address}: found no Ray cluster that answers ({_last_line(error)}), expected one that "
            "`ray start` made; where it asks for a token, set RAY_AUTH_MODE=token"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Find out at once that nobody is there: Ray itself would try for a quarter of an hour."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
