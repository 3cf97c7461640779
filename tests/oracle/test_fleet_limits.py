"""Two limits of the fleet that theory knows: the shared link to the weight store, and M/M/c/K."""

from pathlib import Path

import pytest

from sim.result import Outcome, State
from sim.run import serve
from sim.streams import stream
from tests.oracle import fleet_theory as theory
from tests.oracle.fleet_station import AT_ONCE, REPLICATIONS, check, pool, quiet, scenario, stepped
from tests.oracle.queueing_cases import poisson
from tests.oracle.station import SECOND, requests


@pytest.mark.parametrize(
    ("replicas", "each_gb_per_s"),
    [(1, 4.0), (2, 4.0), (10, 1.0), (25, 0.4)],  # the link carries 10 GB/s, a replica takes 4 GB/s at most
)
def test_replicas_that_start_at_once_share_the_link(replicas, each_gb_per_s):
    """DeepSeek-LLM-7B has 6,910,365,696 parameters of two bytes: embeddings, 30 layers, one norm and the head."""
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    weights = 2 * (2 * 102400 * 4096 + 30 * layer + 4096)
    links = {"store_gb_per_s": 10.0, "node_gb_per_s": 4.0}
    fleet = scenario(fleet=pool(replicas), startup=AT_ONCE | links | {"cold": True})
    timeline = quiet(fleet, 100, 1)[0].timeline
    begin, end = (timeline.time_ns[timeline.state == state] for state in (State.LOADING, State.COMPILING))
    assert len(begin) == len(end) == replicas
    assert (end - begin).tolist() == pytest.approx([weights / each_gb_per_s] * replicas, abs=1)


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
    check([loss(seats, room, load, 20, index, 1500) for index in range(REPLICATIONS)], exact, 0.25)
    assert exact == pytest.approx(theory.mmck_loss(seats, room, load), rel=0.01)
