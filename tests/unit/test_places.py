"""How many places a pool has: as many as can be filled at once, twice that where replicas come and go."""

import numpy as np
import pytest

from sim.places import places
from tests.unit.small_fleet import scenario

SPOT = {"market": "spot", "spot": {"reclaims": {"kind": "hazard", "mean_life_hours": 1.0}}}
EXTRA = {"market": "spot", "spot": SPOT["spot"] | {"over_provision": 2}}


def pool(name: str, replicas: int, **more) -> dict:
    return {"pool": name, "gpu": "h100-sxm-80gb", "replicas": replicas} | more


def scaler(name: str, most: int) -> dict:
    return {"kind": "queue", "pool": name, "max_replicas": most, "waiting_per_replica": 4.0}


@pytest.mark.parametrize(
    ("fleet", "autoscalers", "counts", "begin"),
    [
        ([pool("a", 3)], [], [3], [3]),
        ([pool("a", 3)], [{"kind": "fixed", "pool": "a"}], [3], [3]),
        ([pool("a", 3, market="spot")], [], [3], [3]),  # without reclaims it stays as it is
        ([pool("a", 3, **SPOT)], [], [6], [3]),
        ([pool("a", 3, **EXTRA)], [], [2 * (3 + 2)], [5]),
        ([pool("a", 3)], [scaler("a", 10)], [20], [3]),
        ([pool("a", 3)], [scaler("a", 2)], [6], [3]),  # it begins with three
        ([pool("a", 3, **EXTRA)], [scaler("a", 10)], [2 * (10 + 2)], [5]),
        ([pool("a", 3, **EXTRA), pool("f", 1, fallback_for="a")], [], [10, 2 * (1 + 5)], [5, 1]),
        ([pool("a", 3, **SPOT), pool("f", 0, fallback_for="a")], [scaler("a", 10)], [20, 20], [3, 0]),
    ],
)
def test_as_many_as_can_stand_at_once(fleet, autoscalers, counts, begin):
    laid_out = places(scenario({}, fleet=fleet, autoscalers=autoscalers))
    assert [len(one) for one in laid_out.of_pool] == counts
    assert list(laid_out.begin) == begin


def test_they_are_numbered_pool_by_pool_and_filled_from_the_first():
    laid_out = places(scenario({}, fleet=[pool("a", 2), pool("b", 1, **SPOT), pool("c", 2)]))
    assert [list(one) for one in laid_out.of_pool] == [[0, 1], [2, 3], [4, 5]]
    assert laid_out.pools.tolist() == [0, 0, 1, 1, 2, 2]
    assert laid_out.pools.dtype == np.int32
    assert [list(laid_out.first(one)) for one in range(3)] == [[0, 1], [2], [4, 5]]
