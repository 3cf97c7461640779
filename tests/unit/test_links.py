"""The shared link: closed forms, arithmetic by hand, and a link that is simulated nanosecond by nanosecond."""

from fractions import Fraction

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.fleet.links import FairLink

GB = 1_000_000_000
"""Bytes; 1 GB/s is 1 byte a nanosecond."""


def ends_of(transfers, capacity=GB, cancelled=()):
    """Return when each (start_ns, bytes, cap in bytes/s or None) is through; None for those cancelled before."""
    env = simpy.Environment(0)
    link = FairLink(env, capacity)
    ends = [None] * len(transfers)
    events = {}

    def start(index):
        _, size, cap = transfers[index]
        events[index] = link.transfer(size, cap)
        events[index].callbacks.append(lambda _: ends.__setitem__(index, env.now))

    for index, (at, _, _) in enumerate(transfers):
        env.timeout(at).callbacks.append(lambda _, index=index: start(index))
    for index, at in cancelled:
        env.timeout(at).callbacks.append(lambda _, index=index: link.cancel(events[index]))
    env.run()
    return ends


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 64, 97])
def test_n_equal_transfers_take_n_times_as_long(n):
    size = 134_850_000_000  # weights of deepseek-llm-67b
    assert ends_of([(5, size, None)] * n) == [5 + n * size] * n


def test_processor_sharing_by_hand():
    # until 100 the first alone moves 100; until 300 it and the second move 100 each, which leaves 100, 100 and 50;
    # at a third each the last ends 150 later, and the others' last 50 take 100 at a half each
    assert ends_of([(0, 300, None), (100, 200, None), (300, 50, None)]) == [550, 550, 450]


def test_what_capped_transfers_leave_goes_to_the_others():
    # 1 GB/s among caps 0.1 and 0.2 and two without: 0.1, 0.2, 0.35, 0.35
    ends = ends_of([(0, 100, 0.1 * GB), (0, 200, 0.2 * GB), (0, 350, None), (0, 350, 0.9 * GB)])
    assert ends == [1000, 1000, 1000, 1000]


def test_a_cap_holds_on_an_idle_link():
    assert ends_of([(7, 500, 0.25 * GB)]) == [2007]


def test_a_cap_above_a_fair_share_does_not_matter():
    assert ends_of([(0, 100, 0.5 * GB), (0, 100, None)]) == [200, 200]


def test_nothing_to_transfer_is_through_at_once():
    assert ends_of([(0, 100, None), (30, 0, None)]) == [100, 30]


def test_a_busy_link_moves_all_bytes_in_total_bytes_over_capacity():
    # never idle: each starts before what came earlier can be through
    sizes = [10_007 * (1 + i % 5) for i in range(40)]
    starts = [9_000 * i for i in range(40)]
    last = max(ends_of([(at, size, None) for at, size in zip(starts, sizes, strict=True)], capacity=0.7 * GB))
    exact = Fraction(sum(sizes)) / Fraction(0.7)
    assert exact <= last <= exact + len(sizes)  # each end wastes less than 1 ns


def test_a_cancelled_transfer_frees_its_share_and_never_ends():
    # both at a half until 100, then b alone with 150 left
    assert ends_of([(0, 200, None), (0, 200, None)], cancelled=[(0, 100)]) == [None, 250]


def test_cancelling_what_is_through_changes_nothing():
    # a has moved 100 by 200, b then has 300 of 400 left and ends at 500; the cancellation at 300 is idle
    assert ends_of([(0, 100, None), (0, 400, None)], cancelled=[(0, 300)]) == [200, 500]


def test_what_is_through_at_this_instant_cannot_be_cancelled():
    # whichever of the two comes first
    assert ends_of([(0, 100, None)], cancelled=[(0, 100)]) == [100]


def test_a_cancelled_transfer_leaves_the_wakeups_of_others_alone():
    # the wake-up for the first one at 20 is stale once it is gone
    assert ends_of([(0, 10, None), (0, 100, None)], cancelled=[(0, 4)]) == [None, 102]


def test_stale_wakeups_do_not_multiply():
    env = simpy.Environment(0)
    link = FairLink(env, GB)
    for at in range(50):
        env.timeout(at).callbacks.append(lambda _: link.transfer(1000))
    events = 0
    while env.peek() < float("inf"):
        env.step()
        events += 1
    # a start and an end each, and a wake-up after either
    assert events <= 4 * 50


def naive(transfers, capacity, cancelled):
    """The same, one nanosecond at a time, with exact fractions: fill all equally until a cap or the capacity is met."""
    left = {}
    ends = [None] * len(transfers)
    gone = dict(cancelled)
    pending = set(range(len(transfers)))
    now = 0
    while pending or left:
        for index in sorted(pending):
            if transfers[index][0] == now:
                pending.remove(index)
                left[index] = Fraction(transfers[index][1])
        for index in list(left):
            if left[index] <= 0:
                del left[index]
                ends[index] = now
            elif gone.get(index) == now:
                del left[index]
        rates = dict.fromkeys(left, Fraction(0))
        rising = set(left)
        spare = Fraction(capacity) / GB
        while rising and spare > 0:
            room = {i: Fraction(transfers[i][2]) / GB - rates[i] for i in rising if transfers[i][2] is not None}
            step = min([spare / len(rising), *room.values()])
            for index in rising:
                rates[index] += step
            spare -= step * len(rising)
            rising -= {index for index, most in room.items() if most == step}
        for index in left:
            left[index] -= rates[index]
        now += 1
    return ends


CAPS = st.none() | st.sampled_from([GB // 8, GB // 4, GB // 2, 2 * GB])
TRANSFERS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60), CAPS), min_size=1, max_size=6)


@given(transfers=TRANSFERS, capacity=st.sampled_from([GB // 2, GB, 3 * GB]), data=st.data())
def test_like_a_link_simulated_nanosecond_by_nanosecond(transfers, capacity, data):
    index = data.draw(st.integers(0, len(transfers) - 1))
    cancelled = [(index, transfers[index][0] + data.draw(st.integers(1, 40)))] if data.draw(st.booleans()) else []
    assert ends_of(transfers, capacity, cancelled) == naive(transfers, capacity, cancelled)
