"""Two limits of the fleet that theory knows: the shared link to the weight store, and M/M/c/K."""

from pathlib import Path

import numpy as np
import pytest

from sim.result import Outcome, State
from sim.run import serve
from sim.streams import stream
from tests.oracle import fleet_theory as theory
from tests.oracle.fleet_station import AT_ONCE, REPLICATIONS, check, exponential, pool, quiet, scenario, stepped
from tests.oracle.queueing_cases import poisson
from tests.oracle.station import SECOND, requests

LAYER = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
WEIGHTS = 2 * (2 * 102400 * 4096 + 30 * LAYER + 4096)
"""Bytes of DeepSeek-LLM-7B: 6,910,365,696 parameters of two bytes in embeddings, 30 layers, one norm and the head."""


def loading(replicas: int, **startup: object) -> tuple[np.ndarray, np.ndarray]:
    """When replicas begin to load weights and when they have them, ns; the link carries 10 GB/s, a replica takes 4."""
    links = {"store_gb_per_s": 10.0, "node_gb_per_s": 4.0}
    fleet = scenario(fleet=pool(replicas), startup=AT_ONCE | links | {"cold": True} | startup)
    timeline = quiet(fleet, 100, 1)[0].timeline
    begins, ends = (timeline.state == state for state in (State.LOADING, State.COMPILING))
    by_replica = [timeline.time_ns[chosen][np.argsort(timeline.replica[chosen])] for chosen in (begins, ends)]
    assert len(by_replica[0]) == len(by_replica[1]) == replicas
    return by_replica[0], by_replica[1]


@pytest.mark.parametrize(("replicas", "each_gb_per_s"), [(1, 4.0), (2, 4.0), (10, 1.0), (25, 0.4)])
def test_replicas_that_start_at_once_share_the_link(replicas, each_gb_per_s):
    begins, ends = loading(replicas)
    assert (ends - begins).tolist() == pytest.approx([WEIGHTS / each_gb_per_s] * replicas, abs=1)


def test_a_replica_that_comes_or_ends_changes_the_rates_of_all():
    """Twelve that come at random, in 3.5 s if alone: every end within 20 ns."""
    begins, ends = loading(12, process=exponential(6.0))
    assert (ends - begins).max() > 2 * WEIGHTS / 4.0 > 1.5 * (ends - begins).min()
    assert ends == pytest.approx(theory.fluid(begins, WEIGHTS, 10.0, 4.0), abs=20)


def loss(seats: int, room: int, load: float, steps: int, index: int, n: int) -> float:
    """Share of n requests, after 200 others, that vLLM's queue cap turns away."""
    case = scenario(seats, fleet=pool(1), engine={"max_num_queued_reqs": room})
    rng = stream(1, index, "loss")
    drawn = requests(poisson(rng, load, n + 200), output=rng.geometric(1 / steps, n + 200))
    served = serve(case, stepped(case, SECOND // steps), drawn, index, Path())
    return float((served.outcome[200:] == Outcome.SHED).mean())


@pytest.mark.parametrize(("seats", "room", "load"), [(3, 5, 3.0), (4, 8, 3.2), (2, 4, 4.0)])
def test_the_queue_cap_is_a_loss_system(seats, room, load):
    """The engine is exactly the stepped queue; that lies within 1 % of M/M/c/K (see below)."""
    exact = theory.stepped_mmck_loss(seats, room, load, 20)
    check([loss(seats, room, load, 20, index, 1500) for index in range(REPLICATIONS)], exact, 0.2)
    assert exact == pytest.approx(theory.mmck_loss(seats, room, load), rel=0.01)
