"""Audit: the article's claims; a reader changes a claim's inputs and sees the verdict move."""

from importlib.metadata import version

import streamlit as st

from sim.audit import claims
from sim.audit.answer import Answer, Question, answer
from sim.audit.claim import Claim
from ui.app import charts
from ui.app.evidence import curves, readings
from ui.app.frame import ask, live, problem, progress
from ui.app.jobs import Task
from ui.app.words import WORDS
from ui.audit.words import (
    LANGUAGES,
    RULE,
    TEXT,
    Language,
    headline,
    influence,
    number,
    reading_head,
    reading_row,
    verdict,
)


def main() -> None:
    """Draw the page: the claim, its inputs, the verdict that follows."""
    known = claims.known()
    with st.container(horizontal=True):
        name = st.selectbox(
            "Claim", list(known), key="audit_claim", bind="query-params", help=WORDS["claim"], width=140
        )
        language: Language = st.selectbox(
            "Language", LANGUAGES, key="audit_lang", bind="query-params", help=WORDS["audit_language"], width=120
        )
    claim = known[name][0]
    chosen = inputs(claim, language)

    def draw() -> bool:
        tasks = [_task(name, chosen, influences=matters) for matters in (False, True)]
        answers = ask("audit", tasks)
        done = [one.value for one in answers if one.state == "done"]
        failed = next((one.problem for one in answers if one.state == "failed"), "")
        if done:
            show(done[-1], language)
        else:
            st.header(f"{name}: {'cannot be answered' if failed else 'measuring ...'}", anchor=False)
            st.markdown(f"> {getattr(claim.sentence, language)}")
        if failed:
            problem(failed)
        return progress(answers, "measurements")

    live(draw)


def inputs(claim: Claim, language: Language) -> tuple[tuple[str, float], ...]:
    """A slider an input; those that stand where the claim has them are left out."""
    chosen = []
    columns = st.columns(max(len(claim.inputs), 1))
    for column, (name, one) in zip(columns, claim.inputs.items(), strict=False):
        words = getattr(one.words, language)
        value = column.slider(
            f"{words}, {one.unit}" if one.unit else words,
            float(one.low),
            float(one.high),
            float(one.value),
            step=(one.high - one.low) / 100,
            key=f"audit_{claim.id}_{name}",
            bind="query-params",
            help=f"{one.source}. {number(one.value)} {one.unit}",
        )
        if value != one.value:
            chosen.append((name, float(value)))
    return tuple(chosen)


def show(one: Answer, language: Language) -> None:
    """The verdict, and what it rests on."""
    text, claim = TEXT[language], one.claim
    st.header(f"{claim.id}: {verdict(one, language)}", anchor=False)
    st.markdown(f"> {getattr(claim.sentence, language)}")
    left, right = st.columns(2)
    left.metric(text["article"], claim.claimed_words, help=WORDS["claimed"])
    right.metric(text["ours"], headline(one, language), help=WORDS["audit_ours"])
    st.markdown(f"**{text['definition']}.** {getattr(claim.definition, language)}")
    rows = [reading_row(one_reading, language) for one_reading in one.evidence.readings]
    cells = [["\\-" if cell == "-" else cell for cell in row] for row in rows]  # a bullet in Markdown
    st.table([dict(zip(reading_head(language), row, strict=True)) for row in cells], hide_index=True)
    drawn = readings(one.evidence.readings, language)
    if drawn is not None:
        charts.show(drawn.figure, drawn.alt, "audit_readings")
    if one.evidence.figure is not None:
        drawn = curves(one.evidence.figure, language)
        charts.show(drawn.figure, drawn.alt, "audit_curves")
    if one.matters:
        st.markdown(f"**{text['matters']}.** " + "; ".join(influence(one, found, language) for found in one.matters))
    st.markdown(f"**{text['true_if']}.** {one.true_if(language)}")
    if claim.later is not None:
        st.markdown(f"**{text['later']}.** {getattr(claim.later, language)}")
    with st.expander(text["rule"]):
        st.markdown("\n".join(f"{i}. {line}" for i, line in enumerate(RULE[language], start=1)))


def _task(name: str, chosen: tuple[tuple[str, float], ...], *, influences: bool) -> Task:
    key = ("audit", name, chosen, influences, version("trilemma"))
    return Task(key, answer, (Question(name, dict(chosen), influences),))


main()
