"""Padded engines that die, hang or lose a request, worked out by hand.

A prefill of two prompts of 2 takes 40 ns, a decode step of two sequences 100 ns, of one 70 ns.
"""

import numpy as np

from sim.engine.batching import Timer
from sim.engine.padded import PaddedEngines
from sim.kernel.layout import FINISHED, GONE, NIL
from tests.oracle.station import cost, limits, requests

END = 2**62 - 1


def engine(outputs: list[int]) -> PaddedEngines:
    """Rows 0 and 1 make a batch at 10 ns, with prompts of 2 tokens; the others are not sent yet."""
    kind = limits(2, max_num_batched_tokens=4, block_size=4, num_gpu_blocks=20)
    drawn = requests(np.zeros(len(outputs)), 2, outputs)
    step = cost([0, 70, 100], [0, 10, 20, 30, 40])
    policies = [Timer(10, None)]
    made = PaddedEngines([kind], [0], [step], [np.zeros(5)], drawn, np.zeros(len(outputs), np.int32), policies)
    for row in (0, 1):
        made.enqueue(0, row, 0, watched=row == 1)
    return made


def test_undisturbed() -> None:
    made = engine([4, 2])
    assert made.advance(END).tolist() == [1]
    assert made.now == 150  # 10 + 40 + 100
    assert made.advance(END) is None
    row = made.rows[0]
    assert (row["first_scheduled_ns"], row["first_token_ns"], row["last_token_ns"]) == (10, 50, 350)
    assert made.held(0).tolist() == []


def test_a_replica_that_dies_loses_its_batch_and_the_step_under_way() -> None:
    """Tokens come at 50, 150 and 250; row 1 is through with its third."""
    made = engine([9, 3, 2])
    assert made.advance(200) is None
    made.enqueue(0, 2, 200, watched=False)
    assert made.advance(249) is None
    assert made.held(0).tolist() == [0, 1, 2]
    assert made.evict(0, 250).tolist() == [0, 1, 2]  # a death at the instant of a step's end comes first
    assert (made.rows["status"] == GONE).all()
    assert made.rows["left_ns"].tolist() == [250, 250, 250]
    assert made.rows["produced"].tolist() == [2, 2, 0]
    assert made.state.replicas[0]["steps"] == 2


def test_what_a_dead_replica_gave_stands_and_the_next_one_is_empty() -> None:
    made = engine([4, 4, 2])
    assert made.advance(200) is None
    assert made.evict(0, 200).tolist() == [0, 1]
    assert made.rows["produced"][:2].tolist() == [2, 2]
    assert made.state.replicas[0]["steps"] == 2
    assert made.state.replicas[0]["free_blocks"] == 19
    made.enqueue(0, 2, 200, watched=False)
    assert made.advance(END) is None
    assert made.rows["first_scheduled_ns"][2] == 210
    assert made.rows["status"][2] == FINISHED
    assert made.unfinished == 0


def test_a_hung_replica_takes_requests_and_serves_none() -> None:
    made = engine([4, 4, 2])
    assert made.advance(200) is None
    made.halt(0, 200)
    made.enqueue(0, 2, 220, watched=True)
    assert made.advance(END) is None
    made.settle(10_000)
    assert made.rows["produced"].tolist() == [2, 2, 0]
    assert made.state.replicas[0]["busy_ns"] == 140
    assert made.evict(0, 10_000).tolist() == [0, 1, 2]


def test_an_aborted_row_stays_as_padding() -> None:
    """Its neighbour's steps go on taking the time of two sequences, but the batch ends with its answer."""
    made = engine([9, 3])
    assert made.advance(100) is None
    assert made.abort(0, 100)
    assert not made.abort(0, 100)
    assert made.advance(END).tolist() == [1]
    assert made.now == 250
    assert made.rows["left_ns"].tolist() == [100, NIL]
    assert made.padded["decode_tokens"][0] == 2
    assert made.state.replicas[0]["free_blocks"] == 19
    assert made.state.next_ns[0] == 2**62
