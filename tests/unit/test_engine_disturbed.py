"""Aborts, hangs, crashes and further tries on a timetable worked out by hand.

Costs: 10 ns a token in a step with prefill, 100 ns a decode-only step. Blocks of 4 tokens.
"""

from dataclasses import replace

import numpy as np
import pytest

from sim.engine import Engines
from sim.kernel.layout import FINISHED, GONE, UNSENT
from tests.oracle.case import Req
from tests.oracle.kernel import engines
from tests.oracle.test_naive_engine import COST, config, request

BOTH = pytest.mark.parametrize("asynchronous", [False, True])


def build(*reqs: Req, asynchronous: bool = False, replicas: int = 1, num_gpu_blocks: int = 100) -> Engines:
    return engines(config(asynchronous=asynchronous, num_gpu_blocks=num_gpu_blocks), reqs, COST, replicas)


def send(engine: Engines, *rows: int, replica: int = 0, at: int = 0) -> None:
    for row in rows:
        engine.enqueue(replica, row, at, watched=False)


def free_blocks(engine: Engines) -> int:
    return int(engine.state.replicas[0].free_blocks)


@BOTH
def test_an_abort_in_mid_step_frees_blocks_and_drops_the_token(asynchronous: bool) -> None:
    """A (5 in) and B (3 in) start at 0; the step of 8 tokens ends at 80, although B has left at 30."""
    engine = build(request(0, 5, 3), request(1, 3, 3), asynchronous=asynchronous)
    send(engine, 0, 1)
    engine.advance(30)
    assert free_blocks(engine) == 99 - 2 - 1  # asynchronously, the next step's token fits the same blocks
    assert engine.abort(1, 30)
    assert free_blocks(engine) == 99 - 2
    engine.advance(10**6)
    a, b = engine.rows
    assert (a.status, a.first_token_ns, a.last_token_ns, a.left_ns) == (FINISHED, 80, 280, -1)
    assert (b.status, b.first_token_ns, b.produced, b.left_ns) == (GONE, -1, 0, 30)
    assert b.tokens == 3 + asynchronous  # its first decode had been scheduled too
    replica = engine.state.replicas[0]
    assert replica.system_ns == 280 + 30
    assert (engine.unfinished, engine.state.outstanding[0]) == (0, 0)


def test_an_abort_at_a_boundary_comes_before_its_token() -> None:
    engine = build(request(0, 5, 3))
    send(engine, 0)
    engine.advance(150)
    assert engine.has_token(0)
    assert engine.abort(0, 150)
    engine.advance(10**6)
    assert (engine.rows[0].produced, engine.rows[0].last_token_ns) == (1, 50)
    assert engine.state.replicas[0].steps == 2  # the step ran to its end all the same


def test_only_what_is_in_an_engine_can_be_aborted() -> None:
    engine = build(request(0, 5, 1), request(1, 5, 1))
    assert not engine.abort(0, 0)  # unsent
    send(engine, 0)
    assert (engine.is_open(0), engine.unscheduled(0)) == (True, True)
    engine.advance(50)
    assert (engine.is_open(0), engine.unscheduled(0)) == (True, False)
    engine.advance(51)
    assert not engine.is_open(0)
    assert not engine.abort(0, 51)  # finished at 50
    send(engine, 1, at=60)
    assert engine.abort(1, 60)
    assert not engine.abort(1, 60)  # gone
    assert engine.rows[1].first_scheduled_ns == -1


def test_aborting_a_head_that_never_fits_lets_the_next_one_in() -> None:
    """Three usable blocks: 13 tokens never fit."""
    engine = build(request(0, 13, 1), request(1, 4, 1), num_gpu_blocks=4)
    send(engine, 0, 1)
    engine.advance(1000)
    assert engine.unscheduled(1)
    engine.abort(0, 1000)
    engine.advance(10**6)
    assert (engine.rows[1].first_scheduled_ns, engine.rows[1].last_token_ns) == (1000, 1040)


