"""BurstGPT (arXiv:2401.17644): two months and more of ChatGPT and GPT-4 requests of a campus."""

from collections.abc import Iterator
from pathlib import Path

from sim.workload.files import csv_rows, time_ns, token_count
from sim.workload.traces.rows import Row

COLUMNS = ("Timestamp", "Model", "Request tokens", "Response tokens")


def read(path: Path) -> Iterator[Row]:
    """Yield requests, timed in seconds from midnight of the first day; the model is the class; not promised to rise.

    Rows without a response token are failed requests (the data's README).
    """
    for line, (timestamp, model, request, response) in csv_rows(path, COLUMNS):
        yield Row(
            line,
            time_ns(path, line, "Timestamp", timestamp),
            token_count(path, line, "Request tokens", request),
            token_count(path, line, "Response tokens", response),
            klass=model,
        )
