"""Derive the shipped joint length tables from the Azure 2023 traces: `python scripts/fit_length_tables.py`.

Requests are cut into cells at quantiles of the input and, within each, at quantiles of the output. A row has the
smallest and greatest lengths of a cell, and its number of requests as weight. Quantiles rather than even log steps: the
conversation trace has gaps and heaps, and even steps moved its P90 by up to 30 % for tables of this size. Mean, P50,
P90, P99 and the correlation are checked against the traces in tests/unit/test_workload_lengths.py.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.workload.lengths import COLUMNS, SHIPPED
from sim.workload.named import TRACES, locate
from sim.workload.traces.azure import read

INPUT_LEVELS = np.array([*np.arange(0.05, 0.86, 0.05), 0.875, 0.9, 0.925, 0.95, 0.975, 0.99])
OUTPUT_LEVELS = np.array([0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975, 0.99, 0.997])


def cells(tokens: NDArray[np.int64], levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each length's cell between the quantiles `levels`, a cut belonging to the cell below it."""
    return np.searchsorted(np.unique(np.quantile(tokens, levels, method="higher")), tokens, side="left")


def table(lengths: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Return the rows of a joint table of int64[n, 2] lengths, in the order of `COLUMNS`."""
    rows: list[tuple[int, ...]] = []
    input_cell = cells(lengths[:, 0], INPUT_LEVELS)
    for i in np.unique(input_cell):
        slab = lengths[input_cell == i]
        output_cell = cells(slab[:, 1], OUTPUT_LEVELS)
        for j in np.unique(output_cell):
            cell = slab[output_cell == j]
            (low_in, low_out), (high_in, high_out) = cell.min(axis=0), cell.max(axis=0)
            rows.append((int(low_in), int(high_in), int(low_out), int(high_out), len(cell)))
    return rows


def write(trace_id: str, folder: Path) -> None:
    """Write the table of one trace."""
    lengths = np.array([(row.prompt_tokens, row.output_tokens) for row in read(locate(trace_id))])
    trace = TRACES[trace_id]
    lines = [
        f"# Joint lengths of the trace {trace_id}: {len(lengths):,} requests of 2023-11-16.",
        f"# Source: {trace.url}, SHA-256 {trace.sha256}.",
        f"# {trace.citation}; {trace.licence}. Derived on 2026-11-22 by scripts/fit_length_tables.py.",
        ",".join(COLUMNS),
        *(",".join(map(str, row)) for row in table(lengths)),
    ]
    (folder / f"{trace_id}.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for name in ("azure2023-conv", "azure2023-code"):
        write(name, SHIPPED)
