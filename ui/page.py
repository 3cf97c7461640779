"""Parts of a report on the terminal: headings, paragraphs, and numbers with what leaves them open beside."""

from textwrap import wrap

from rich.text import Text

from sim.stats import Interval

WIDTH = 80
RULE = 50
"""Columns of vLLM bench's rules."""


def rule(page: Text, title: str, fill: str) -> None:
    """A line that is filled with `fill` around the title, as vLLM bench draws it."""
    page.append(f"{title:{fill}^{RULE}}\n", "bold")


def heading(page: Text, title: str) -> None:
    """The title of a section, after an empty line."""
    page.append(f"\n{title}\n", "bold")


def paragraph(page: Text, words: str, bullet: str = "") -> None:
    """Words, wrapped and indented, the first line behind the bullet."""
    for i, line in enumerate(wrap(words, WIDTH - 2 - len(bullet), break_long_words=False)):
        page.append(f"  {bullet if i == 0 else ' ' * len(bullet)}{line}\n")


def number(page: Text, label: str, value: Interval, digits: int = 2, note: str = "") -> None:
    """A labelled number with its uncertainties, and a note where there is one."""
    around = beside(value, digits)
    line = f"{label:<40} {plain(value, digits):<{10 if around or note else 0}}"
    gap = "  " if len(line + around) + 2 + len(note) <= WIDTH else f"\n{'':<52}"
    page.append(line).append(f"{around}{gap if note else ''}{note}\n", "dim")


def count(page: Text, label: str, value: Interval) -> None:
    """A number, to the next integer."""
    number(page, label, value, digits=0)


def share(page: Text, label: str, value: Interval, note: str = "") -> None:
    """A share, printed as a percentage."""
    number(page, label, value.scaled(100), note=note)


def plain(value: Interval, digits: int) -> str:
    """The number alone; a dash where there is none."""
    return "-" if value.mean is None else f"{value.mean:.{digits}f}"


def beside(value: Interval, digits: int) -> str:
    """Both uncertainties, in the order of the legend."""
    reach = drawn(value, digits)
    return f"{half(value, digits)}{f' {reach}' if reach else ''}"


def half(value: Interval, digits: int) -> str:
    """Half the width of the interval, behind its sign."""
    return "" if value.half_width is None else f" ± {value.half_width:.{digits}f}"


def drawn(value: Interval, digits: int) -> str:
    """How far the calibration's range reaches, in brackets."""
    reach = value.calibration_half_width
    return "" if reach is None else f"(± {reach:.{digits}f})"
