"""What the figures of a run share; plotly comes late, because it is heavy and optional."""

import importlib
import math
from typing import Any

from sim.errors import InputError

Figure = Any  # plotly has no types

SMALL = {"size": 11}
"""Font of what stands beside data."""
ROW = 14
"""Height of a bar among many, in pixels."""


def graph_objects() -> Any:  # noqa: ANN401
    """Plotly's graph objects.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("plotly.graph_objects")  # heavy and optional
    except ImportError:
        raise InputError('charts need plotly, found none: pip install "trilemma[ui]"') from None


def clock(end_s: float) -> tuple[str, float]:
    """The unit in which a run's time is told, and its seconds."""
    return ("s", 1.0) if end_s <= 600 else ("min", 60.0) if end_s <= 36_000 else ("h", 3600.0)


def short(value: float) -> str:
    """A number to three digits or more, never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def log_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round numbers between two: powers of ten with 2 and 5 between them where there is room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**power for power in decades for step in steps]
        if sum(low <= tick <= high for tick in ticks) <= most:
            return ticks
    return [10.0**power for power in decades[:: -(-len(decades) // most)]]
