"""Delay, stabilisation windows and bounds of autoscalers: by hand, and against a naive memory of all wishes."""

from hypothesis import given
from hypothesis import strategies as st

from sim.fleet.control import Action, Stabilised, build
from tests.unit.observed import S, autoscaler, wish


def test_a_delayed_metric_is_the_newest_that_is_old_enough():
    controller = build(autoscaler("queue", waiting_per_replica=1.0, metric_delay_s=40.0))
    wishes = [wish(controller, now_ns=15 * S * step, waiting=10.0 * (step + 1)) for step in range(6)]
    # at 45 s the newest that is 40 s old is that of 0 s
    assert wishes == [1, 1, 1, 10, 20, 30]


def test_a_delayed_controller_knows_what_it_has_asked_for():
    controller = build(autoscaler("target_tracking", metric="running", target=10.0, metric_delay_s=15.0))
    assert wish(controller, now_ns=0, replicas=2, ready=2, running=20.0) == 2
    # just right as it was then: the third, asked for since, is not taken back
    assert wish(controller, now_ns=15 * S, replicas=3, ready=2, running=20.0) == 3
    assert wish(controller, now_ns=30 * S, replicas=3, ready=3, running=90.0) == 3
    assert wish(controller, now_ns=45 * S, replicas=3, ready=3, running=90.0) == 9


class Recited:
    """Wishes for one number after the other."""

    def __init__(self, wishes):
        self._wishes = iter(wishes)

    def act(self, _):
        return Action(next(self._wishes))


def naive(times, wishes, current, *, up_s, down_s, low, high):
    """Remember everything; a wish counts while it is younger than the window. Returns the number at each time."""
    past = [(times[0], current)]
    numbers = []
    for now, raw in zip(times, wishes, strict=True):
        before = numbers[-1] if numbers else current
        lowest = min([raw] + [one for at, one in past if now - at < up_s])
        highest = max([raw] + [one for at, one in past if now - at < down_s])
        number = lowest if before < lowest else highest if before > highest else before
        past.append((now, raw))
        numbers.append(max(low, min(high, number)))
    return numbers


@given(
    series=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=30),
    current=st.integers(3, 20),
    up_s=st.sampled_from([0, 10, 60]),
    down_s=st.sampled_from([0, 15, 100]),
)
def test_like_a_memory_of_all_wishes(series, current, up_s, down_s):
    windows = {"scale_up_window_s": float(up_s), "scale_down_window_s": float(down_s)}
    spec = autoscaler("queue", waiting_per_replica=1.0, min_replicas=3, max_replicas=20, **windows)
    times = [sum(step for step, _ in series[: index + 1]) for index in range(len(series))]
    wishes = [one for _, one in series]
    controller = Stabilised(Recited(wishes), spec)
    numbers, replicas = [], current
    for at in times:
        replicas = wish(controller, now_ns=at * S, replicas=replicas)
        numbers.append(replicas)
    assert numbers == naive(times, wishes, current, up_s=up_s, down_s=down_s, low=3, high=20)


def test_five_minutes_before_the_first_scale_down():
    controller = build(autoscaler("queue", waiting_per_replica=1.0, scale_down_window_s=300.0))
    numbers, replicas = {}, 8
    for at in range(0, 601, 15):
        replicas = wish(
            controller, now_ns=at * S, replicas=replicas, ready=replicas, waiting=12.0 if at == 150 else 2.0
        )
        numbers[at] = replicas
    # the 8 of the start last until 300 s, the 12 of 150 s until 450 s
    assert [at for at, now in numbers.items() if now != numbers.get(at - 15, 8)] == [150, 450]
    assert (numbers[0], numbers[150], numbers[450]) == (8, 12, 2)


KINDS = st.sampled_from(
    [
        {"kind": "target_tracking", "metric": "outstanding", "target": 3.0},
        {"kind": "queue", "waiting_per_replica": 2.0, "kv_cache_usage": 0.5},
        {"kind": "predictive", "requests_per_s_per_replica": 0.5, "horizon_s": 90.0},
        {"kind": "schedule", "steps": [{"at_s": 0.0, "replicas": 0}, {"at_s": 200.0, "replicas": 50}]},
    ]
)
SEEN = st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1e9), st.floats(0, 1))


@given(kind=KINDS, seen=st.lists(SEEN, min_size=1, max_size=20), window=st.sampled_from([0.0, 60.0]))
def test_no_series_breaks_the_bounds(kind, seen, window):
    controller = build(autoscaler(**kind, min_replicas=2, max_replicas=9, scale_up_window_s=window))
    for step, (replicas, ready, load, usage) in enumerate(seen):
        loads = dict.fromkeys(("running", "waiting", "outstanding", "requests_per_s"), load)
        number = wish(controller, now_ns=15 * S * step, replicas=replicas, ready=ready, kv_cache_usage=usage, **loads)
        assert 2 <= number <= 9
