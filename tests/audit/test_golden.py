"""The audit in docs/audit is what the command gives: a few claims each time, all of them in the long lane."""

import json
from pathlib import Path

import pytest

from sim.audit import claims
from sim.audit.answer import Question, answer
from sim.audit.audit import Audit, audit
from sim.audit.claim import Span, Words
from sim.audit.evidence import Reading, Rests
from sim.audit.verdict import rule
from sim.stats import Interval
from sim.study.executor import LocalExecutor
from ui.audit.markdown import markdown
from ui.commands.audit import to_json

FOLDER = Path(__file__).parents[2] / "docs" / "audit"
GOLDEN = json.loads((FOLDER / "audit.json").read_text())
QUICK = ("C2", "C3", "C4", "C14", "C15", "C22", "C27", "C32", "C36", "C37", "C43", "C44")


def reading(told) -> Reading:
    claimed = None if told["claimed"] is None else Span(**told["claimed"])
    return Reading(
        told["name"], Words(**told["words"]), Rests(told["rests_on"]), Interval(**told["ours"]), told["unit"], claimed
    )


def alike(ours, golden) -> bool:
    """Equal but for the last digits of sums in another order on another machine."""
    if isinstance(golden, dict):
        return ours.keys() == golden.keys() and all(alike(ours[key], golden[key]) for key in golden)
    if isinstance(golden, list):
        return len(ours) == len(golden) and all(map(alike, ours, golden))
    if isinstance(golden, float):
        return ours == pytest.approx(golden, rel=1e-6, abs=1e-9)
    return ours == golden


def test_all_claims_of_the_article_are_there() -> None:
    assert [one["claim"]["id"] for one in GOLDEN["claims"]] == [f"C{n}" for n in range(1, 45)]
    assert list(claims.known()) == [f"C{n}" for n in range(1, 45)]


@pytest.mark.parametrize("told", GOLDEN["claims"], ids=lambda told: told["claim"]["id"])
def test_the_verdict_follows_from_the_readings(told) -> None:
    readings = [reading(one) for one in told["readings"]]
    ruling = rule(readings, qualitative=told["claim"]["kind"] == "qualitative")
    assert (ruling.verdict.value, ruling.could_be.value) == (told["verdict"], told["verdict_if_open_readings_hold"])
    assert [one.holds for one in readings] == [one["holds"] for one in told["readings"]]


@pytest.mark.parametrize("name", QUICK)
def test_a_claim_is_answered_as_in_the_docs(name) -> None:
    found = json.loads(json.dumps(to_json(Audit((answer(Question(name)),), None))))
    golden = next(one for one in GOLDEN["claims"] if one["claim"]["id"] == name)
    assert alike(found["claims"][0], golden)


def test_the_words_in_the_docs_are_those_of_the_claims() -> None:
    for language in ("en", "zh"):
        text = (FOLDER / f"audit.{language}.md").read_text(encoding="utf-8")
        for claim, _ in claims.known().values():
            assert getattr(claim.sentence, language) in text
            assert getattr(claim.definition, language) in text


@pytest.mark.full
def test_the_whole_audit_gives_the_docs() -> None:
    found = audit((), LocalExecutor(), lambda done, of: None)
    assert alike(json.loads(json.dumps(to_json(found))), GOLDEN)
    for language in ("en", "zh"):
        assert markdown(found, language) == (FOLDER / f"audit.{language}.md").read_text(encoding="utf-8")
