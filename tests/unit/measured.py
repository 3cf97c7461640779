"""Measurements made by simulating a secret truth: step profiles and bench results of a known engine."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibrate.points import Bench, Point
from calibrate.steps import Replica
from sim import catalog, steptime
from sim.catalog.types import Layout
from sim.defaults import engine_defaults
from sim.deployment import deploy
from sim.result import Replication
from sim.run import serve
from sim.scenario.engine import Engine
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.steptime.cost import device_fs, step_ns
from sim.steptime.efficiency import Efficiency
from sim.steptime.shape import StepShape
from sim.workload.draw import draw
from tests.unit.real_run import write_real
from tests.unit.small_fleet import lengths

CPU = "cpu-x86-2core"
TINY = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 8,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1408,
    "vocab_size": 10240,
    "max_position_embeddings": 2048,
}
ENGINE = {
    "dtype": "float32",
    "enforce_eager": True,
    "kv_cache_memory_bytes": 1 << 30,
    "block_size": 32,
    "max_num_batched_tokens": 2048,
    "max_num_seqs": 64,
    "max_model_len": 2048,
    "async_scheduling": False,
}
TRUTH = Efficiency(
    memory=0.6,
    kv_16bit=0.35,
    gemm_16bit=0.5,
    prefill_attention=0.2,
    kernel_s=12e-6,
    attention_s=80e-6,
    eager_launch_s=50e-6,
    host_step_s=2e-3,
    host_request_s=60e-6,
)
"""Of a CPU: far from the priors."""


def shapes() -> list[StepShape]:
    """A grid as `trilemma profile` drives it: prefill alone, decode alone, both."""
    found = []
    for seqs, tokens in (
        (1, 8),
        (1, 64),
        (1, 256),
        (1, 1024),
        (1, 2000),
        (4, 16),
        (4, 128),
        (4, 500),
        (16, 8),
        (16, 120),
    ):
        found.append(prefill(seqs, tokens))
    for seqs in (1, 2, 4, 8, 16, 32, 64):
        found += [StepShape(0, 0, 0, seqs, seqs * context, seqs) for context in (16, 256, 900)]
    for seqs, tokens, decode in ((1, 100, 4), (1, 500, 16), (2, 400, 32), (4, 100, 8), (1, 1500, 2)):
        found.append(
            prefill(seqs, tokens)._replace(decode_seqs=decode, context_tokens=300 * decode, sampled=seqs + decode)
        )
    return found


def prefill(seqs: int, tokens: int) -> StepShape:
    """Whole prompts of equal length."""
    return StepShape(seqs * tokens, seqs, seqs * tokens * (tokens + 1) // 2, 0, 0, seqs)


def replica(folder: Path) -> Replica:
    """The tiny model on a CPU; its config.json is written into the folder."""
    (folder / "config.json").write_text(json.dumps(TINY))
    model, gpu = catalog.model("config.json", folder), catalog.gpu(CPU)
    engine = Engine.model_validate(ENGINE)
    return Replica(model, gpu, Layout(), engine, engine_defaults(gpu, model, engine))


def write_profile(folder: Path, truth: Efficiency = TRUTH, *, noise: float = 0.02, repeats: int = 5, **about) -> Path:
    """Save a profile of the true engine."""
    folder.mkdir(parents=True, exist_ok=True)
    cost = replica(folder).cost(truth)
    rng = np.random.default_rng(1)
    with (folder / "steps.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("kind", "repeat", *StepShape._fields, "wall_ms", "model_ms"))
        for repeat in range(repeats):
            for shape in shapes():
                kind = "decode" if not shape.prefill_seqs else "mixed" if shape.decode_seqs else "prefill"
                model_ms = device_fs(cost, shape) / 1e12 * float(np.exp(rng.normal(0, noise)))
                host_ms = (step_ns(cost, shape) - device_fs(cost, shape) / 1e6) / 1e6
                table.writerow((kind, repeat, *shape, model_ms + host_ms, model_ms))
    document = {
        "model": "config.json",
        "gpu": CPU,
        "tensor_parallel_size": 1,
        "vllm_version": "0.32.0",
        "engine": ENGINE,
        "date": "2026-11-24",
    }
    (folder / "profile.json").write_text(json.dumps(document | about))
    return folder


def scenario(rate: float, prompt: int = 120, output: int = 40, requests: int = 60, **blocks: object) -> Scenario:
    """Open-loop traffic to one replica of a 7B model on an H100."""
    base = {
        "schema_version": 1,
        "name": "served",
        "model": "deepseek-llm-7b",
        "workload": {
            "kind": "synthetic",
            "num_prompts": requests,
            "arrivals": {"kind": "gamma", "request_rate": rate},  # as vllm bench serve sends
            "lengths": lengths(prompt, output, 0.5),
        },
        "engine": {"max_model_len": 2048, "max_num_seqs": 64, "max_num_batched_tokens": 2048},
        "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb"}],
        "run": {"replications": 1},
    }
    return Scenario.model_validate(base | blocks)


def served(case: Scenario, truth: Efficiency, source: Path = Path("served.yaml")) -> dict[str, float]:
    """Means that the true engine would show, by metric."""
    return Bench(Point("truth", Loaded(case, source, (), ""), {})).predict(truth).means


def write_bench(path: Path, case: Scenario, truth: Efficiency, **changes: object) -> Path:
    """Save them as `vllm bench serve` does, without lists of single requests."""
    means, requests = served(case, truth), case.workload.num_prompts
    drawn = draw(case, case.run.seed, 0, path.parent)
    rate = getattr(case.workload.arrivals, "request_rate", "inf")
    document = {
        "date": "20261124-101500",
        "endpoint_type": "openai",
        "backend": "openai",
        "label": None,
        "model_id": "served",
        "tokenizer_id": None,
        "num_prompts": requests,
        "request_rate": rate,
        "burstiness": 1.0,
        "max_concurrency": getattr(case.workload.arrivals, "concurrency", None),
        "duration": requests / means["request_throughput"],
        "completed": requests,
        "failed": 0,
        "total_input_tokens": int(drawn.prompt_tokens.sum()),
        "total_output_tokens": int(drawn.output_tokens.sum()),
        "request_throughput": means["request_throughput"],
        "request_goodput": None,
        "output_throughput": None,
        "total_token_throughput": None,
        "max_output_tokens_per_s": 0.0,
        "max_concurrent_requests": 1,
        "mean_ttft_ms": means["ttft"],
        "mean_tpot_ms": means["tpot"],
        "mean_e2el_ms": means["e2el"],
    }
    path.write_text(json.dumps(document | changes))
    return path


def replicate(case: Scenario, truth: Efficiency, replication: int = 0) -> Replication:
    """One replication, served by the true engine."""
    deployments = []
    for one in deploy(case, Path()):
        model = steptime.physics(one.model, one.gpu, one.layout, one.engine, one.defaults, truth)
        cost = model.cost(one.defaults.max_num_batched_tokens, one.defaults.max_num_seqs)
        deployments.append(replace(one, step_time=model, cost=cost))
    return serve(case, deployments, draw(case, case.run.seed, replication, Path()), 0, Path())


def write_run(folder: Path, case: Scenario, truth: Efficiency, replication: int = 0, **server: object) -> Path:
    """Save a replication as `trilemma measure` does."""
    about = {"vllm_version": "0.32.0", "started_utc": "2026-11-24T10:00:00Z", "replication": replication, "seed": 0}
    path = write_real(folder, replicate(case, truth, replication), server=about | server)
    (path / "scenario.json").write_text(json.dumps(case.model_dump(mode="json")))
    return path
