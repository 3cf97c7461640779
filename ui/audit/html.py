"""The audit as one HTML file that opens offline, with figures and without scripts."""

from collections.abc import Sequence
from html import escape

from sim.audit.alternative import Alternative
from sim.audit.answer import Answer
from sim.audit.audit import Audit
from sim.audit.evidence import Reading
from ui.audit.svg import curves, forest
from ui.audit.words import (
    RULE,
    TEXT,
    VERDICTS,
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
from ui.htmlstyle import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_MORE = """
svg { width: 100%; max-width: 720px; height: auto; display: block; margin: .6em 0; font-size: 12px; }
svg text { fill: var(--text); } svg .grid { stroke: var(--line); } svg .claimed { fill: #E69F00; fill-opacity: .35; }
svg path.ours { stroke: #0072B2; stroke-width: 3; } svg circle.ours { fill: #0072B2; }
td { white-space: normal; text-align: left; vertical-align: top; } th { text-align: left; }
blockquote { margin: .5em 0; padding: .2em 1em; border-left: 4px solid var(--line); }
.verdict { border-radius: 4px; padding: .1em .5em; background: var(--panel); font-weight: 600; }
.supported { color: var(--green); } .contradicted, .inconsistent { color: var(--red); }
.conditional, .unsupported { color: var(--yellow); } a { color: inherit; }
"""


def html(found: Audit, language: Language) -> str:
    """Write it; the same answers give the same bytes."""
    text, answers = TEXT[language], found.answers
    rows = []
    for one in answers:
        name, *told = overview(one, language)
        rows.append((f'<a href="#{name}">{name}</a>', *map(escape, told), _verdict(one, language)))
    body = [
        f"<h1>{text['title']}</h1>",
        f"<p>{text['intro']}</p>",
        f"<p>{counts(answers, language)}</p>",
        _table((text["claim"], text["article"], text["ours"], text["reading"], text["verdict"]), rows),
        f"<h2>{text['rule']}</h2>",
        "<ol>" + "".join(f"<li>{escape(one)}</li>" for one in RULE[language]) + "</ol>",
        *(_claim(one, language) for one in answers),
        "" if found.alternative is None else _alternative(found.alternative, language),
    ]
    tag = "zh-Hans" if language == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{text['title']}</title>\n<style>{STYLE}{_MORE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _claim(one: Answer, language: Language) -> str:
    text, claim, evidence = TEXT[language], one.claim, one.evidence
    moved = [influence(one, found, language) for found in one.matters] or [text["nothing"]]
    parts = [
        f'<h2 id="{claim.id}">{claim.id} {_verdict(one, language)}</h2>',
        f"<blockquote>{escape(getattr(claim.sentence, language))}</blockquote>",
        f"<p><b>{text['definition']}.</b> {escape(getattr(claim.definition, language))}</p>",
        _readings(evidence.readings, language),
        forest(evidence.readings, language),
        "" if evidence.figure is None else curves(evidence.figure, language),
        f"<p><b>{text['matters']}.</b></p><ul>{''.join(f'<li>{escape(line)}</li>' for line in moved)}</ul>",
        f"<p><b>{text['true_if']}.</b> {escape(one.true_if(language))}</p>",
    ]
    if claim.later is not None:
        parts.append(f"<p><b>{text['later']}.</b> {escape(getattr(claim.later, language))}</p>")
    return "\n".join(part for part in parts if part)


def _alternative(one: Alternative, language: Language) -> str:
    text = TEXT[language]
    rivals = [(escape(getattr(each.words, language)), number(each.usd_per_day)) for each in one.rivals]
    return "\n".join(
        [
            f'<h2 id="alternative">{text["alternative"]}</h2>',
            f"<p>{escape(alternative_intro(one, language))}</p>",
            f"<pre>{escape(serve_line(one))}</pre>",
            _readings(one.readings, language),
            forest(one.readings, language),
            f"<p><b>{text['rivals']}.</b></p>",
            _table((text["fleet"], text["cost"]), rivals),
        ]
    )


def _readings(of: Sequence[Reading], language: Language) -> str:
    rows = [tuple(escape(cell) for cell in reading_row(one, language)) for one in of]
    return _table(reading_head(language), rows)


def _verdict(one: Answer, language: Language) -> str:
    name = VERDICTS[language][one.ruling.verdict]
    told = verdict(one, language).removeprefix(name)
    return f'<span class="verdict {one.ruling.verdict.value}">{name}</span>{escape(told)}'


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    heads = "".join(f"<th>{one}</th>" for one in head)
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>'
