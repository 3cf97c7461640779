"""The results of a study as one Parquet table, a row a design."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sim.study.evaluation import Evaluation
from sim.study.executor import Failed
from sim.study.paired import difference, intervals, measures
from sim.study.study import as_text
from sim.study.variations import Variation

Result = Evaluation | Failed


def parquet(designs: Sequence[Variation], results: Sequence[Result]) -> bytes:
    """Return the table; the same results give the same bytes.

    First what a design is: number, name, one column a setting (by its dotted key), the number of its baseline. Then
    how it ended: failure, sha256 of its scenario, verdict, bottleneck. Then its numbers: for each the mean under the
    key that `trilemma run` gives it, `_low` and `_high` of its 95 % interval (of the calibration's range too, if there
    is one), `_replications`, and against the baseline `_difference`, `_difference_low` and `_difference_high`.
    """
    columns: dict[str, Any] = {
        "number": pa.array(range(len(designs)), pa.int32()),
        "name": pa.array([one.name for one in designs], pa.string()),
        **_settings(designs),
        "baseline": pa.array([one.baseline for one in designs], pa.int32()),
        "failure": pa.array([one.sentence if isinstance(one, Failed) else None for one in results], pa.string()),
        "sha256": pa.array([None if isinstance(one, Failed) else one.sha256 for one in results], pa.string()),
    }
    for key in ("verdict", "bottleneck"):
        texts = [None if isinstance(one, Failed) else one.summary[key] for one in results]
        columns[key] = pa.array(texts, pa.string())
    rows = [_numbers(results, number, one.baseline) for number, one in enumerate(designs)]
    for key in dict.fromkeys(key for row in rows for key in row):  # in the order in which they come up
        kind = pa.list_(pa.float64()) if key.endswith("_replications") else pa.float64()
        columns[key] = pa.array([row.get(key) for row in rows], kind)
    buffer = BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _settings(designs: Sequence[Variation]) -> Mapping[str, Any]:
    """One column a key; numbers, texts and booleans as they are where a key has one kind of them, else as text."""
    keys = dict.fromkeys(key for one in designs for key in (one.own | one.point))
    columns = {}
    for key in keys:
        values: list[Any] = [(one.own | one.point).get(key) for one in designs]
        kinds = {type(value) for value in values if value is not None}
        plain = kinds in ({bool}, {str}) or (bool(kinds) and kinds <= {int, float})
        if kinds == {int, float}:
            values = [None if value is None else float(value) for value in values]
        if not plain:
            values = [None if value is None else as_text(value) for value in values]
        columns[key] = pa.array(values)
    return columns


def _numbers(results: Sequence[Result], number: int, baseline: int | None) -> dict[str, Any]:
    one = results[number]
    if isinstance(one, Failed):
        return {}
    each = measures(one)
    base = None if baseline is None else results[baseline]
    row: dict[str, Any] = {}
    for key, interval in intervals(one).items():
        row[key] = interval["mean"]
        row |= {f"{key}_{part}": value for part, value in interval.items() if part not in {"mean", "n"}}
        row[f"{key}_replications"] = [found.get(key) for found in each]
        if base is not None and not isinstance(base, Failed):
            less = difference(one, base, key)
            row |= {
                f"{key}_difference": less.mean,
                f"{key}_difference_low": less.low,
                f"{key}_difference_high": less.high,
            }
    return row
