"""The whole audit: every claim answered, topics side by side in processes."""

from collections.abc import Callable, Sequence

from sim.audit import claims
from sim.audit.answer import Answer, Question, answer
from sim.errors import InputError
from sim.study.executor import Executor, Failed

Progress = Callable[[int, int], None]


def audit(names: Sequence[str], executor: Executor, progress: Progress) -> list[Answer]:
    """Answer claims; all that are known where `names` is empty.

    Raises:
        InputError: there is no such claim, or one could not be answered.
    """
    wanted = list(names) or list(claims.known())
    tasks = [chosen for topic in claims.topics().values() if (chosen := [one for one in topic if one in wanted])]
    unknown = [one for one in wanted if one not in claims.known()]
    if unknown:
        answer(Question(unknown[0]))
    found: dict[str, Answer] = {}
    for number, result in executor.run(answer_all, tasks):
        if isinstance(result, Failed):
            raise InputError(f"{' '.join(tasks[number])}: {result.sentence}")
        found |= {one.claim.id: one for one in result}
        progress(len(found), len(wanted))
    return [found[one] for one in sorted(found, key=lambda name: int(name[1:]))]


def answer_all(names: Sequence[str]) -> list[Answer]:
    """Answer claims one after the other; they share what was simulated for one of them."""
    return [answer(Question(one)) for one in names]
