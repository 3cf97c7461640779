"""`trilemma collectives`: latency of all-reduce and its kin by message size."""

import datetime
import json
import platform
from collections.abc import Sequence
from pathlib import Path

from harness import realrun
from harness.collectives import Order, Point, check, measure, medians, plan, table
from sim.errors import InputError
from ui.commands.progress import progress


def run(gpus: str | None, ranks: int | None, *, out: Path | None, largest: int | None, dry_run: bool) -> None:
    """Measure every group; save collectives.csv, and collectives.json with the medians.

    Raises:
        InputError: torch or the GPUs are missing, or a rank fails.
    """
    if gpus is not None and ranks is not None:
        raise InputError("--gpus and --ranks: found both, expected GPUs or processes on the CPU")
    orders = plan(_groups(gpus), ranks, largest)
    if dry_run:
        _show(orders)
        return
    check(orders)
    target = out or realrun.free_name(Path("runs") / "collectives")
    realrun.check_target(target)
    points: list[Point] = []
    for order in orders:
        with progress(f"collectives on {order.ranks}", quiet=False) as step:
            points += measure(order, step)
    about = {
        "backend": orders[0].backend,
        "gpus": [order.ranks for order in orders],
        "stack": points[0].stack,
        "host": platform.node(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "latency_us": medians(points),
    }
    with realrun.whole(target) as draft:
        (draft / "collectives.csv").write_text(table(points), encoding="utf-8")
        (draft / "collectives.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"Saved in {target}")


def _groups(gpus: str | None) -> list[int]:
    """Read 2,4,8."""
    try:
        groups = [int(part) for part in gpus.split(",")] if gpus is not None else []
    except ValueError:
        groups = [0]
    if any(group < 2 for group in groups):
        raise InputError(f"--gpus {gpus}: expected numbers from 2 on, such as 2,4,8")
    return groups


def _show(orders: Sequence[Order]) -> None:
    for order in orders:
        where = "GPUs" if order.backend == "nccl" else "processes on the CPU"
        sizes = f"{order.sizes[0]} to {order.sizes[-1]} bytes"
        print(f"{order.ranks} {where}, {order.backend}, {sizes}, {len(order.points)} points:")
        print(f"  {', '.join(sorted({name for name, _, _ in order.points}))}; {', '.join(order.impls)}")
