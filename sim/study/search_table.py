"""What a search tried as one Parquet table, a row a design."""

from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sim.study.found import Found
from sim.study.space import Space


def parquet(found: Found, space: Space) -> bytes:
    """Return the table; the same designs give the same bytes.

    First what a design is: its number, one column a dimension. Then how it ended: failure, verdict, margin (what the
    SLO's share lacks), whether it is feasible, on the frontier, near the best cost. Then its objectives: mean, `_low`
    and `_high` of the 95 % interval, `_replications`; the share of goodput kept under each stress, and minutes to
    recover, if flexibility is an objective; and all numbers of its summary with their intervals.
    """
    tried = found.tried
    told: list[dict[str, Any]] = [one.told or {} for one in tried]
    columns: dict[str, Any] = {"number": pa.array([one.number for one in tried], pa.int32())}
    for place, one in enumerate(space.dimensions):
        values = [each.point[place] for each in tried]
        real = one.numeric and not all(isinstance(value, int) for value in values)
        columns[one.key] = pa.array([float(value) for value in values] if real else values)
    columns |= {
        "failure": pa.array([one.failure for one in tried], pa.string()),
        "verdict": pa.array([one.get("verdict") for one in told], pa.string()),
        "margin": pa.array([one.get("margin") for one in told], pa.float64()),
        "feasible": pa.array(found.feasible),
        "frontier": pa.array(found.frontier),
        "near_optimal": pa.array(found.near),
    }
    for key in found.search.objectives:
        intervals = [found.interval(index, key) for index in range(len(tried))]
        columns[key] = pa.array([one.mean for one in intervals], pa.float64())
        columns[f"{key}_low"] = pa.array([one.low for one in intervals], pa.float64())
        columns[f"{key}_high"] = pa.array([one.high for one in intervals], pa.float64())
        each = [one.get("objectives", {}).get(key) for one in told]
        columns[f"{key}_replications"] = pa.array(each, pa.list_(pa.float64()))
    for stress in dict.fromkeys(name for one in told for name in one.get("kept", ())):
        columns[f"kept: {stress}"] = pa.array([one.get("kept", {}).get(stress) for one in told], pa.float64())
    if any("kept" in one for one in told):
        columns["minutes_to_recover"] = pa.array([one.get("minutes_to_recover") for one in told], pa.float64())
    for key in dict.fromkeys(key for one in told for key in one.get("values", ()) if key not in columns):
        bounds = [one.get("values", {}).get(key, (None, None, None)) for one in told]
        for part, suffix in enumerate(("", "_low", "_high")):
            columns[f"{key}{suffix}"] = pa.array([one[part] for one in bounds], pa.float64())
    buffer = BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()
