"""How long a day of a million requests takes to simulate: the scenario fleet-day, on one core.

python scripts/fleet_day.py [--set KEY=VALUE ...]     (as `trilemma run fleet-day --set ...`)

Simulating (with drawing the requests) and reporting are timed apart; the compiled kernel is loaded before.
"""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from sim.report import summarise
from sim.run import simulate
from sim.scenario.load import load
from sim.shipped import shipped_scenario

T = TypeVar("T")
SMALL = ("workload.num_prompts=2000", "failures=[]")


def timed(what: str, work: Callable[[], T]) -> T:
    """Do some work and print the CPU time and the wall time that it took."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    done = work()
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    print(f"{what} in {cpu_s:.1f} s of CPU time, {wall_s:.1f} s of wall time")
    return done


def main() -> None:
    """Print times and what happened."""
    sets = [one for one in sys.argv[1:] if one != "--set"]
    day = load(shipped_scenario("fleet-day"), sets)
    simulate(load(shipped_scenario("fleet-day"), SMALL), progress=lambda *_: None)
    run = timed("simulated", lambda: simulate(day, progress=lambda *_: None))
    found = timed("reported", lambda: summarise(run))
    one = run.replications[0]
    steps = int(one.counters["steps"].sum())
    print(f"{one.sent_ns.size:,} requests, {steps:,} engine steps, {found['duration'].mean / 3600:.1f} hours")


if __name__ == "__main__":
    main()
