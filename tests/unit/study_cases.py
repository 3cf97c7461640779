"""Designs and evaluations for the tests of studies."""

import json
from pathlib import Path

from sim.study.evaluation import Design, Evaluation
from tests.unit.small_fleet import lengths, scenario

SEATS, STEP_S = 8, 6.2e-3
"""Of a replica of `design`, and how long its steps take when all seats are taken (what a run says)."""
CAPACITY = SEATS / (50 * STEP_S)
"""Requests a second that one replica can serve: each takes a seat for 50 steps."""


def design(folder: Path, requests: int, rate: float, workload: dict | None = None, **blocks: object) -> Design:
    """Two replicas; answers of 50 tokens to prompts of 100 within a second, Poisson arrivals."""
    traffic = {
        "num_prompts": requests,
        "arrivals": {"kind": "poisson", "request_rate": rate},
        "lengths": lengths(100, 50),
    }
    base = {
        "engine": {
            "max_model_len": 512,
            "num_gpu_blocks_override": 200,
            "max_num_seqs": SEATS,
            "max_num_batched_tokens": 512,
        },
        "slo": {"e2el_ms": 1000},
        "run": {"replications": 2},
    }
    case = scenario(traffic | (workload or {}), **(base | blocks))
    path = folder / "case.yaml"
    path.write_text(json.dumps(case.model_dump(mode="json", exclude_unset=True)))
    return Design(str(path))


def evaluation(good: list[int], sent: int, name: str = "d", **whole: list[float]) -> Evaluation:
    """So many good requests in each replication, and other numbers of the whole traffic."""
    classes = tuple(
        ({"good": g, "completed": sent, "failed": 0, "in_flight": 0, "good_share": g / sent},) for g in good
    )
    replications = tuple({key: values[i] for key, values in whole.items()} for i in range(len(good)))
    summary = {"verdict": "met", "goodput": None, "recovery": None}
    return Evaluation(Design(name), name, replications, classes, summary)
