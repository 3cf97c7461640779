"""Clients: closed loops, sessions, refusals, the stopped clock."""

import numpy as np
import pytest

from sim.clients import Clients
from sim.world import World
from tests.oracle.station import SECOND, cost, engines, limits, requests


class Case:
    """A replica with a step time for each number of requests, and what its clients did."""

    def __init__(self, drawn, *, seats=64, step_ns=100, refuse=()):
        self.drawn = drawn
        step = np.broadcast_to(step_ns, seats + 1)
        self.world = World(engines(limits(seats), cost(step), drawn))
        self.refuse = set(refuse)
        self.sent: list[tuple[int, int]] = []
        self.clients = Clients(self.world, drawn, self.send)

    def send(self, request, watched):
        self.sent.append((request, self.world.now))
        if request in self.refuse:
            return False
        self.world.engines.enqueue(0, request, self.world.now, watched=watched)
        return True

    def run(self, until=None):
        self.world.run(until=until)
        self.ended_ns = self.world.engines.state.requests["last_token_ns"]
        return self

    def in_flight(self, at):
        """Requests sent at or before an instant and not ended then."""
        sent = self.clients.sent_ns
        return int(((sent >= 0) & (sent <= at) & ~((self.ended_ns >= 0) & (self.ended_ns <= at))).sum())


def test_an_open_loop_sends_at_the_drawn_times_in_order():
    sent = [0, 0, 5, 5, 5, 1000]
    case = Case(requests(sent)).run()
    assert case.sent == list(enumerate(sent))
    assert case.clients.sent_ns.tolist() == sent
    assert case.clients.to_send == 0


@pytest.mark.parametrize("concurrency", [1, 3, 16])
@pytest.mark.parametrize("seats", [4, 64])
def test_a_closed_loop_keeps_its_number_in_flight(concurrency, seats):
    """At every instant until the last is sent, whether the engine has seats for them or not."""
    rng = np.random.default_rng(concurrency)
    case = Case(requests(np.zeros(200), output=rng.integers(1, 20, 200), concurrency=concurrency), seats=seats).run()
    last = case.clients.sent_ns.max()
    instants = np.unique(np.concatenate([case.clients.sent_ns, case.ended_ns, rng.integers(0, last, 50)]))
    assert {case.in_flight(at) for at in instants[instants < last]} == {concurrency}
    assert [request for request, _ in case.sent] == list(range(200))
    # each is sent at the very instant at which another ends
    assert sorted(case.clients.sent_ns[concurrency:]) == sorted(case.ended_ns)[: 200 - concurrency]


def test_a_loop_wider_than_the_traffic_sends_all_at_once():
    case = Case(requests(np.zeros(5), concurrency=9)).run()
    assert case.sent == [(request, 0) for request in range(5)]


@pytest.mark.parametrize("concurrency", [1, 4, 12])
def test_throughput_of_a_closed_loop(concurrency):
    """R = N / X without pauses, and X as a step of one second for up to 4 seats allows."""
    n = 500
    drawn = requests(np.zeros(n), output=3, concurrency=concurrency)
    case = Case(drawn, seats=4, step_ns=SECOND).run()
    rate = min(concurrency, 4) / 3
    done = np.sort(case.ended_ns) / SECOND
    assert (done[-1] - done[0]) == pytest.approx((n - min(concurrency, 4)) / rate, rel=0.01)
    response = (case.ended_ns - case.clients.sent_ns)[concurrency : n - concurrency].mean() / SECOND
    assert response == pytest.approx(concurrency / rate, rel=0.01)


def test_a_closed_loop_still_waits_for_the_drawn_times():
    """A recorded trace at limited concurrency: no request before its time, nor more than so many at once."""
    case = Case(requests([0, 0, 0, 1000, 1010], output=2, concurrency=2)).run()
    assert case.sent == [(0, 0), (1, 0), (2, 200), (3, 1000), (4, 1010)]


def test_the_next_turn_is_sent_a_pause_after_the_answer():
    """Two sessions of three turns, interleaved; a later turn's time is its pause."""
    drawn = requests([0, 50, 1000, 7, 0, 123], output=[3, 5, 2, 4, 1, 2], after=[-1, -1, 0, 1, 2, 3])
    case = Case(drawn).run()
    for request, before in enumerate(drawn.after.tolist()):
        if before >= 0:
            pause = int(drawn.arrival_ns[request])
            assert case.clients.sent_ns[request] == case.ended_ns[before] + pause
    assert len(case.sent) == 6
    assert (case.ended_ns > 0).all()


def test_many_sessions_all_turns():
    rng = np.random.default_rng(2)
    sessions, turns = 40, 6
    n = sessions * turns
    first = np.arange(n) < sessions
    drawn = requests(
        np.where(first, np.sort(rng.integers(0, 5000, n)), rng.integers(0, 900, n)),
        output=rng.integers(1, 9, n),
        after=np.where(first, -1, np.arange(n) - sessions).tolist(),
    )
    case = Case(drawn, seats=8).run()
    before = drawn.after[~first]
    pauses = case.clients.sent_ns[~first] - case.ended_ns[before]
    assert pauses.tolist() == drawn.arrival_ns[~first].tolist()
    assert sorted(request for request, _ in case.sent) == list(range(n))


def test_a_refused_request_frees_its_place_at_once():
    """Closed loop of two; 1, 2 and 3 are refused at 0, so 4 goes out beside 0."""
    case = Case(requests(np.zeros(7), output=4, concurrency=2), refuse={1, 2, 3}).run()
    assert case.sent == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 400), (6, 400)]
    assert case.clients.to_send == 0


def test_a_loop_of_refusals_ends():
    """More than Python's recursion limit, one after another at one instant."""
    n = 5000
    case = Case(requests(np.zeros(n), concurrency=1), refuse=range(n)).run()
    assert [request for request, _ in case.sent] == list(range(n))
    assert case.world.now == 0


def test_a_session_goes_on_after_a_refused_turn():
    drawn = requests([10, 500, 30], after=[-1, 0, 1])
    case = Case(drawn, refuse={0, 1}).run()
    assert case.sent == [(0, 10), (1, 510), (2, 540)]


def test_the_stopped_clock_leaves_the_rest_unsent():
    drawn = requests([0, 100, 250, 900], output=[2, 9, 1, 1], after=[-1, -1, 0, -1])
    case = Case(drawn).run(until=500)
    # 0 ends at 200; its next turn would follow 250 later, at 450, and ends after the stop with its step
    assert case.sent == [(0, 0), (1, 100), (2, 450)]
    assert case.clients.sent_ns.tolist() == [0, 100, 450, -1]
    assert case.clients.to_send == 1
    assert case.world.engines.unfinished == 2
