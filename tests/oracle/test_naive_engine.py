"""The naive engine's clock against timetables worked out by hand from vLLM's engine loop.

Costs: 10 ns a token in a step with prefill, 100 ns a decode-only step. A (5 in, 3 out) arrives at 0, B (4 in, 2 out)
at 60.
"""

import numpy as np
import pytest

from sim.steptime.cost import StepCost
from sim.steptime.shape import StepShape
from sim.units import FS_PER_NS
from tests.oracle.case import Config, Req
from tests.oracle.engine import NaiveEngine, Times, step_shape
from tests.oracle.naive import NaiveScheduler

ZEROS = np.zeros(101, np.int64)
FLAT = np.zeros((101, 1), np.int64)
COST = StepCost(
    mixed_fs=np.arange(101) * 10 * FS_PER_NS,
    decode_fs=np.full(101, 100 * FS_PER_NS),
    knots=np.zeros(1, np.int64),
    attention_fs=FLAT,
    attention_slope_fs=FLAT,
    pair_fs=0,
    sampled_fs=ZEROS,
    host_fs=ZEROS,
    overlap=True,
    comm_mixed_fs=ZEROS,
    comm_decode_fs=ZEROS,
)


def config(*, asynchronous: bool = False, num_gpu_blocks: int = 100, policy: str = "fcfs") -> Config:
    return Config(
        max_num_batched_tokens=100,
        max_num_seqs=10,
        block_size=4,
        num_gpu_blocks=num_gpu_blocks,
        max_model_len=100,
        policy=policy,
        async_scheduling=asynchronous,
    )


def request(id: int, prompt: int, output: int, *, eos: bool = False, priority: int = 0) -> Req:
    return Req(id, 0, prompt, output, output + 10 * eos, own_stream=id, priority=priority)


def serve(settings: Config, *sent: tuple[int, Req]) -> list[Times]:
    return NaiveEngine(settings, COST).run([req for _, req in sent], [at for at, _ in sent])


def test_sync() -> None:
    a, b = serve(config(), (0, request(0, 5, 3)), (60, request(1, 4, 2)))
    assert (a.first_scheduled_ns, a.token_ns) == (0, [50, 150, 200])  # the last step holds B's prompt: 5 tokens
    assert (b.first_scheduled_ns, b.token_ns) == (150, [200, 300])
    assert (a.itl_ns, a.first_token_ns, a.last_token_ns) == ([100, 50], 50, 200)


def test_async_takes_an_arrival_into_the_step_after_next() -> None:
    a, b = serve(config(asynchronous=True), (0, request(0, 5, 3)), (60, request(1, 4, 2)))
    assert (a.first_scheduled_ns, a.token_ns) == (0, [50, 150, 250])
    assert (b.first_scheduled_ns, b.token_ns) == (150, [290, 390])  # scheduled while A's last step starts


def test_async_wastes_a_step_after_eos() -> None:
    a, b = serve(config(asynchronous=True), (0, request(0, 5, 3, eos=True)), (240, request(1, 4, 2)))
    assert a.token_ns == [50, 150, 250]
    assert (b.first_scheduled_ns, b.token_ns) == (250, [390, 490])  # behind A's fourth token, which nobody reads


def test_async_after_an_empty_plan_starts_at_once() -> None:
    a, b = serve(config(asynchronous=True), (0, request(0, 5, 1)), (20, request(1, 4, 1)))
    assert a.token_ns == [50]
    assert (b.first_scheduled_ns, b.token_ns) == (50, [90])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_ties_and_the_instant_of_a_boundary_join(asynchronous: bool) -> None:
    sent = [(0, request(0, 5, 1)), (0, request(1, 3, 1)), (80, request(2, 2, 1))]
    first, second, third = serve(config(asynchronous=asynchronous), *sent)
    assert first.token_ns == second.token_ns == [80]
    assert (third.first_scheduled_ns, third.token_ns) == (80, [100])


def test_preemption_and_resumption() -> None:
    """Four usable blocks of four: both prompts of 7 fit, but not two answers of 3."""
    a, b = serve(config(num_gpu_blocks=5), (0, request(0, 7, 3)), (0, request(1, 7, 3)))
    assert (a.preemptions, b.preemptions) == (0, 1)
    assert a.token_ns == [140, 240, 340]
    # A's third block was B's second; at 340 B finds its first in the cache and recomputes tokens 5 to 9
    assert (b.first_scheduled_ns, b.last_scheduled_ns, b.token_ns) == (0, 340, [140, 240, 390])


def test_a_request_that_never_fits_is_left_waiting() -> None:
    (times,) = serve(config(num_gpu_blocks=2), (0, request(0, 9, 1)))
    assert not times.finished
    assert times.first_scheduled_ns == -1


def test_step_shape_tells_prefill_from_decode() -> None:
    scheduler = NaiveScheduler(config())
    scheduler.add(request(0, 5, 3))
    scheduler.schedule(0)
    assert step_shape(scheduler.in_flight[0]) == StepShape(5, 1, 15, 0, 0, 1)
    scheduler.update()
    scheduler.add(request(1, 4, 2))
    scheduler.schedule(1)
    assert step_shape(scheduler.in_flight[0]) == StepShape(4, 1, 10, 1, 6, 2)
