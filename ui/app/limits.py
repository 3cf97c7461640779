"""What the app takes on: a server that many share must stay alive."""

from sim.errors import InputError
from sim.scenario.scenario import Scenario
from sim.scenario.workload import Synthetic

MOST_REQUESTS = 500_000
"""Requests times replications of one design: some two minutes of simulation (measured: 10,000 in 2 s)."""
MOST_REPLICAS = 1_000


def check_size(scenario: Scenario) -> None:
    """Refuse what would keep the server busy for long.

    Raises:
        InputError: too many requests or replicas.
    """
    workload, replications = scenario.workload, scenario.run.replications + _draws(scenario)
    requests = workload.num_prompts if isinstance(workload, Synthetic) else workload.max_requests or 1
    if requests * replications > MOST_REQUESTS:
        raise InputError(
            f"workload: found {requests:,} requests in {replications:,} replications, expected at most "
            f"{MOST_REQUESTS:,} in all, the app's limit (`trilemma run` in a terminal has none)"
        )
    replicas = sum(pool.replicas for pool in scenario.fleet)
    if replicas > MOST_REPLICAS:
        raise InputError(f"fleet: found {replicas:,} replicas, expected at most {MOST_REPLICAS:,}, the app's limit")


def _draws(scenario: Scenario) -> int:
    return getattr(scenario.step_time, "draws", 0)
