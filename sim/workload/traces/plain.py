"""A user's own trace as CSV: arrival_s,input_tokens,output_tokens[,class][,session]."""

from collections.abc import Iterator
from pathlib import Path

from sim.errors import InputError
from sim.workload.files import csv_rows, time_ns, token_count
from sim.workload.traces.rows import Row

COLUMNS = ("arrival_s", "input_tokens", "output_tokens")


def read(path: Path) -> Iterator[Row]:
    """Yield requests in rising order of arrival_s, seconds since the start.

    input_tokens is the whole prompt. Requests with the same `session` continue one text, so that each may find the
    earlier ones' prompts and answers in the prefix cache.
    """
    for line, (arrival, sent, got, klass, session) in csv_rows(path, COLUMNS, ("class", "session")):
        row = Row(
            line,
            time_ns(path, line, "arrival_s", arrival),
            token_count(path, line, "input_tokens", sent),
            token_count(path, line, "output_tokens", got),
            klass=klass or "default",
            session=session or None,
        )
        if not (row.prompt_tokens and row.output_tokens):
            raise InputError(f"{path}, line {line}: found {sent} input and {got} output tokens, expected at least 1")
        yield row
