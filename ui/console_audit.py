"""The audit on the terminal."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sim.audit.alternative import Alternative
from sim.audit.answer import Answer
from sim.audit.audit import Audit
from sim.audit.evidence import Reading
from sim.audit.verdict import Verdict
from ui.audit.words import (
    TEXT,
    Language,
    alternative_intro,
    counts,
    influence,
    overview,
    reading_row,
    serve_line,
    verdict,
)
from ui.page import heading, paragraph

_STYLES = {
    Verdict.SUPPORTED: "green",
    Verdict.CONDITIONAL: "yellow",
    Verdict.CONTRADICTED: "red",
    Verdict.INCONSISTENT: "red",
    Verdict.UNSUPPORTED: "yellow",
    Verdict.QUALITATIVE: "dim",
}
FEW = 3
"""Up to so many claims are told in full."""


def print_audit(found: Audit, language: Language, files: list[Path]) -> None:
    """Print it; without any ANSI code if the output is no terminal or NO_COLOR is set."""
    text = render(found, language, files)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        sys.stdout.write(text.plain)
    else:
        Console(highlight=False).print(text, end="", soft_wrap=True)


def render(found: Audit, language: Language, files: list[Path]) -> Text:
    """Lay it out as styled text: a line or two a claim, or a few in full."""
    page, answers = Text(), found.answers
    if len(answers) <= FEW:
        for one in answers:
            _in_full(page, one, language)
    else:
        page.append(f"{counts(answers, language)}\n\n", "bold")
        for one in answers:
            page.append(f"{one.claim.id:<4}").append(verdict(one, language), _STYLES[one.ruling.verdict])
            _, article, ours, words = overview(one, language)
            page.append(f"\n    {article} → {ours}: {words}\n", "dim")
    if found.alternative is not None:
        _alternative(page, found.alternative, language)
    page.append("\n")
    for path in files:
        page.append(f"  {path}\n", "dim")
    return page


def _in_full(page: Text, one: Answer, language: Language) -> None:
    text, claim = TEXT[language], one.claim
    page.append(f"{claim.id} ", "bold").append(f"{verdict(one, language)}\n", _STYLES[one.ruling.verdict])
    paragraph(page, getattr(claim.sentence, language))
    heading(page, text["definition"])
    paragraph(page, getattr(claim.definition, language))
    heading(page, text["reading"])
    _readings(page, one.evidence.readings, language)
    heading(page, text["matters"])
    for found in one.matters:
        paragraph(page, influence(one, found, language), "- ")
    if not one.matters:
        paragraph(page, text["nothing"])
    heading(page, text["true_if"])
    paragraph(page, one.true_if(language))
    if claim.later is not None:
        heading(page, text["later"])
        paragraph(page, getattr(claim.later, language))


def _alternative(page: Text, one: Alternative, language: Language) -> None:
    text = TEXT[language]
    heading(page, text["alternative"])
    paragraph(page, alternative_intro(one, language))
    page.append(f"\n  {serve_line(one)}\n\n", "dim")
    _readings(page, one.readings, language)


def _readings(page: Text, of: Sequence[Reading], language: Language) -> None:
    for one in of:
        words, rests, claimed, ours, holds = reading_row(one, language)
        paragraph(page, f"{words} ({rests}):", "- ")
        told = ours if one.claimed is None else f"{ours}; {TEXT[language]['claimed'].lower()} {claimed}: {holds}"
        paragraph(page, f"  {told}", "  ")
