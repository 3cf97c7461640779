"""A small fleet that loses a node under load, and may never come back: claims.md C13, in its own limit.

Stated there: 3 nodes of 60 slots, exponential services of mean 10 s that are drawn anew on a retry, clients that give
up after 30 s and retry three times, one hour, one node out for a while; servers go on with abandoned requests or not.

Chosen here, for it is not stated: the outage begins after ten minutes. The node's connections break at once, and the
router knows at once that it is gone and that it is back. Retries follow at once. Each node has a queue of its own, and
requests go to the node with the fewest unfinished ones, abandoned ones included; that is nearly one common queue.
A service is a geometric number of steps of 0.1 s, as many as the answer has tokens.
"""

from pathlib import Path

from sim.report.goodput import bin_width_ns, bins
from sim.report.objective import Objective
from sim.report.recovery import minutes_to_recover, patience_ns
from sim.result import Outcome
from sim.run import serve
from sim.streams import stream
from tests.oracle.fleet_station import QUICK, pool, scenario, stepped
from tests.oracle.queueing_cases import poisson
from tests.oracle.station import SECOND, requests

NODES, SLOTS, SERVICE_S = 3, 60, 10.0
STEP_NS = SECOND // 10
ANY_ANSWER = (Objective("all", {}, 99.0),)
"""A request is good if it is answered at all."""


def hour(rho: float, outage_s: float, cancellation: str, index: int, *, begins_s: float = 600, ends_s: float = 3600):
    """Simulate one hour, or less; returns minutes to recover (None: not by the end) and the share of answers."""
    case = scenario(
        SLOTS,
        fleet=pool(NODES),
        clients={
            "timeout_s": 30.0,
            "cancellation": cancellation,
            "retry": {"max_retries": 3, "backoff_s": 0.0, "answer": "redrawn"},
        },
        failures=[{"kind": "drill", "at_s": begins_s, "of": "replica", "for_s": outage_s}],
        recovery=QUICK,
        run={"replications": 1, "max_time_s": ends_s},
    )
    rng = stream(0, index, "traffic")
    rate = rho * NODES * SLOTS / SERVICE_S
    arrivals = poisson(rng, rate, round(1.2 * rate * ends_s))
    arrivals = arrivals[arrivals < ends_s * SECOND]
    drawn = requests(arrivals, output=rng.geometric(STEP_NS / (SERVICE_S * SECOND), len(arrivals)))
    one = serve(case, stepped(case, STEP_NS), drawn, index, Path())
    patience = patience_ns(case.clients.model_dump())
    (minutes,) = minutes_to_recover(bins(one, ANY_ANSWER, bin_width_ns([one])), one.timeline, patience)
    return minutes, float((one.outcome == Outcome.FINISHED).mean())
