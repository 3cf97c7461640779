"""Figures of the audit as SVG: readings beside what is claimed, and curves. Colours come from the page's style."""

import math
from collections.abc import Callable, Sequence
from html import escape

from sim.audit.evidence import Curve, Figure, Reading
from ui.audit.words import Language, number
from ui.graphs import log_ticks

WIDTH = 720
_LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 300, 40, 26, 8, 34
_PLOT = 260
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

Scale = Callable[[float], float]


def forest(readings: Sequence[Reading], language: Language) -> str:
    """Readings of one unit as points with intervals over the claimed range; empty where nothing can be compared."""
    unit = readings[0].unit
    shown = [one for one in readings if one.unit == unit and one.ours.mean is not None]
    if not any(one.claimed for one in shown):
        return ""
    values = [v for one in shown for v in _bounds(one)]
    low, high = min(values), max(values)
    margin = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - margin, high + margin
    height = _TOP + _ROW * len(shown) + _BOTTOM
    at = _linear(low, high, _LEFT, WIDTH - _RIGHT)
    parts = [_axis(at, _ticks(low, high), _TOP, height - _BOTTOM, unit)]
    for i, one in enumerate(shown):
        y = _TOP + _ROW * (i + 0.5)
        if one.claimed is not None:
            start = at(low if one.claimed.low is None else max(one.claimed.low, low))
            end = at(high if one.claimed.high is None else min(one.claimed.high, high))
            parts.append(
                f'<rect class="claimed" x="{start:.1f}" y="{y - 9:.1f}" width="{max(end - start, 2):.1f}" height="18"/>'
            )
        mean = float(one.ours.mean or 0.0)
        bounds = one.ours.combined or (mean, mean)
        parts.append(f'<path class="ours" d="M{at(bounds[0]):.1f} {y:.1f}H{at(bounds[1]):.1f}"/>')
        parts.append(f'<circle class="ours" cx="{at(mean):.1f}" cy="{y:.1f}" r="4"/>')
        short = _shortened(getattr(one.words, language), _LEFT - 16)
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(short)}</text>')
    return _svg(
        height, parts, " ".join(f"{getattr(one.words, language)}: {number(one.ours.mean or 0)}." for one in shown)
    )


def curves(figure: Figure, language: Language) -> str:
    """Curves with their bands and a legend below."""
    xs = [x for one in figure.curves for x in one.x if not figure.log_x or x > 0]
    ys = [y for one in figure.curves for y in (*one.y, *(one.low or ()), *(one.high or ()))]
    top, bottom = max(ys), min(0.0, *ys)
    across = (_logarithmic if figure.log_x else _linear)(min(xs), max(xs), 70, WIDTH - _RIGHT)
    up = _linear(bottom, top + (top - bottom or 1.0) * 0.05, _TOP + _PLOT, _TOP + 20)
    ticks = log_ticks(min(xs), max(xs), 8) if figure.log_x else _ticks(min(xs), max(xs))
    ticks = [tick for tick in ticks if min(xs) <= tick <= max(xs)]
    parts = [_axis(across, ticks, _TOP + 20, _TOP + _PLOT, getattr(figure.x, language))]
    for tick in _ticks(bottom, top):
        parts.append(f'<path class="grid" d="M70 {up(tick):.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="62" y="{up(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    parts.append(f'<text x="70" y="{_TOP + 8}">{escape(getattr(figure.y, language))}</text>')
    y = _TOP + _PLOT + _BOTTOM + 14
    for one, colour in zip(figure.curves, COLOURS, strict=False):
        parts += _curve(one, colour, across, up)
        parts.append(f'<path d="M70 {y}h22" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="100" y="{y + 4}">{escape(getattr(one.name, language))}</text>')
        y += 20
    return _svg(y, parts, getattr(figure.title, language))


def _curve(one: Curve, colour: str, across: Scale, up: Scale) -> list[str]:
    parts = []
    if one.low is not None and one.high is not None:
        there = [f"{across(x):.1f} {up(y):.1f}" for x, y in zip(one.x, one.high, strict=True)]
        back = [f"{across(x):.1f} {up(y):.1f}" for x, y in zip(one.x, one.low, strict=True)]
        parts.append(f'<path d="M{"L".join([*there, *reversed(back)])}Z" fill="{colour}" fill-opacity=".18"/>')
    line = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in zip(one.x, one.y, strict=True))
    return [*parts, f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"/>']


def _axis(at: Scale, ticks: Sequence[float], top: float, bottom: float, title: str) -> str:
    parts = []
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{at(tick):.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{at(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{number(tick)}</text>')
    middle = (at(ticks[0]) + at(ticks[-1])) / 2
    return "".join([*parts, f'<text x="{middle:.1f}" y="{bottom + 30}" text-anchor="middle">{escape(title)}</text>'])


def _shortened(words: str, width: float) -> str:
    """As much as fits into so many pixels of the page's font, in which Chinese characters are twice as wide."""
    for i, letter in enumerate(words):
        width -= 12.0 if ord(letter) > 0x2E80 else 6.8
        if width < 0:
            return words[: max(i - 1, 0)].rstrip() + "…"
    return words


def _bounds(one: Reading) -> list[float]:
    mean = float(one.ours.mean or 0.0)
    claimed = [] if one.claimed is None else [v for v in (one.claimed.low, one.claimed.high) if v is not None]
    return [mean, *(one.ours.combined or ()), *claimed]


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low or 1.0) * (end - start)


def _logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    inner = _linear(math.log10(low), math.log10(high), start, end)
    return lambda value: inner(math.log10(value))


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, about five."""
    raw = (high - low or abs(high) or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


def _svg(height: float, parts: Sequence[str], alt: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(alt, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
