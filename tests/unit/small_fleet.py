"""Scenarios small enough to simulate by the hundred, run as `trilemma run` runs them."""

from pathlib import Path

from sim.result import Replication, Run
from sim.run import simulate
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario

SMALL = "deepseek-llm-7b"
ENGINE = {"max_model_len": 512, "num_gpu_blocks_override": 200, "max_num_seqs": 16, "max_num_batched_tokens": 512}


def lengths(prompt: int, output: int, spread: float = 0.0) -> dict:
    """Uniform lengths."""
    sides = {"input": prompt, "output": output}
    return {"kind": "separate"} | {
        side: {"kind": "uniform", "tokens": tokens, "range_ratio": spread} for side, tokens in sides.items()
    }


def scenario(workload: dict, **blocks: object) -> Scenario:
    """DeepSeek-LLM-7B on single H100s with a small KV cache, 60 requests unless the blocks say otherwise."""
    traffic = {
        "kind": "synthetic",
        "num_prompts": 60,
        "arrivals": {"kind": "poisson", "request_rate": 20.0},
        "lengths": lengths(100, 30, 0.5),
    }
    base = {
        "schema_version": 1,
        "name": "small",
        "model": SMALL,
        "workload": traffic | workload,
        "engine": ENGINE,
        "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb", "replicas": 2}],
        "run": {"replications": 1},
    }
    return Scenario.model_validate(base | blocks)


def run(case: Scenario) -> Run:
    """Simulate all replications."""
    return simulate(Loaded(case, Path("small.yaml"), (), ""), progress=lambda done, of: None)


def replicate(workload: dict, **blocks: object) -> Replication:
    """Simulate one replication."""
    return run(scenario(workload, **blocks)).replications[0]
