"""One visit of the grid: the engine is brought to the wanted batch, and the steps wanted are kept."""

from collections.abc import Iterator

from harness.profile_engine import Engine, Step
from harness.profile_grid import Ladder, Prefill, Visit
from sim.steptime.shape import StepShape

FIRST_STEPS = 12
"""Decode steps that warm up a fresh engine, after a prompt."""

SMALL = 256
"""Prompt tokens."""


class MissedError(Exception):
    """The engine made another step than the one asked for; the message says which."""


def warm_up(engine: Engine) -> None:
    """Make first steps that nobody measures: they fill caches and start threads."""
    for _ in range(min(4, engine.limits.seqs)):
        engine.add(min(64, engine.limits.prompt), FIRST_STEPS + 1)
    for _ in range(FIRST_STEPS):
        engine.step()
    engine.drain()


def measure(engine: Engine, visit: Visit) -> list[Step]:
    """Make the steps of a visit on an idle engine, and leave it idle.

    Raises:
        MissedError: a step was not what was asked for.
    """
    try:
        steps = list(_prefill(engine, visit) if isinstance(visit, Prefill) else _ladder(engine, visit))
    except MissedError:
        engine.drain()
        raise
    engine.drain()  # not after a Ctrl-C, which the workers get as well: nobody would answer
    return steps


def _prefill(engine: Engine, visit: Prefill) -> Iterator[Step]:
    """The step; a small one after another like it, since cold caches weigh more in it.

    Under async scheduling every one follows another: its time is what it adds to an engine that is busy.
    """
    if visit.context:
        yield _continuation(engine, visit)
        return
    for _ in range(2 if engine.overlaps or visit.shape.prefill_tokens <= SMALL else 1):
        for _ in range(visit.seqs):
            engine.add(visit.tokens, 1)
        last = engine.step()
    if engine.recorder.in_flight:  # async: the second is still under way
        last = engine.step()
    yield _expected(last, visit.shape)


def _continuation(engine: Engine, visit: Prefill) -> Step:
    """A prompt that earlier steps began: with a whole budget each, or with what others before it leave."""
    budget, longest = engine.limits.budget, engine.limits.model_len - 1
    before = visit.context % budget
    others = budget - before if before else 0
    while others:
        engine.add(min(others, longest), 1)
        others -= min(others, longest)
    engine.add(visit.context + visit.tokens, 1)
    for _ in range(visit.context // budget + 4):
        step = engine.step()
        if step is not None and step.shape == visit.shape:
            return step
    raise MissedError(f"no step of {visit.shape} came")


def _ladder(engine: Engine, visit: Ladder) -> Iterator[Step]:
    names = [engine.add(visit.context, engine.limits.model_len - visit.context) for _ in range(visit.levels[0])]
    _fill(engine, visit)
    for level in visit.levels:
        engine.abort(names[level:])
        del names[level:]
        _decodes(engine, level)  # the first of this size warms up
        yield _decodes(engine, level)
        for tokens in visit.beside(level, engine.limits):
            engine.add(tokens, 1)
            yield _beside(engine, level, tokens)


def _fill(engine: Engine, visit: Ladder) -> None:
    for _ in range(visit.growth):
        step = engine.step()
        if step is not None and step.shape.decode_seqs == visit.levels[0] and not step.shape.prefill_seqs:
            return
    raise MissedError(f"the engine did not come to decode {visit.levels[0]} sequences together")


def _decodes(engine: Engine, level: int) -> Step:
    """The next step of `level` decodes alone; under async scheduling older ones may end before it."""
    for _ in range(4):
        step = engine.step()
        if step is None:
            continue
        shape = step.shape
        if (shape.prefill_seqs, shape.decode_seqs, shape.sampled) == (0, level, level):
            return step
    raise MissedError(f"no step of {level} decodes came")


def _beside(engine: Engine, level: int, tokens: int) -> Step:
    """The next step with the prompt in it."""
    for _ in range(4):
        step = engine.step()
        if step is None or not step.shape.prefill_seqs:
            continue
        asked = (tokens, 1, tokens * (tokens + 1) // 2, level, level + 1)
        if (*step.shape[:4], step.shape.sampled) == asked:
            return step
        raise MissedError(f"asked for {tokens} prompt tokens beside {level} decodes, found {step.shape}")
    raise MissedError(f"no step of {tokens} prompt tokens beside {level} decodes came")


def _expected(step: Step | None, shape: StepShape) -> Step:
    if step is None or step.shape != shape:
        raise MissedError(f"asked for {shape}, found {None if step is None else step.shape}")
    return step
