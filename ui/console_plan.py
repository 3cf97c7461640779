"""A plan on the terminal."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from sim.study import plan_words as words
from sim.study.plan import Fleet, Plan
from sim.study.plan_none import cannot_be, too_slow, why_none
from ui.page import WIDTH, heading, paragraph

_COLUMNS = (23, 10, 10, 10, 7, 9, 9)
"""Widths."""


def print_plan(found: Plan, commands: Mapping[str, str], files: Sequence[Path]) -> None:
    """Print the plan; without any ANSI code if the output is no terminal or NO_COLOR is set.

    Args:
        found: the plan.
        commands: what starts a replica, by the name of its kind.
        files: the scenario of each fleet.
    """
    text = render(found, commands, files)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        sys.stdout.write(text.plain)
    else:
        Console(highlight=False).print(text, end="", soft_wrap=True)


def render(found: Plan, commands: Mapping[str, str], files: Sequence[Path]) -> Text:
    """Lay the plan out as styled text of 80 columns (longer only where a name or command is)."""
    page = Text()
    if found.fleets:
        _answer(page, found)
    else:
        page.append("No fleet keeps the SLO.\n", "bold red")
        for sentence in why_none(found):
            paragraph(page, sentence)
    _others(page, found)
    heading(page, "What this rests on")
    for sentence in words.notes(found):
        paragraph(page, sentence, bullet="- ")
    if found.fleets:
        _start(page, commands, files)
    return page


def _answer(page: Text, found: Plan) -> None:
    best = words.name(found.fleets[0])
    first = words.headline(found)
    lines = wrap(first, WIDTH, break_long_words=False, break_on_hyphens=False)
    page.append("\n".join(lines) + "\n")
    page.stylize("bold", 0, len(best))
    if second := words.headline_without_reclaims(found):
        page.append("\n".join(wrap(second, WIDTH, break_long_words=False, break_on_hyphens=False)) + "\n")
    heading(page, "Cheapest fleets")
    _row(page, ("fleet", "market", "$/h", "$/1k good", "good %", "P99 TTFT", "P99 TPOT"), "dim")
    _row(page, ("", "", "", "", "", "ms", "ms"), "dim")
    for one in found.fleets:
        _fleet(page, one)
    heading(page, "Next-cheapest moves")
    for move in words.moves(found):
        paragraph(page, move.sentence, bullet="- ")
    heading(page, "Bottleneck")
    paragraph(page, words.bottleneck(found))


def _fleet(page: Text, one: Fleet) -> None:
    """A row, and below it the intervals where there are any."""
    values = [
        (words.value(one.evaluation, "usd_per_hour"), 2),
        (words.value(one.evaluation, "usd_per_1k_good_requests"), 3),
        (min((share.value for share in one.shares), key=lambda share: share.mean or 0.0).scaled(100), 1),
        (words.value(one.evaluation, "p99_ttft_ms"), 0),
        (words.value(one.evaluation, "p99_tpot_ms"), 1),
    ]
    market = one.offer.market.replace("_", " ")
    _row(
        page,
        (words.short(one), market, *("-" if v.mean is None else f"{v.mean:,.{digits}f}" for v, digits in values)),
        "",
    )
    halves = [words.half(v, digits, "±") for v, digits in values]
    if any(halves):
        _row(page, ("", "", *halves), "dim")


def _row(page: Text, cells: Sequence[str], style: str) -> None:
    left = [f"{cell:<{width}}" for cell, width in zip(cells[:2], _COLUMNS, strict=False)]
    right = [f"{cell:>{width}}" for cell, width in zip(cells[2:], _COLUMNS[2:], strict=True)]
    page.append(("  " + "".join([*left, *right])).rstrip() + "\n", style)


def _others(page: Text, found: Plan) -> None:
    """What became of all other candidates."""
    lines = []
    dearer: dict[str, list[str]] = {}
    for one in found.beaten:
        price = f"{one.offer.market.replace('_', ' ')} from ${one.usd_per_hour:,.2f}/h"
        dearer.setdefault(words.fleet(one.at_least, one.kind), []).append(price)
    lines += [f"{name} or more: {', '.join(prices)}." for name, prices in dearer.items()]
    lines += [f"{words.name(one)}: misses the SLO when its nodes are taken back." for one in found.missed]
    if found.fleets:
        lines += [too_slow(found, kind) for kind in found.hopeless]
        lines += [f"{kind.name}: {found.most} replicas are not enough." for kind, _ in found.too_small]
    lines += cannot_be(found)
    if lines:
        heading(page, "Other candidates")
    for line in lines:
        paragraph(page, line, bullet="- ")


def _start(page: Text, commands: Mapping[str, str], files: Sequence[Path]) -> None:
    heading(page, "Start each replica with")
    for name, command in commands.items():
        page.append(f"  {name}\n", "dim").append(f"    {command}\n")
    heading(page, "Scenario files (trilemma run FILE gives the same numbers)")
    for path in files:
        page.append(f"  {path}\n")
