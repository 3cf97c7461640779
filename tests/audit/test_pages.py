"""The audit as text: every number of the evidence, in both languages, safe in Markdown and HTML."""

import re
from html.parser import HTMLParser

import pytest

from sim.audit.audit import Audit
from tests.audit.made_up import answered
from ui.audit.html import html
from ui.audit.markdown import markdown
from ui.audit.words import LANGUAGES, Language, number
from ui.console_audit import render

FOUND = Audit((answered(),), None)


class Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [
            str(value) for name, value in attrs if name in ("src", "href") and not str(value).startswith("#")
        ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_html_stands_alone_and_has_figures(language: Language) -> None:
    text = html(FOUND, language)
    parts = Parts()
    parts.feed(text)
    assert parts.sources == []
    assert "script" not in parts.tags
    assert parts.tags.count("svg") == 2
    assert "<boils>" not in text
    assert "nan" not in re.sub(r"<style>.*</style>", "", text, flags=re.S).lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reading_is_told_with_its_interval(language: Language) -> None:
    joined = {"en": "to", "zh": "至"}[language]
    for text in (
        markdown(FOUND, language),
        html(FOUND, language),
        render(FOUND, language, []).plain,
    ):
        assert "2,870 °C" in text
        assert f"97.5 {joined} 102" in text  # 100 ± 2.48: t(2) = 4.303 times 1 / sqrt(3)
        assert {"en": "height (0 to 3,000 m): from 100 to 90", "zh": "高度（0 至 3,000 m）：由 100 变为 90"}[
            language
        ] in " ".join(text.split())


def test_a_bar_in_a_sentence_does_not_break_a_table() -> None:
    rows = [line for line in markdown(FOUND, "en").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}  # five columns


def test_numbers_keep_three_digits() -> None:
    assert [number(one) for one in (0.0, 12345.6, 12.345, 0.01234, 0.0000123, -2500.0, 99.95, 99.99968)] == [
        "0",
        "12,346",
        "12.3",
        "0.0123",
        "1.2e-05",
        "-2,500",
        "99.95",
        "99.9997",
    ]
