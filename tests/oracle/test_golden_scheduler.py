"""Without vLLM: our schedulers repeat what the real one was recorded to do, step by step."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.oracle.case import Config, Req, Step
from tests.oracle.golden import FOLDER, Recording, load
from tests.oracle.kernel import run_kernel
from tests.oracle.naive import run_naive
from tests.oracle.shared_golden import SCENARIOS, recordings, scenario
from tests.shared_data import needs_data

Run = Callable[[Config, Sequence[Req]], list[Step]]
PARTIES = pytest.mark.parametrize("run", [run_naive, run_kernel])


@PARTIES
@pytest.mark.parametrize("recording", [load(path) for path in sorted(FOLDER.glob("*.json"))], ids=lambda one: one.name)
def test_own_recordings(recording: Recording, run: Run) -> None:
    assert run(recording.config, recording.reqs) == recording.steps


def test_own_recordings_are_there() -> None:
    assert len(list(FOLDER.glob("*.json"))) == 40


@needs_data
def test_every_shared_scenario_has_inputs() -> None:
    assert {recorded["name"] for recorded in recordings()} == set(SCENARIOS)


@needs_data
@PARTIES
@pytest.mark.parametrize("recorded", recordings(), ids=lambda recorded: recorded["name"])
def test_shared_recordings(recorded: dict[str, Any], run: Run) -> None:
    names = [ask.name for ask in SCENARIOS[recorded["name"]]]

    def by_name(pairs: Sequence[tuple[int, int]]) -> list[tuple[str, int]]:
        return [(names[id], tokens) for id, tokens in pairs]

    steps = run(*scenario(recorded["name"], recorded["params"]))
    ours = [
        {
            "step": step.call,
            "sched": by_name(step.scheduled),
            "preempted": [names[id] for id in step.preempted],
            "cached": sorted(by_name(step.cached)),
            "running": [names[id] for id in step.running],
            "waiting": [names[id] for id in step.waiting],
            "free_blocks": step.free_blocks,
            "finished_after": [names[id] for id in step.finished],
        }
        for step in steps
    ]
    real = [
        {
            "step": step["step"],
            "sched": list(step["sched"].items()),
            "preempted": step["preempted"],
            "cached": sorted({**step["new_cached"], **step["resumed"]}.items()),
            "running": step["running"],
            "waiting": step["waiting"],
            "free_blocks": step["free_blocks"],
            "finished_after": step.get("finished_after", []),
        }
        for step in recorded["trace"]
        if step["sched"] or step["running"] or step["waiting"]  # the recorder also called an engine without requests
    ]
    assert ours == real
