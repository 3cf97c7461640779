"""The command that starts one replica of a scenario's first pool."""

import shlex
from pathlib import Path

from harness.flags import serve_flags
from sim.scenario.scenario import Scenario


def serve_command(scenario: Scenario, base_dir: Path) -> str:
    """Return a line for the shell: vllm serve MODEL and its flags.

    Raises:
        InputError: vLLM takes what the scenario says in another way, or finds no checkpoint by its name.
    """
    pool = scenario.fleet[0].model_copy(update={"replicas": 1})
    _, model, *flags = serve_flags(scenario.model_copy(update={"fleet": (pool,)}), base_dir)
    return shlex.join(["vllm", "serve", model, *flags])
