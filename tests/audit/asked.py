"""Claims answered with some inputs changed, and the numbers of their readings."""

from sim.audit.answer import Answer, Question, answer


def ask(claim: str, **inputs: float) -> Answer:
    """The answer, without what its inputs' influences would take."""
    return answer(Question(claim, inputs, influences=False))


def mean(found: Answer, name: str) -> float:
    """The number of a reading."""
    number = found.evidence[name].ours.mean
    assert number is not None
    return number
