"""What colours, symbols and sizes mean, once for all charts of a page; wraps where a chart's own legend would not."""

from collections.abc import Iterable
from html import escape

import streamlit as st

from ui.app import theme
from ui.app.designs import Kind

_SIGNS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "star": "★", "x": "✕"}
_WRAPPED = "display:flex;flex-wrap:wrap;gap:2px 18px;align-items:center;font-size:14px"


def legend(kinds: Iterable[Kind], *others: str) -> None:
    """Draw it: the kinds of replicas, then signs made by this module."""
    items = [_item(_sign(kind), kind.name) for kind in kinds]
    st.html(f'<div style="{_WRAPPED}">{"".join([*items, *others])}</div>')


def ring(words: str, colour: str) -> str:
    """A ring around points."""
    return _item(_disc(14, f"border:2px solid {colour}"), words)


def disc(words: str, pixels: float) -> str:
    """A point of a size."""
    return _item(_disc(pixels, f"background:{theme.MUTED}"), words)


def mark(sign: str, words: str) -> str:
    """A character that looks like the mark."""
    return _item(_glyph(sign, theme.MUTED), words)


def _sign(kind: Kind) -> str:
    edge = f";-webkit-text-stroke:1.5px {theme.MUTED}" if kind.spot else ""
    return _glyph(_SIGNS[kind.look.symbol], f"{kind.look.colour}{edge}")


def _glyph(sign: str, colour: str) -> str:
    return f'<span aria-hidden="true" style="font-size:22px;line-height:1;color:{colour}">{sign}</span>'


def _disc(pixels: float, style: str) -> str:
    return (
        f'<span style="display:inline-block;width:{pixels:.0f}px;height:{pixels:.0f}px;border-radius:50%;'
        f'vertical-align:-2px;{style}"></span>'
    )


def _item(sign: str, words: str) -> str:
    return f'<span style="white-space:nowrap">{sign}&nbsp; {escape(words)}</span>'
