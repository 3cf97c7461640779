"""The twelve recordings in the shared data (vllm/sched_golden.json), with the inputs that their steps imply.

The file names the pool, the budget and what differs from the defaults; prompts, outputs and arrivals follow from the
steps and from section 15 of the design notes. Where the steps leave a choice (the exact priorities, a max_model_len
that is never reached) any consistent one gives the same steps.
"""

import json
from dataclasses import dataclass
from typing import Any

from tests.oracle.case import Config, Req
from tests.shared_data import DATA

FILE = DATA / "vllm" / "sched_golden.json"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request by its recorded name."""

    name: str
    prompt: int
    output: int
    arrival: int = 0
    shared: int = 0
    """Leading tokens that all requests of the scenario share."""
    priority: int = 0


STARVED = [Ask(f"r{i}", 32, 40) for i in range(4)]
SCENARIOS: dict[str, list[Ask]] = {
    "budget_chunking": [Ask(f"r{i}", 100, 4) for i in range(5)],
    "decode_plus_prefill": [Ask("a", 32, 20), Ask("b", 300, 3, arrival=3)],
    "long_prefill_threshold": [Ask("a", 32, 12), Ask("b", 300, 3, arrival=2), Ask("c", 20, 3, arrival=2)],
    "preempt_fcfs": STARVED,
    "preempt_fcfs_nocache": STARVED,
    "preempt_priority": [Ask(f"r{i}", 32, 40, priority=priority) for i, priority in enumerate([3, 0, 2, 1])],
    "same_step_prefix_hit": [Ask(name, prompt, 3, shared=64) for name, prompt in [("a", 64), ("b", 64), ("c", 70)]],
    "full_prompt_hit": [
        Ask("a", 64, 2, shared=64),
        Ask("b", 64, 2, arrival=5, shared=64),
        Ask("c", 65, 2, arrival=9, shared=64),
    ],
    "head_of_line": [Ask("a", 64, 30), Ask("big", 150, 2, arrival=1), Ask("small", 16, 2, arrival=1)],
    "max_num_seqs": [Ask(f"r{i}", 20, 3 + i) for i in range(6)],
    "watermark": [Ask(f"r{i}", 48, 20) for i in range(4)],
    "async_depth2": [Ask("a", 32, 6), Ask("b", 100, 3, arrival=2)],
}


def scenario(name: str, params: dict[str, Any]) -> tuple[Config, list[Req]]:
    """Inputs of a recorded scenario; ids are indices into SCENARIOS[name]."""
    config = Config(
        max_num_batched_tokens=params["budget"],
        max_num_seqs=params.get("seqs", 64),
        block_size=16,
        num_gpu_blocks=params["blocks"],
        max_model_len=4096,
        enable_prefix_caching=params.get("caching", True),
        long_prefill_token_threshold=params.get("long_prefill_token_threshold", 0),
        policy=params.get("policy", "fcfs"),
        watermark=params.get("watermark", 0.0),
        async_scheduling=name == "async_depth2",
    )
    reqs = [
        Req(id, ask.arrival, ask.prompt, ask.output, ask.output, 100 + id, ((1, ask.shared),), ask.priority)
        for id, ask in enumerate(SCENARIOS[name])
    ]
    return config, reqs


def recordings() -> list[dict[str, Any]]:
    """The recorded scenarios, or none without the shared data."""
    return list(json.loads(FILE.read_text())) if FILE.is_file() else []
