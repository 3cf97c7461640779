"""The requests of one replication: drawn or replayed before the run, the same for every design."""

from functools import partial
from pathlib import Path

from sim.request import Requests
from sim.scenario.scenario import Scenario
from sim.scenario.workload import Trace
from sim.streams import stream
from sim.workload.replay import replay
from sim.workload.reshape import reshape
from sim.workload.synthetic import synthesize


def draw(scenario: Scenario, seed: int, replication: int, base_dir: Path) -> Requests:
    """Return the requests of one replication; they depend on workload, seed and replication only.

    Requests whose `after` is -1 stand in rising order of arrival.

    Args:
        scenario: Only its workload is read.
        seed: Of the whole run.
        replication: Counts from 0.
        base_dir: The scenario file's folder, where relative paths start.

    Raises:
        InputError: Missing or bad trace or length table, or parameters that have no workload.
    """
    streams = partial(stream, seed, replication)
    workload = scenario.workload
    if isinstance(workload, Trace):
        requests = replay(workload, streams, base_dir)
    else:
        requests = synthesize(workload, streams, base_dir)
    return reshape(requests, workload, streams)
