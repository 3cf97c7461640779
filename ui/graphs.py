"""What the figures of a run share; plotly comes late, because it is heavy and optional."""

import importlib
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
