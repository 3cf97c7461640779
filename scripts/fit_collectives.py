"""Fit sim/steptime/collectives.yaml to measured H100 collectives.

    python scripts/fit_collectives.py PATH/allreduce_h100.csv [OUTPUT]

The CSV (columns collective, impl, stack, num_gpus, bytes, latency_us) is aiconfigurator's H100 collection. Within one
protocol or kernel a collective takes latency + bytes / bandwidth; where the library switches, the line changes. The
fit walks up the sizes and keeps each line as long as it holds every point within TOLERANCE: few lines, no
breakpoints by hand.
"""

import csv
import datetime
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import linprog

from sim.steptime.collectives import CUSTOM_MAX_BYTES

TOLERANCE = 0.08
"""Largest relative error of a line; leaves room for the scatter between repeats within the 15 % that tests demand."""

CURVES = {
    "vllm_graph": ("all_reduce", "vLLM_custom_graph", "vllm/0.24.0"),
    "vllm_eager": ("all_reduce", "vLLM_custom_eager", "vllm/0.24.0"),
    "all_reduce": ("all_reduce", "NCCL", "nccl/"),
    "all_gather": ("all_gather", "NCCL", "nccl/"),
    "reduce_scatter": ("reduce_scatter", "NCCL", "nccl/"),
    "all_to_all": ("alltoall", "NCCL", "nccl/"),
}
"""Our name -> collective, impl and library of the CSV."""


def line(size: NDArray[np.float64], time: NDArray[np.float64]) -> tuple[float, float, float]:
    """Latency and time per byte, both non-negative, of least maximal relative error; and that error (an LP)."""
    ones = np.ones_like(size)
    upper = np.column_stack([1 / time, size / time, -ones])
    lower = np.column_stack([-1 / time, -size / time, -ones])
    found = linprog([0, 0, 1], A_ub=np.vstack([upper, lower]), b_ub=np.concatenate([ones, -ones]), bounds=(0, None))
    assert found.x is not None
    return float(found.x[0]), float(found.x[1]), float(found.x[2])


def fit(size: NDArray[np.float64], time: NDArray[np.float64]) -> list[list[float]]:
    """Lines as [from_bytes, latency_us, GB/s], each as long as TOLERANCE allows."""
    lines = []
    start = 0
    while start < len(size):
        end = len(size)
        while end > start + 1 and line(size[start:end] / 1e3, time[start:end])[2] > TOLERANCE:
            end -= 1
        latency, per_kilobyte, _ = line(size[start:end] / 1e3, time[start:end])
        bandwidth = 1 / per_kilobyte if per_kilobyte > 1e-9 else float("inf")  # kB/us is GB/s
        lines.append([int(size[start]) if start else 0, round(latency, 2), round(bandwidth, 1)])
        start = end
    return lines


def main(source: Path, output: Path) -> None:
    """Read the CSV, write the table."""
    measured: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with source.open() as file:
        for row in csv.DictReader(file):
            for name, (collective, impl, stack) in CURVES.items():
                if row["collective"] == collective and row["impl"] == impl and row["stack"].startswith(stack):
                    measured[name, int(row["num_gpus"])][int(row["bytes"])].append(float(row["latency_us"]))
    curves: dict[str, dict[int, list[list[float]]]] = defaultdict(dict)
    for (name, gpus), points in sorted(measured.items()):
        size = np.array(sorted(points), dtype=float)
        if name.startswith("vllm"):
            size = size[size <= CUSTOM_MAX_BYTES[9.0][gpus]]  # beyond, vLLM calls NCCL
        # Interference only ever adds time: of repeats the fastest is the kernel's.
        curves[name][gpus] = fit(size, np.array([min(points[int(s)]) for s in size]))
    header = (
        "# H100 SXM (450 GB/s NVLink a direction), microseconds and GB/s. By curve and GPUs, lines\n"
        "# [from_bytes, latency_us, GB/s]: time = latency + bytes / bandwidth from that size on.\n"
        "# Written by scripts/fit_collectives.py from aiconfigurator's collection (Apache-2.0):\n"
        "# vLLM 0.24.0 all-reduce in a CUDA graph and eager, NCCL 2.27.3 and 2.29.2.\n"
    )
    body = ""
    for name, by_gpus in curves.items():
        body += f"{name}:\n"
        for gpus, lines in by_gpus.items():
            body += f"  {gpus}: {yaml.safe_dump(lines, default_flow_style=True, width=10_000)}"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    output.write_text(f"{header}# Fitted {today}, within {TOLERANCE:.0%} of the fastest repeat.\n{body}")


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "sim" / "steptime" / "collectives.yaml"
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else default)
