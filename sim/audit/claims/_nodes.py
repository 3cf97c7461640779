"""The article's cluster of three nodes: what it sustains, and what befalls it (scenarios/article/three-nodes.yaml)."""

import json

import numpy as np

from sim.audit.lab import Lab
from sim.units import NS_PER_S

_BACKLOG = 3000


def sustained_rate(lab: Lab, max_num_seqs: int, nodes: int = 3) -> float:
    """Requests/s that the nodes sustain: what they finish of a backlog, without its first and last tenth.

    A queue is stable below the rate at which it is served when it is never empty (Baccelli and Foss, J. Appl. Prob.
    32, 1995: the saturation rule).
    """
    run = lab.rough.simulate(
        "three-nodes",
        f"engine.max_num_seqs={max_num_seqs}",
        f"fleet.0.replicas={nodes}",
        f"workload.num_prompts={_BACKLOG}",
        "workload.arrivals.request_rate=10000",
    )
    ended = np.sort(run.replications[0].last_token_ns) / NS_PER_S
    first, last = _BACKLOG // 10, _BACKLOG - _BACKLOG // 10
    return float((last - first) / (ended[last] - ended[first]))


def drill(of: str, at_s: float, count: int = 1, **more: object) -> str:
    """The setting for so many failures at that time, and no other; `more`: keys of each."""
    one = {"kind": "drill", "at_s": at_s, "of": of, "index": 0, **more}
    return f"failures={json.dumps([one] * count)}"
