"""Does the loss of one of three nodes bring the other two down, and what prevents it? Recovered fractions as Markdown.

python scripts/resilience_study.py > tables.md     (eight minutes of one core; progress and CPU time on stderr)

docs/resilience.md says what is simulated, and what came out.
"""

import os
import resource
import sys
from collections.abc import Mapping
from itertools import product
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

from sim.result import Outcome, Replication
from sim.run import simulate
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.stats import Interval, clopper_pearson, t_interval
from sim.units import NS_PER_S

SEEDS = 5
OUTAGE_AT_S = 180
GRACE_S = 300
"""From the end of the outage to the minute that is judged."""
MINUTE_S = 60
AS_GOOD = 0.95
RETRIES = 3
SHED_ABOVE = 100

Cell = Mapping[str, Any]
STORM: Cell = {"load": 0.65, "outage_s": 420, "timeout_s": 30, "cancellation": "engine"}
"""The case to remedy; shedding and patience are in the first table."""
REMEDIES: Mapping[str, Cell] = {
    "answers to retries redrawn": {"answer": "redrawn"},
    "a retry budget of 10 %": {"budget": 0.1},
    "at most 64 requests running a replica (max_num_seqs)": {"max_num_seqs": 64},
    "at most 100 unfinished a replica (max_num_queued_reqs)": {"max_num_queued_reqs": 100},
    "waiting requests dropped after 5 s": {"queue_timeout_s": 5},
    "the same, and at most 64 running": {"queue_timeout_s": 5, "max_num_seqs": 64},
}


def scenario(rate: float, seconds: float, **blocks: object) -> Scenario:
    """Three nodes, each one DeepSeek-LLM-67B replica on four H100s; the article's prompts, answers of 256 tokens."""
    base: dict[str, object] = {
        "schema_version": 1,
        "name": "resilience",
        "model": "deepseek-llm-67b",
        "workload": {
            "kind": "synthetic",
            "num_prompts": round(rate * seconds),
            "arrivals": {"kind": "poisson", "request_rate": rate},
            "lengths": {
                "kind": "separate",
                "input": {"kind": "uniform", "tokens": 1088, "range_ratio": 0.8823},
                "output": {"kind": "lognormal", "mean_tokens": 256, "std_tokens": 128, "max_tokens": 1024},
            },
        },
        "fleet": [
            {"pool": f"node{i}", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 4, "usd_per_gpu_hour": 0}
            for i in range(3)
        ],
        "run": {"replications": SEEDS},
    }
    return Scenario.model_validate(base | blocks)


def replications(one: Scenario) -> tuple[Replication, ...]:
    """Simulate a scenario."""
    return simulate(Loaded(one, Path("resilience.yaml"), (), ""), progress=lambda *_: None).replications


def sustainable_rate() -> Interval:
    """Highest rate of the three nodes, requests/s: what they finish of a backlog that never ends.

    A queue is stable below the rate at which it is served when it is never empty (Baccelli and Foss, J. Appl. Prob.
    32, 1995: the saturation rule). The first and last tenth, in which batches fill and run dry, are left out.
    """
    backlog = 24_000
    rates = []
    for one in replications(scenario(1e4, backlog / 1e4)):
        ended = np.sort(one.last_token_ns) / NS_PER_S
        first, last = backlog // 10, backlog - backlog // 10
        rates.append((last - first) / (ended[last] - ended[first]))
    return t_interval(rates)


def study(task: tuple[float, Cell]) -> tuple[int, int, float]:
    """Simulate one cell.

    Returns:
        Seeds that recovered, all seeds, and the mean share of answered requests among those of the judged minute.
    """
    rate, cell = task
    timeout_s, outage_s = cell["timeout_s"], cell["outage_s"]
    back_s = OUTAGE_AT_S + outage_s
    patience_s = (RETRIES + 1) * timeout_s + 1 + 2 + 4
    end_s = back_s + GRACE_S + MINUTE_S + patience_s  # all requests of the judged minute have ended by then
    engine = {key: cell[key] for key in ("max_num_seqs", "max_num_queued_reqs") if key in cell}
    retry = {"max_retries": RETRIES, "answer": cell.get("answer", "same"), "budget": cell.get("budget")}
    clients = {"timeout_s": timeout_s, "cancellation": cell["cancellation"], "retry": retry}
    one = scenario(
        cell["load"] * rate,
        end_s + 60,
        engine=engine,
        clients=clients,
        admission={key: cell[key] for key in ("shed_above", "queue_timeout_s") if key in cell},
        failures=[{"kind": "drill", "at_s": OUTAGE_AT_S, "of": "node", "index": 0, "for_s": outage_s}],
        run={"replications": SEEDS, "max_time_s": end_s},
    )
    shares = [
        (_answered(run, 60, OUTAGE_AT_S - 60), _answered(run, back_s + GRACE_S, back_s + GRACE_S + MINUTE_S))
        for run in replications(one)
    ]
    recovered = sum(after >= AS_GOOD * before for before, after in shares)
    return recovered, len(shares), float(np.mean([after for _, after in shares]))


def _answered(run: Replication, from_s: float, to_s: float) -> float:
    """Share of the requests sent in [from_s, to_s) that were answered."""
    sent = (run.sent_ns >= from_s * NS_PER_S) & (run.sent_ns < to_s * NS_PER_S)
    return float(np.mean(run.outcome[sent] == Outcome.FINISHED))


def main() -> None:
    """Print the tables."""
    loads, outages, timeouts, sheds = (0.5, 0.6, 0.65), (60, 420), (30, 120), (None, SHED_ABOVE)
    keys = ("load", "outage_s", "timeout_s", "cancellation", "shed_above")
    swept = [
        {key: value for key, value in zip(keys, row, strict=True) if value is not None}
        for row in product(loads, outages, timeouts, ("none", "engine"), sheds)
    ]
    with Pool(os.cpu_count()) as pool:
        rate = pool.apply(sustainable_rate)
        print(f"Highest sustainable rate: {rate.mean:.2f} ({rate.low:.2f} to {rate.high:.2f}) requests/s.\n")
        cells = [*swept, *(STORM | remedy for remedy in REMEDIES.values())]
        found = []
        for number, one in enumerate(pool.imap(study, [(rate.mean, cell) for cell in cells]), start=1):
            found.append(one)
            print(f"\r{number} of {len(cells)} cells", end="", file=sys.stderr, flush=True)
        pool.close()
        pool.join()
    # the pool's processes have ended and been waited for, so their time counts
    spent = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f", {spent:.0f} s of CPU time", file=sys.stderr)
    print("| load | outage | time-out | not cancelled | cancelled | not cancelled, shedding | cancelled, shedding |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for start in range(0, len(swept), 4):
        one = swept[start]
        words = " | ".join(_words(found[start + i]) for i in (0, 2, 1, 3))
        print(f"| {one['load']:.0%} | {one['outage_s']} s | {one['timeout_s']} s | {words} |")
    print("\n| remedy | recovered | answered |")
    print("|---|---:|---:|")
    for name, one in zip(REMEDIES, found[len(swept) :], strict=True):
        print(f"| {name} | {_words(one)} | {one[2]:.1%} |")


def _words(found: tuple[int, int, float]) -> str:
    low, high = clopper_pearson(found[0], found[1])
    return f"{found[0] / found[1]:.0%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main()
