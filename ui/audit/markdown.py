"""The audit as Markdown."""

from collections.abc import Sequence

from sim.audit.alternative import Alternative
from sim.audit.answer import Answer
from sim.audit.audit import Audit
from ui.audit.words import (
    RULE,
    TEXT,
    Language,
    alternative_intro,
    counts,
    influence,
    number,
    overview,
    reading_head,
    reading_row,
    serve_line,
    verdict,
)


def markdown(found: Audit, language: Language) -> str:
    """Write it; the same answers give the same bytes."""
    text, answers = TEXT[language], found.answers
    lines = [f"# {text['title']}", "", text["intro"], "", counts(answers, language), ""]
    lines += _table(
        (text["claim"], text["article"], text["ours"], text["reading"], text["verdict"]),
        [(*overview(one, language), verdict(one, language)) for one in answers],
    )
    lines += ["", f"## {text['rule']}", ""]
    lines += [f"{i}. {one}" for i, one in enumerate(RULE[language], start=1)]
    for one in answers:
        lines += ["", *_claim(one, language)]
    if found.alternative is not None:
        lines += ["", *_alternative(found.alternative, language)]
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
    lines += _table(reading_head(language), [reading_row(reading, language) for reading in one.evidence.readings])
    moved = "; ".join(influence(one, found, language) for found in one.matters) or text["nothing"]
    lines += ["", f"**{text['matters']}.** {moved}", "", f"**{text['true_if']}.** {one.true_if(language)}"]
    if claim.later is not None:
        lines += ["", f"**{text['later']}.** {getattr(claim.later, language)}"]
    return lines


def _alternative(one: Alternative, language: Language) -> list[str]:
    text = TEXT[language]
    rivals = [(getattr(each.words, language), number(each.usd_per_day)) for each in one.rivals]
    return [
        f"## {text['alternative']}",
        "",
        alternative_intro(one, language),
        "",
        f"    {serve_line(one)}",
        "",
        *_table(reading_head(language), [reading_row(reading, language) for reading in one.readings]),
        "",
        f"**{text['rivals']}.**",
        "",
        *_table((text["fleet"], text["cost"]), rivals),
    ]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *(_row(row) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
