"""The audit as Markdown."""

from collections.abc import Sequence

from sim.audit.answer import Answer
from ui.audit.words import (
    HOLDS,
    RESTS,
    RULE,
    TEXT,
    Language,
    counts,
    headline,
    influence,
    interval,
    span,
    verdict,
)


def markdown(answers: list[Answer], language: Language) -> str:
    """Write it; the same answers give the same bytes."""
    text = TEXT[language]
    lines = [f"# {text['title']}", "", text["intro"], "", counts(answers, language), ""]
    lines += _table(
        (text["claim"], text["article"], text["ours"], text["verdict"]),
        [(one.claim.id, one.claim.claimed_words, headline(one, language), verdict(one, language)) for one in answers],
    )
    lines += ["", f"## {text['rule']}", ""]
    lines += [f"{i}. {one}" for i, one in enumerate(RULE[language], start=1)]
    for one in answers:
        lines += ["", *_claim(one, language)]
    return "\n".join(lines) + "\n"


def _claim(one: Answer, language: Language) -> list[str]:
    text, claim = TEXT[language], one.claim
    lines = [
        f"## {claim.id}: {verdict(one, language)}",
        "",
        f"> {getattr(claim.sentence, language)}",
        "",
        f"**{text['definition']}.** {getattr(claim.definition, language)}",
        "",
    ]
    lines += _table(
        (text["reading"], text["rests"], text["claimed"], text["ours"], text["verdict"]),
        [
            (
                getattr(reading.words, language),
                RESTS[language][reading.rests],
                span(reading.claimed, language),
                f"{interval(reading.ours, language)} {reading.unit}".rstrip(),
                "-" if reading.claimed is None else HOLDS[language][reading.holds],
            )
            for reading in one.evidence.readings
        ],
    )
    moved = "; ".join(influence(one, found, language) for found in one.matters) or text["nothing"]
    lines += ["", f"**{text['matters']}.** {moved}", "", f"**{text['true_if']}.** {one.true_if(language)}"]
    if claim.later is not None:
        lines += ["", f"**{text['later']}.** {getattr(claim.later, language)}"]
    return lines


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *(_row(row) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