@BOTH
def test_a_dead_replica_is_as_new(asynchronous: bool) -> None:
    """A's blocks are cached; its next try on the new replica finds nothing of them."""
    engine = build(request(0, 9, 3), request(1, 5, 3), request(2, 5, 3), asynchronous=asynchronous, replicas=2)
    new = build(request(0, 9, 3), replicas=2)
    send(engine, 0, 1, replica=1)
    engine.advance(150)
    send(engine, 2, replica=1, at=150)
    assert engine.cached_blocks(np.array([0, 1], np.int32), 0).tolist() == [0, 2]
    assert engine.evict(1, 200).tolist() == [0, 1, 2]
    assert engine.cached_blocks(np.array([0, 1], np.int32), 0).tolist() == [0, 0]
    assert np.array_equal(engine.state.blocks, new.state.blocks)
    assert np.array_equal(engine.state.buckets, new.state.buckets)
    assert engine.rows["status"].tolist() == [GONE, GONE, GONE]
    assert engine.rows["left_ns"].tolist() == [200, 200, 200]
    assert engine.rows["produced"].tolist() == [1, 1, 0]  # of the step from 140 to 240 nothing is left
    assert (engine.state.replicas[1].steps, engine.state.replicas[1].busy_ns) == (1, 140)
    again = engine.another(0)
    send(engine, again, replica=1, at=300)
    engine.advance(10**6)
    row = engine.rows[again]
    assert (row.cached_tokens, row.first_token_ns, row.last_token_ns) == (0, 390, 590)


@BOTH
def test_a_hung_replica_takes_requests_and_serves_none(asynchronous: bool) -> None:
    engine = build(request(0, 5, 3), request(1, 5, 3), request(2, 5, 3), asynchronous=asynchronous)
    send(engine, 0)
    engine.advance(60)
    engine.halt(0, 60)
    send(engine, 1, 2, at=70)
    engine.advance(10**9)
    assert engine.abort(1, 10**9)
    assert engine.rows["produced"].tolist() == [1, 0, 0]
    assert engine.held(0).tolist() == [0, 2]
    assert engine.state.replicas[0].system_ns == 70 + 3 * (10**9 - 70)
    assert engine.evict(0, 10**9 + 5).tolist() == [0, 2]
    send(engine, engine.another(0), at=2 * 10**9)
    engine.advance(3 * 10**9)
    assert engine.rows[3].first_token_ns == 2 * 10**9 + 50


def test_a_further_try_has_the_same_content() -> None:
    """Two of its prompt's blocks are cached by the first try; priority and max_tokens are kept."""
    engine = build(request(0, 9, 3, eos=True, priority=7), request(1, 9, 1))
    send(engine, 0)
    engine.advance(1000)
    row = engine.another(0)
    assert row == 2
    assert engine.rows[row].status == UNSENT
    send(engine, row, at=1000)
    engine.advance(2000)
    again = engine.rows[row]
    assert (again.cached_tokens, again.prompt_tokens, again.output_tokens) == (8, 9, 3)
    assert (again.max_tokens, again.priority, again.content) == (13, 7, 0)
    assert again.tokens == 1 + 2


def test_further_tries_may_answer_at_other_lengths() -> None:
    """Many, and longer than any drawn request, so that rows and block tables grow; who looks at the rest sees on."""
    engine = build(replace(request(0, 9, 2), max_tokens=4))
    replicas, outstanding = engine.state.replicas, engine.state.outstanding
    rows = [engine.another(0, output) for output in (1, 4, 80, *[5] * 40)]
    assert rows == list(range(1, 44))
    assert engine.rows["max_tokens"][:4].tolist() == [4, 4, 4, 80]
    for row in range(44):
        send(engine, row, at=row * 10**6)
        engine.advance((row + 1) * 10**6)
    assert engine.rows["produced"].tolist() == [2, 1, 4, 80, *[5] * 40]
    assert engine.rows["status"].tolist() == [FINISHED] * 44
    assert engine.state.replicas is replicas
    assert engine.state.outstanding is outstanding


def test_a_watched_row_stops_the_clock() -> None:
    engine = build(request(0, 5, 1))
    send(engine, 0)
    row = engine.another(0)
    send(engine, row)
    engine.watch(row)
    ended = engine.advance(10**6)
    assert ended is not None
    assert (ended.tolist(), engine.now) == ([row], 60)  # of its 5 tokens 4 are the first try's
