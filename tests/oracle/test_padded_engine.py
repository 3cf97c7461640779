"""Engines that pad against a naive one that takes a step at a time: equal to the nanosecond."""

from dataclasses import replace

import numpy as np
import pytest

from sim.engine import EngineLimits
from sim.engine.batching import Batching, Static, Timer, TwoLevel
from sim.engine.padded import PaddedEngines
from sim.kernel.layout import FINISHED, NIL
from sim.request import Requests
from sim.steptime.cost import StepCost, device_fs
from sim.steptime.shape import StepShape
from tests.oracle.padded import SUMS, ArticleBatcher, Fate, Job, NaivePadded, NaiveStatic, NaiveTimer
from tests.oracle.station import requests as columns

SEATS, BUDGET, BLOCKS, BLOCK = 9, 40, 60, 4


def cost(rng: np.random.Generator) -> StepCost:
    """Random tables; every step takes from 0.3 to some hundred us."""
    tokens, seqs = BUDGET + 1, SEATS + 1

    def table(*shape: int) -> np.ndarray:
        return rng.integers(1, 10**11, shape)

    return StepCost(
        mixed_fs=table(tokens), decode_fs=table(seqs), knots=np.array([0, 20, 33]), attention_fs=table(seqs, 3),
        attention_slope_fs=table(seqs, 3) // 100, pair_fs=3 * 10**7, sampled_fs=table(seqs) // 10,
        host_fs=table(seqs), overlap=bool(rng.integers(2)), comm_mixed_fs=table(tokens), comm_decode_fs=table(seqs),
    )  # fmt: skip


def policies(rng: np.random.Generator) -> tuple[Batching, NaiveStatic | NaiveTimer | ArticleBatcher]:
    """A random policy, ours and the naive one."""
    size, wait = int(rng.integers(1, 12)), int(rng.integers(1, 3_000_000))
    match rng.integers(4):
        case 0:
            return Static(size, wait), NaiveStatic(size, wait)
        case 1:
            cap = size if rng.integers(2) else None
            return Timer(wait, cap), NaiveTimer(wait, cap)
        case kind:
            fill, tick = float(rng.choice([0.0, 0.3, 0.7, 1.0])), int(rng.integers(1, 5_000_000))
            tick_ns = tick if rng.integers(3) else None
            longest = None if kind == 2 else int(rng.integers(0, 6_000_000))
            bounds = tuple(sorted(set(rng.integers(1, 60, rng.integers(0, 4)).tolist())))
            wait = max(wait, 100_000)
            return (
                TwoLevel(size, wait, fill, tick_ns, bounds, longest),
                ArticleBatcher(size, wait, fill, tick_ns, bounds, longest),
            )


def jobs(rng: np.random.Generator, count: int) -> list[Job]:
    """Traffic in bursts, some at one instant; a few are aborted."""
    arrival = np.sort(rng.integers(0, rng.integers(10**6, 2 * 10**7), count)) // 1000 * 1000
    drawn = []
    for at in arrival.tolist():
        output = int(rng.integers(1, 20))
        abort = at + int(rng.integers(0, 10**7)) if rng.random() < 0.15 else 2**62
        drawn.append(Job(at, int(rng.integers(1, 60)), output, output + int(rng.integers(0, 5)), abort))
    return drawn


def drawn_columns(drawn: list[Job]) -> Requests:
    found = columns([0] * len(drawn), [job.prompt for job in drawn], [job.output for job in drawn])
    return replace(found, max_tokens=np.array([job.max_tokens for job in drawn], np.int32))


def serve(policy: Batching, step: StepCost, drawn: list[Job], rng: np.random.Generator) -> PaddedEngines:
    limits = EngineLimits(BUDGET, SEATS, 1000, BLOCK, BLOCKS + 1)
    weights = np.arange(BUDGET + 1.0)
    engine = PaddedEngines(
        [limits], [0], [step], [weights], drawn_columns(drawn), np.zeros(len(drawn), np.int32), [policy]
    )
    stops = sorted(
        [(job.arrival, 0, i) for i, job in enumerate(drawn)]
        + [(job.abort, 1, i) for i, job in enumerate(drawn) if job.abort < 2**62]
        + [(int(at), 2, 0) for at in rng.integers(0, 3 * 10**7, 5)]  # the world looks: that must change nothing
    )
    for at, act, i in stops:
        while engine.advance(at) is not None:
            pass
        if act == 0:
            engine.enqueue(0, i, at, watched=bool(i % 2))
        elif act == 1:
            engine.abort(i, at)
    while engine.advance(2**62 - 1) is not None:
        pass
    return engine


def tokens_of(fates: list[Fate]) -> list[int]:
    return sorted(late - early for fate in fates for early, late in zip(fate.tokens, fate.tokens[1:], strict=False))


def comm_fs(step: StepCost, shape: StepShape) -> int:
    of_prefill = shape.prefill_tokens > 0
    return int(step.comm_mixed_fs[shape.prefill_tokens] if of_prefill else step.comm_decode_fs[shape.decode_seqs])


@pytest.mark.parametrize("seed", range(120))
def test_equal_to_the_naive_engine(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step, (policy, naive_policy), drawn = cost(rng), policies(rng), jobs(rng, 60)
    naive = NaivePadded(naive_policy, step, BUDGET, BLOCKS, BLOCK, SEATS)
    fates = naive.run(drawn)
    engine = serve(policy, step, drawn, rng)
    rows, replica, padded = engine.rows, engine.state.replicas[0], engine.padded[0]
    for job, fate, row in zip(drawn, fates, rows, strict=True):
        assert row["first_scheduled_ns"] == fate.started
        assert row["produced"] == len(fate.tokens)
        assert row["first_token_ns"] == (fate.tokens[0] if fate.tokens else NIL)
        assert (row["status"] == FINISHED) == (len(fate.tokens) == job.output)
        if fate.tokens:
            assert row["last_token_ns"] == fate.tokens[-1]
        assert row["left_ns"] == max(fate.forgotten, fate.aborted)
    gaps, counts = engine.take_itl()
    assert np.sort(np.repeat(gaps.astype(np.int64), counts)).tolist() == tokens_of(fates)
    assert replica["steps"] == len(naive.shapes)
    assert replica["busy_ns"] == sum(naive.took)
    assert replica["peak_running"] == max(naive.batches, default=0)
    assert replica["device_fs"] == pytest.approx(sum(device_fs(step, shape) for shape in naive.ended), rel=1e-12)
    assert replica["comm_fs"] == pytest.approx(sum(comm_fs(step, shape) for shape in naive.ended), rel=1e-12)
    tokens = [shape.prefill_tokens + shape.decode_seqs for shape in naive.ended]
    assert replica["weight_bytes"] == sum(tokens)
    assert replica["peak_step_tokens"] == max(tokens, default=0)
    for name in SUMS:
        assert replica[name] == naive.useful[name]
        assert padded[name] == naive.computed[name] - naive.useful[name]
    assert padded["kv_reserved_ns"] == pytest.approx(naive.reserved, rel=1e-12)
    assert padded["kv_held_ns"] == pytest.approx(naive.held, rel=1e-12)
    assert replica["free_blocks"] == BLOCKS
    assert engine.unfinished == replica["running"] == replica["waiting"] == engine.state.outstanding[0] == 0
