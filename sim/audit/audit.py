"""The whole audit: every claim answered, topics side by side in processes, and the designed alternative at its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sim.audit import claims
from sim.audit.alternative import Alternative, alternative
from sim.audit.answer import Answer, Question, answer, find
from sim.audit.lab import Lab
from sim.errors import InputError
from sim.study.executor import Executor, Failed

Progress = Callable[[int, int], None]
Task = tuple[str, ...]
"""Claims of one topic, or none: the alternative."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    answers: tuple[Answer, ...]
    """In the article's order."""
    alternative: Alternative | None
    """Where all claims were asked for."""


def audit(names: Sequence[str], executor: Executor, progress: Progress) -> Audit:
    """Answer claims; where `names` is empty all that are known, and design the alternative.

    Raises:
        InputError: there is no such claim, or one could not be answered.
    """
    for name in names:
        find(name)
    wanted = list(names) or list(claims.known())
    tasks: list[Task] = [] if names else [()]
    tasks += [chosen for topic in claims.topics().values() if (chosen := tuple(one for one in topic if one in wanted))]
    found: dict[str, Answer] = {}
    designed: Alternative | None = None
    for number, result in executor.run(_work, tasks):
        if isinstance(result, Failed):
            raise InputError(f"{' '.join(tasks[number]) or 'the alternative'}: {result.sentence}")
        if isinstance(result, Alternative):
            designed = result
        else:
            found |= {one.claim.id: one for one in result}
            progress(len(found), len(wanted))
    return Audit(tuple(found[one] for one in sorted(found, key=lambda name: int(name[1:]))), designed)


def _work(names: Task) -> list[Answer] | Alternative:
    """Claims one after the other, which share what was simulated for one of them."""
    return [answer(Question(one)) for one in names] if names else alternative(Lab())
