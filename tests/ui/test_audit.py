"""The Audit page: its charts show the evidence, and the verdict moves with the inputs."""

from sim.audit.answer import Question, answer
from tests.ui.app import charts, open_app, settled


def test_a_claim_is_answered_and_its_chart_shows_the_readings() -> None:
    app = settled(open_app(page="audit", audit_claim="C28"))
    expected = answer(Question("C28", influences=False))
    assert app.header[0].value.startswith("C28: conditional")
    ours = next(trace for trace in charts(app)[0]["data"] if trace["name"] == "ours")
    in_seconds = [one for one in expected.evidence.readings if one.unit == "s"]
    assert ours["x"] == [one.ours.mean for one in in_seconds]
    first = in_seconds[0].ours
    assert ours["error_x"]["array"][0] == (first.high or 0) - (first.mean or 0)
    assert app.metric[0].value == "dynamic"


def test_the_verdict_moves_with_an_input() -> None:
    app = settled(open_app(page="audit", audit_claim="C28"))
    app.slider(key="audit_C28_limit").set_value(600.0).run()
    assert settled(app).header[0].value.startswith("C28: supported")


def test_the_claims_are_told_in_chinese() -> None:
    app = settled(open_app(page="audit", audit_claim="C27", audit_lang="zh"))
    assert app.header[0].value == "C27: 定性陈述"
    assert any("状态空间" in one.value for one in app.markdown)
