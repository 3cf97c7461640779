"""The SimPy world and the engines in step: what comes first at one instant, and that stopping changes nothing."""

import numpy as np
import pytest

from sim.world import World
from tests.oracle.station import cost, engines, limits, requests

STEP = 100
"""ns"""


def world_of(sent, output=1, *, seats=2, replicas=1, **others):
    """Requests whose tokens take a step each, to be enqueued by the test."""
    drawn = requests(sent, output=output)
    return World(engines(limits(seats, **others), cost(np.full(seats + 1, STEP)), drawn, replicas))


def send(world, request, at, replica=0, *, watched=False):
    """Enqueue a request at its time, as an event of the world."""

    def arrive(_):
        assert world.now == at
        world.engines.enqueue(replica, request, at, watched=watched)

    world.timeout(at - world.now).callbacks.append(arrive)


def times(world, name):
    return world.engines.state.requests[name].tolist()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_arrival_at_the_instant_of_a_boundary_comes_first(asynchronous):
    world = world_of(np.zeros(2), [2, 1], async_scheduling=asynchronous)
    send(world, 0, 0)
    send(world, 1, 2 * STEP)  # where the first request ends and its engine would rest
    world.run()
    assert times(world, "first_scheduled_ns") == [0, 2 * STEP]
    assert times(world, "last_token_ns") == [2 * STEP, 3 * STEP]


def test_the_end_of_a_watched_request_is_an_event_at_its_time():
    world = world_of(np.zeros(4), [3, 1, 3, 2])
    ends = []
    world.on_end = lambda request: ends.append((request, world.now))
    for request, watched in enumerate([True, False, True, True]):
        send(world, request, 0, watched=watched)
    world.run()
    # two seats: 0 and 1, then 2 in 1's place; 0 ends at 300, 2 at 400 and 3, which follows 0, at 500
    assert ends == [(0, 300), (2, 400), (3, 500)]
    assert all(type(at) is int for _, at in ends)


def test_ends_at_one_instant_are_all_announced_there():
    world = world_of(np.zeros(6), 2, replicas=3)
    ends = []
    world.on_end = lambda request: ends.append((request, world.now))
    for request in range(6):
        send(world, request, 0, replica=request % 3, watched=True)
    world.run()
    assert sorted(ends) == [(request, 2 * STEP) for request in range(6)]


def test_an_answer_to_an_answer_finds_the_next_step_begun():
    """As in vLLM, which schedules again before any client has read the last output."""
    world = world_of(np.zeros(3), [1, 5, 1])
    world.on_end = lambda request: world.engines.enqueue(0, 2, world.now, watched=False)
    send(world, 0, 0, watched=True)
    send(world, 1, 0)
    world.run()
    assert times(world, "arrival_ns")[2] == STEP
    assert times(world, "first_scheduled_ns")[2] == 2 * STEP  # the step from 100 to 200 holds request 1 alone


def test_an_answer_to_an_answer_starts_an_idle_engine_at_once():
    world = world_of(np.zeros(2))
    world.on_end = lambda request: world.engines.enqueue(0, 1, world.now, watched=False)
    send(world, 0, 0, watched=True)
    world.run()
    assert times(world, "first_scheduled_ns") == [0, STEP]
    assert times(world, "last_token_ns") == [STEP, 2 * STEP]


def test_the_engines_stop_where_the_world_stops():
    world = world_of(np.zeros(1), 100)
    send(world, 0, 0)
    world.run(until=10 * STEP)
    assert world.now == 10 * STEP
    assert world.engines.now == 9 * STEP  # what happens at the stop itself is not processed
    assert world.engines.state.requests["produced"].tolist() == [9]
    assert world.engines.unfinished == 1
    world.run()
    assert times(world, "last_token_ns") == [100 * STEP]
    assert world.engines.unfinished == 0


def random_run(stops):
    """200 requests on three replicas; `stops`: delays of a process that only waits."""
    rng = np.random.default_rng(8)
    sent = np.sort(rng.integers(0, 20_000, 200))
    world = world_of(np.zeros(200), rng.integers(1, 12, 200), seats=3, replicas=3)
    ends = []
    world.on_end = lambda request: ends.append((request, world.now))
    for request, at in enumerate(sent.tolist()):
        send(world, request, at, replica=request % 3, watched=request % 5 == 0)

    def idle():
        for delay in stops:
            yield world.timeout(delay)

    world.process(idle())
    world.run()
    return world.engines.state.requests.tobytes(), sorted(ends)


def test_stops_change_nothing():
    stops = np.random.default_rng(9).integers(0, 150, 400).tolist()
    assert random_run(stops) == random_run([])


def test_nothing_to_do_ends_at_once():
    world = world_of(np.zeros(1))
    world.run()
    assert world.now == 0
    assert times(world, "last_token_ns") == [-1]
