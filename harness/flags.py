"""A scenario's engine as `vllm serve` flags: only what it states, so that vLLM's own defaults stay its own."""

from collections.abc import Sequence
from pathlib import Path

from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.scenario.fleet import Pool
from sim.scenario.scenario import Scenario

HUGGING_FACE = {
    "deepseek-llm-7b": "deepseek-ai/deepseek-llm-7b-base",
    "deepseek-llm-67b": "deepseek-ai/deepseek-llm-67b-base",
    "deepseek-moe-16b": "deepseek-ai/deepseek-moe-16b-base",
    "deepseek-v2-lite": "deepseek-ai/DeepSeek-V2-Lite",
    "deepseek-v2": "deepseek-ai/DeepSeek-V2",
    "deepseek-v3": "deepseek-ai/DeepSeek-V3",
    "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "deepseek-v3.1": "deepseek-ai/DeepSeek-V3.1",
    "deepseek-v3.2": "deepseek-ai/DeepSeek-V3.2",
    "deepseek-r1-distill-qwen-1.5b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    "deepseek-r1-distill-qwen-7b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "deepseek-r1-distill-llama-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "deepseek-r1-distill-qwen-14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
    "deepseek-r1-distill-qwen-32b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-r1-distill-llama-70b": "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama-3.1-70b": "meta-llama/Llama-3.1-70B",
    "qwen3-32b": "Qwen/Qwen3-32B",
}
"""Catalogue id -> repository on Hugging Face."""


NOT_VLLM = ("batching", "kv_index")
"""What a scenario may say of an engine that `vllm serve` does not do by a flag."""


def serve_flags(scenario: Scenario, base_dir: Path, extra: Sequence[str] = ()) -> list[str]:
    """Return what `vllm serve` needs to be the scenario's engine, and the `extra` flags; host and port apart.

    Raises:
        InputError: the scenario is more than one replica, or names what vLLM takes in another way; an extra flag says
            what a scenario says.
    """
    _refuse_what_scenarios_say(extra)
    pool = only_pool(scenario)
    engine = _engine(scenario, pool)
    for key in NOT_VLLM:
        if getattr(engine, key) is not None:
            raise InputError(f"engine.{key}: found what vLLM has no flag for, expected a scenario without it")
    flags = ["--model", model_path(scenario, base_dir)]
    flags += ["--tensor-parallel-size", str(pool.tensor_parallel_size)]
    if pool.pipeline_parallel_size > 1:
        flags += ["--pipeline-parallel-size", str(pool.pipeline_parallel_size)]
    for key, value in engine.model_dump(exclude_unset=True).items():
        flags += _flag(key, value)
    return [*flags, *extra]


def only_pool(scenario: Scenario) -> Pool:
    """The pool of a scenario that is one replica.

    Raises:
        InputError: there are more.
    """
    if len(scenario.fleet) > 1 or scenario.fleet[0].replicas > 1:
        count = sum(pool.replicas for pool in scenario.fleet)
        raise InputError(f"fleet: found {count} replicas, expected one: a server is measured by itself")
    return scenario.fleet[0]


def model_path(scenario: Scenario, base_dir: Path) -> str:
    """Where vLLM finds the model: its name on Hugging Face, or the folder of its config.json.

    Raises:
        InputError: it has neither.
    """
    named = only_pool(scenario).model or scenario.model
    if named in HUGGING_FACE:
        return HUGGING_FACE[named]
    if Path(named).name != "config.json":
        raise InputError(
            f"model: found {named}, expected the path of a config.json in a folder that vLLM can load, "
            "or a catalogue id with a public checkpoint"
        )
    return str((base_dir / named).parent.resolve())


def _refuse_what_scenarios_say(extra: Sequence[str]) -> None:
    for flag in extra:
        name = flag.split("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        if not flag.startswith("--"):
            raise InputError(f"--serve-flag {flag}: expected a flag of vllm serve as --name or --name=value")
        if name in Engine.model_fields or name in {"model", "tensor_parallel_size", "pipeline_parallel_size"}:
            raise InputError(
                f"--serve-flag {flag}: found what the scenario says, expected it there (--set engine.{name}=...)"
            )


def _engine(scenario: Scenario, pool: Pool) -> Engine:
    stated = {} if pool.engine is None else {key: getattr(pool.engine, key) for key in pool.engine.model_fields_set}
    return scenario.engine.model_copy(update=stated)


def _flag(key: str, value: object) -> list[str]:
    name = key.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if key == "quantization" and value != "fp8":
        raise InputError(f"engine.quantization: found {value}, expected fp8 or a checkpoint that is {value} itself")
    return [f"--{name}", str(value)]
