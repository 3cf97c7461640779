"""The sum over rare events against a closed form, and against failures that are made frequent enough to be counted."""

import numpy as np
import pytest

from sim.result import Outcome, Replication
from sim.stats import Interval, t_interval
from sim.study.rare import Kind, availability, lost, overlap
from tests.unit.small_fleet import lengths, run, scenario

_RATE, _NODES = 4.0, 3
_NODE_HOURS, _ENGINE_HOURS = 2.0, 4.0
"""A node of Llama-3's training ran for 6,335 h: more than 3,000 times as long."""
_UNANSWERED = (Outcome.FAILED, Outcome.TIMED_OUT)


def _simulate(seconds: float, replications: int, failures: list[dict[str, object]]) -> tuple[Replication, ...]:
    """Three nodes of one replica each, all used in turn; what is lost is replaced within a minute."""
    stages = {
        stage: {"kind": "fixed", "s": 2.0} for stage in ("provision", "boot", "image", "process", "compile", "warm")
    }
    one = scenario(
        {
            "num_prompts": round(_RATE * seconds),
            "arrivals": {"kind": "poisson", "request_rate": _RATE},
            "lengths": lengths(100, 10, 0.5),
        },
        fleet=[{"pool": f"node{i}", "gpu": "h100-sxm-80gb", "usd_per_gpu_hour": 0} for i in range(_NODES)],
        router={"kind": "round_robin"},
        clients={"timeout_s": 30},
        startup=stages | {"node_gb_per_s": 50, "store_gb_per_s": 50},
        recovery={"node_grace_s": 40, "toleration_s": 0},
        failures=failures,
        run={"replications": replications},
    )
    return run(one).replications


def _failed(one: Replication) -> int:
    return int(np.isin(one.outcome, _UNANSWERED).sum())


def _lost(failure: dict[str, object], at_s: float = 60) -> tuple[float, ...]:
    """Requests that one such failure costs."""
    drill = {"kind": "drill", "at_s": at_s, "index": 0, **failure}
    calm, struck = (_simulate(180, 20, failures) for failures in ([], [drill]))
    return lost([_failed(one) for one in calm], [_failed(one) for one in struck])


def _told(found: Interval) -> tuple[float, float]:
    """Mean and half width."""
    assert found.mean is not None
    assert found.half_width is not None
    return found.mean, found.half_width


@pytest.fixture(scope="module")
def kinds() -> list[Kind]:
    return [
        Kind("node", _NODES * 24 / _NODE_HOURS, _lost({"of": "node"}), 55),
        Kind("crash", _NODES * 24 / _ENGINE_HOURS, _lost({"of": "replica"}), 25),
    ]


def test_a_third_of_the_traffic_is_lost_until_the_router_notices(kinds: list[Kind]) -> None:
    # in turn, and a check every 10 s of which three must fail: 25 s on average, or until the new process is there
    mean, half = _told(kinds[0].lost_per_event)
    assert mean == pytest.approx(25 * _RATE / _NODES, abs=half)


def test_frequent_failures_cost_what_the_sum_says(kinds: list[Kind]) -> None:
    assert overlap(kinds) < 0.05
    blocks = [
        {"kind": "exponential", "of": "node", "mtbf_hours": _NODE_HOURS},
        {"kind": "exponential", "of": "replica", "mtbf_hours": _ENGINE_HOURS},
    ]
    counted = t_interval(100 * (1 - _failed(one) / len(one.outcome)) for one in _simulate(3600, 24, blocks))
    summed = availability(kinds, _RATE * 86_400, [0.0] * 20)
    (mean, half), (expected, its_half) = _told(counted), _told(summed)
    assert mean + half < 100  # there is something to compare
    assert mean == pytest.approx(expected, abs=np.hypot(half, its_half))
    # The comparison can tell: with twice the events the sum is another.
    twice, _ = _told(availability([*kinds, *kinds], _RATE * 86_400, [0.0] * 20))
    assert mean != pytest.approx(twice, abs=np.hypot(half, its_half))


def test_kinds_are_added_within_a_replication() -> None:
    # 2 a day x 10 and 20 lost, 1 a day x 30 and 10: 50 and 50 of 1,000 a day, whatever the replication
    two = [Kind("a", 2, (10.0, 20.0)), Kind("b", 1, (30.0, 10.0))]
    found = availability(two, 1000, [0.0, 0.0])
    assert (found.mean, found.low, found.high) == (95, 95, 95)
    assert availability(two, 1000, [0.01, 0.01]).mean == pytest.approx(94)


def test_without_events_only_the_calm_loss_remains() -> None:
    assert availability([], 1000, [0.02, 0.02]).mean == pytest.approx(98)


def test_kinds_that_were_simulated_differently_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="replications"):
        availability([Kind("a", 1, (1.0, 2.0))], 1000, [0.0])
