"""What a search found, on the terminal."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from sim.stats import Interval
from sim.study.assess import FLEXIBILITY
from sim.study.found import Found
from sim.study.search import RESULTS, Prepared
from sim.study.trials import Tried
from sim.study.triangle import COST, Answer, Verdict
from sim.study.variations import short_keys
from ui.page import heading, paragraph

ROWS = 20
"""Of each list; the table on disk has all."""

_WORDS: Mapping[str, tuple[str, float, int]] = {
    "interactivity": ("tok/s/user", 1, 1),
    COST: ("$/1k good", 1, 3),
    "usd_per_hour": ("$/h", 1, 2),
    FLEXIBILITY: ("kept %", 100, 1),
    "good_share": ("good %", 100, 1),
}
"""By objective: a short name, what the number is multiplied by, digits."""


def print_found(prepared: Prepared, found: Found, out: Path) -> None:
    """Print what was found; without any ANSI code if the output is no terminal or NO_COLOR is set."""
    text = render(prepared, found, out)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        sys.stdout.write(text.plain)
    else:
        Console(highlight=False).print(text, end="", soft_wrap=True)


def render(prepared: Prepared, found: Found, out: Path) -> Text:
    """Lay it out as styled text."""
    page = Text()
    size = prepared.space.size
    of = f" of {size:,}" if size is not None else ""
    kept, failed = int(found.feasible.sum()), sum(one.failure is not None for one in found.tried)
    page.append(f"{len(found.tried)} designs tried{of}: {kept} keep the SLO, {failed} cannot be built.\n", "bold")
    if found.frontier.any():
        first = next(iter(prepared.search.objectives))
        heading(page, "Designs that no other beats")
        _table(page, prepared, found, _ranked(found, found.frontier, first))
        _near(page, prepared, found)
        heading(page, f"One design within {prepared.search.near * 100:.0f} % of the best in all three?")
        paragraph(page, _three_ways(prepared, found))
    else:
        paragraph(page, _why_none(found))
    _failures(page, found)
    heading(page, "Files")
    page.append(f"  {out / RESULTS}\n")
    if found.frontier.any():
        best = found.tried[_ranked(found, found.frontier, COST)[0]]
        sets = " ".join(f"--set {shlex.quote(setting)}" for setting in prepared.space.settings(best.point))
        page.append(f"  trilemma run {prepared.source} {sets}\n", "dim")
    return page


def answer_sentence(answer: Answer, design: str) -> str:
    """Say whether one design is near the best in all three; `design`: the label of the one that comes nearest."""
    near = f"{design} comes nearest: it is {_percent(answer.gap)} from the best where it is farthest"
    chance = "" if answer.probability is None else f" (probability that one is: {100 * answer.probability:.0f} %)"
    match answer.verdict:
        case Verdict.YES:
            return f"Yes. {near}{chance}."
        case Verdict.NO:
            return f"No. {near}{chance}."
        case _:
            return f"The replications do not decide it. {near}{chance}; more replications would."


def _percent(gap: Interval) -> str:
    if gap.mean is None:
        return "unknown"
    around = "" if gap.low is None or gap.high is None else f" ({100 * gap.low:.1f} to {100 * gap.high:.1f})"
    return f"{100 * gap.mean:.1f} %{around}"


def _three_ways(prepared: Prepared, found: Found) -> str:
    triangle = found.triangle
    if triangle is None:
        return "Not known: it takes flexibility among the objectives."
    answer = triangle.answer(prepared.search.near)
    if answer.design is None:
        return "No: no design that keeps the SLO has all three numbers."
    nearest = next(index for index, one in enumerate(found.tried) if str(one.number) == answer.design)
    label = "" if found.frontier[nearest] else f" ({_label(prepared, found, nearest)})"
    return answer_sentence(answer, f"Design {answer.design}{label}")


def _table(page: Text, prepared: Prepared, found: Found, rows: Sequence[int]) -> None:
    objectives = list(prepared.search.objectives)
    equal: dict[tuple[float, ...], list[int]] = {}
    for row in rows:
        equal.setdefault(tuple(found.objectives[row].tolist()), []).append(row)
    rows = [same[0] for same in equal.values()]
    names = [_WORDS.get(key, (key, 1, 2))[0] for key in objectives]
    cells = [[_number(found.interval(row, key), key) for key in objectives] for row in rows[:ROWS]]
    if FLEXIBILITY in objectives:
        names.append("min to recover")
        cells = [[*numbers, _minutes(found.tried[row])] for row, numbers in zip(rows, cells, strict=False)]
    widths = [max(len(cell) for cell in column) + 2 for column in zip(names, *cells, strict=True)]
    header = "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    page.append(f"  {'no.':>4}{header}  design\n", "dim")
    for row, same, numbers in zip(rows, equal.values(), cells, strict=False):
        told = "".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths, strict=True))
        others = f" (and {len(same) - 1} that come to the same)" if len(same) > 1 else ""
        page.append(f"  {found.tried[row].number:>4}{told}  {_label(prepared, found, row)}{others}\n")
    if len(rows) > ROWS:
        page.append(f"  and {len(rows) - ROWS} more\n", "dim")
    if any(value.half_width is not None for value in (found.interval(row, key) for row in rows for key in objectives)):
        page.append("  ±: 95 % interval of the mean over the replications\n", "dim")


def _minutes(one: Tried) -> str:
    """The longest time that it took to be as good as before."""
    if one.told is None or one.told.get("not_recovered"):
        return "not in time"
    minutes = one.told.get("minutes_to_recover")
    return "-" if minutes is None else f"{minutes:.1f}"


def _near(page: Text, prepared: Prepared, found: Found) -> None:
    rows = _ranked(found, found.near, COST)
    if not rows:
        return
    heading(page, f"Within {prepared.search.near * 100:.0f} % of the best cost")
    for row in rows[:ROWS]:
        usd = found.price(row)
        page.append(f"  {found.tried[row].number:>4}  ${usd:,.3f} per 1,000 good requests  ")
        page.append(f"{_label(prepared, found, row)}\n")
    if len(rows) > ROWS:
        page.append(f"  and {len(rows) - ROWS} more\n", "dim")


def _failures(page: Text, found: Found) -> None:
    said = list(dict.fromkeys(one.failure for one in found.tried if one.failure))
    if said:
        heading(page, "Cannot be built")
    for sentence in said[:3]:
        paragraph(page, sentence, bullet="- ")
    if len(said) > 3:
        page.append(f"  and for {len(said) - 3} more reasons\n", "dim")


def _why_none(found: Found) -> str:
    built = [one for one in found.tried if one.told]
    if not built:
        return "No design can be built."
    best = min(built, key=lambda one: one.told["margin"] if one.told else np.inf)
    lacking = best.told["margin"] if best.told else 0.0
    return (
        f"No design keeps the SLO with all objectives known; number {best.number} comes nearest: "
        f"its share of good requests lacks {100 * lacking:.2g} points."
    )


def _ranked(found: Found, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]], key: str) -> list[int]:
    """Indices of designs, best first."""
    rows = np.flatnonzero(chosen).tolist()
    if key in found.search.objectives:
        sign = -1 if found.search.objectives[key] == "maximise" else 1
        return sorted(rows, key=lambda row: sign * (found.interval(row, key).mean or 0.0))
    return sorted(rows, key=found.price)


def _number(value: Interval, key: str) -> str:
    _, factor, digits = _WORDS.get(key, (key, 1, 2))
    if value.mean is None:
        return "-"
    half = "" if value.half_width is None else f" ± {factor * value.half_width:,.{digits}f}"
    return f"{factor * value.mean:,.{digits}f}{half}"


def _label(prepared: Prepared, found: Found, row: int) -> str:
    keys = prepared.space.keys
    short = short_keys(keys)
    return ", ".join(f"{short[key]}={value}" for key, value in zip(keys, found.tried[row].point, strict=True))
