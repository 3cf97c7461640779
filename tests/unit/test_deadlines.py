"""Deadlines against a timer of each row's own, and the promise that they cost few events."""

import numpy as np
import pytest
import simpy

from sim.deadlines import Deadlines


def watched(times: list[int], after: int, over_at: dict[int, int]) -> tuple[list[tuple[int, int]], int]:
    """Begin a deadline at each time; row i is over from `over_at[i]` on. Returns (time, row) of late ones; events."""
    world, late = simpy.Environment(), []

    def over(row: int) -> bool:
        return over_at.get(row, 10**9) <= world.now

    deadlines = Deadlines(world, after, over, lambda row: late.append((world.now, row)))

    def begin():
        for row, at in enumerate(times):
            if at > world.now:
                yield world.timeout(at - world.now)
            deadlines.add(row)

    world.process(begin())
    events = 0
    while world.peek() < float("inf"):
        world.step()
        events += 1
    return late, events


def test_each_is_late_exactly_so_much_later_and_equal_times_keep_their_order():
    late, _ = watched([0, 5, 5, 20], 10, {})
    assert late == [(10, 0), (15, 1), (15, 2), (30, 3)]


def test_what_is_over_in_time_is_never_late_and_what_is_over_at_its_deadline_is_not_either():
    late, _ = watched([0, 1, 2], 10, {0: 9, 1: 11, 2: 13})
    assert late == [(12, 2)]


def test_they_begin_again_after_a_pause():
    late, _ = watched([0, 1000], 10, {0: 3})
    assert late == [(1010, 1)]


def test_a_late_row_may_begin_another_deadline():
    world, seen = simpy.Environment(), []

    def late(row: int) -> None:
        seen.append((world.now, row))
        if row < 3:
            deadlines.add(row + 1)

    deadlines = Deadlines(world, 7, lambda _: False, late)
    deadlines.add(0)
    world.run()
    assert seen == [(7, 0), (14, 1), (21, 2), (28, 3)]


@pytest.mark.parametrize("seed", range(20))
def test_like_a_timer_for_each(seed):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 200, 100)).tolist()
    over_at = {row: times[row] + int(rng.integers(0, 40)) for row in range(100) if rng.random() < 0.7}
    late, _ = watched(times, 20, over_at)
    assert late == [(at + 20, row) for row, at in enumerate(times) if over_at.get(row, 10**9) > at + 20]


def test_a_thousand_that_are_over_soon_cost_few_events():
    """One is sent every 1 ns and over 5 ns later; the deadline is at 100 ns: an event each 100 ns, not each 1 ns."""
    times = list(range(1000))
    _, events = watched(times, 100, {row: row + 5 for row in times})
    _, sending = watched(times, 10**6, {row: -1 for row in times})
    assert events - sending <= 1100 / 100
