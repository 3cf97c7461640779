"""The look: one colour a design everywhere, sizes, and what Streamlit is told about light and dark."""

from collections.abc import Mapping
from dataclasses import dataclass

from sim import catalog

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933")
"""Okabe & Ito's palette (2008), which the colour-blind tell apart; without yellow and black, which light and dark
backgrounds swallow, with olive of Tol's "muted" (2021)."""

_FIRST = ("h100-sxm-80gb", "h200-sxm-141gb", "a100-sxm-80gb", "l40s-48gb", "b200-sxm-192gb", "h20-96gb")
"""GPUs that are compared most, so that their colours differ; the others follow in the catalogue's order."""

SYMBOLS: Mapping[int, str] = {1: "circle", 2: "square", 4: "diamond", 8: "triangle-up", 16: "star"}
"""By GPUs of a replica."""

MUTED = "#8C8C8C"
LIMIT = "#DC3D43"
"""Lines of limits: contrast above 4 on the light and on the dark background."""

HEIGHT = 380


@dataclass(frozen=True, slots=True)
class Look:
    """How a design is drawn: hue by GPU, symbol by the GPUs of a replica, dash by the market."""

    colour: str
    symbol: str
    dash: str


def look(gpu: str, gpus_per_replica: int, market: str) -> Look:
    """How a design is drawn, on every page."""
    rest = [one for one in catalog.gpu_ids() if one not in _FIRST]
    place = [*_FIRST, *rest].index(gpu) if gpu in (*_FIRST, *rest) else len(COLOURS) - 1
    return Look(
        COLOURS[place % len(COLOURS)],
        SYMBOLS.get(gpus_per_replica, "x"),
        "dot" if market == "spot" else "dash" if market == "mixed" else "solid",
    )


def faint(colour: str, share: float = 0.25) -> str:
    """A colour of `COLOURS` for a band."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


STREAMLIT = {
    "theme.baseRadius": "small",
    "theme.showWidgetBorder": True,
    "theme.metricValueFontSize": "1.5rem",
    "theme.light.primaryColor": "#00629B",
    "theme.light.backgroundColor": "#FFFFFF",
    "theme.light.secondaryBackgroundColor": "#F4F6F8",
    "theme.light.textColor": "#1B2733",
    "theme.dark.primaryColor": "#56B4E9",
    "theme.dark.backgroundColor": "#10161D",
    "theme.dark.secondaryBackgroundColor": "#18212B",
    "theme.dark.textColor": "#E4EAF0",
}
"""Streamlit's configuration, as ui/commands/ui.py passes it."""
