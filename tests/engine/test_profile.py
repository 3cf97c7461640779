"""Steps of the real engine are what was asked for, by a count of our own; a killed profile is gone on with."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from calibrate import profiles
from harness.profile_files import ABOUT, JOURNAL, STEPS
from harness.profile_grid import Ladder, Limits, grid
from harness.tiny import make_tiny
from sim.steptime.shape import StepShape
from tests.engine.vllm import require_vllm
from ui.cli import main

require_vllm()

from vllm.v1.core.sched.scheduler import Scheduler  # noqa: E402

pytestmark = pytest.mark.engine

REPEATS = 3
SCENARIO = """
schema_version: 1
name: tiny
model: model/config.json
engine:
  dtype: float32
  enforce_eager: true
  kv_cache_memory_bytes: 67108864
  block_size: 32
  max_num_batched_tokens: 64
  max_num_seqs: 4
  max_model_len: 192
  async_scheduling: false
fleet: [{pool: a, gpu: cpu-x86-2core}]
workload:
  kind: synthetic
  num_prompts: 1
  arrivals: {kind: poisson, request_rate: 1}
  lengths: {kind: separate, input: {kind: fixed, tokens: 10}, output: {kind: fixed, tokens: 10}}
"""


def journal(out):
    path = out / JOURNAL
    return [json.loads(line) for line in path.read_text().splitlines()[1:]] if path.is_file() else []


def start_and_kill(command, out, visits):
    """Run until so many visits are kept, then kill; what its engine's worker does then is vLLM's affair."""
    code = "import sys; from ui.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(journal(out)) < visits:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def recount(computed, prompts, output):
    """Sum up a scheduler's output from the prompts' lengths and what was scheduled before it."""
    for new in output.scheduled_new_reqs:
        prompts[new.req_id], computed[new.req_id] = len(new.prompt_token_ids), 0
    scheduled = output.num_scheduled_tokens
    chunks = [(tokens, computed[name]) for name, tokens in scheduled.items() if tokens > 1]
    decodes = [computed[name] + 1 for name, tokens in scheduled.items() if tokens == 1]
    pairs = sum(sum(range(old + 1, old + tokens + 1)) for tokens, old in chunks)
    sampled = sum(computed[name] + tokens >= prompts[name] for name, tokens in scheduled.items())
    computed.update({name: computed[name] + tokens for name, tokens in scheduled.items()})
    return StepShape(sum(tokens for tokens, _ in chunks), len(chunks), pairs, len(decodes), sum(decodes), sampled)


def test_a_killed_profile_goes_on_and_holds_exactly_the_steps_asked_for(tmp_path, monkeypatch, capfd):
    make_tiny("llm", tmp_path / "model")
    (tmp_path / "tiny.yaml").write_text(SCENARIO)
    out = tmp_path / "profile"
    command = ["profile", str(tmp_path / "tiny.yaml"), "--out", str(out), "--serve-flag=--load-format=dummy"]
    start_and_kill(command, out, 5)
    before = journal(out)

    computed, prompts, steps = {}, {}, []
    schedule = Scheduler.schedule

    def spy(self, *args, **kwargs):
        output = schedule(self, *args, **kwargs)
        steps.append(recount(computed, prompts, output))
        return output

    monkeypatch.setattr(Scheduler, "schedule", spy)
    assert main(command) == 0
    shown = capfd.readouterr()
    assert "Saved in" in shown.out
    assert "trilemma calibrate" in shown.out

    after = journal(out)
    assert after[: len(before)] == before
    claimed = [StepShape(*step[:6]) for line in after[len(before) :] for step in line["steps"]]
    made = iter(steps)
    assert claimed
    assert all(shape in made for shape in claimed)  # each in turn, so in the order in which they were made

    about = json.loads((out / ABOUT).read_text())
    limits = Limits(**about["limits"] | {"graphs": tuple(about["limits"]["graphs"])})
    assert (limits.budget, limits.seqs, limits.model_len, limits.block_size) == (64, 4, 192, 32)
    visits = {visit.name: visit for visit in grid(limits).visits if visit.tier == 0}
    assert Counter(line["visit"] for line in after) == dict.fromkeys(visits, REPEATS)
    assert about["complete"] is True
    assert about["missed"] == {}
    for line in after:
        visit, found = visits[line["visit"]], [StepShape(*step[:6]) for step in line["steps"]]
        if isinstance(visit, Ladder):
            asked = [
                (level, tokens)
                for level in visit.levels
                for tokens in (0, *visit.beside(level, limits))  # the decodes alone, then with a prompt
            ]
            assert [(one.decode_seqs, one.prefill_tokens) for one in found] == asked
            assert all(one.context_tokens > one.decode_seqs * visit.context for one in found)
        else:
            assert found == [visit.shape]

    with (out / STEPS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(line["steps"]) for line in after)
    assert all(0 < float(row["model_ms"]) < float(row["wall_ms"]) for row in rows)
    assert all(point["n"] >= REPEATS for point in about["points"])
    assert {row["kind"] for row in rows} == {"prefill", "decode", "mixed"}
    alone = {one["prefill_tokens"]: one["median_ms"] for one in about["points"] if one["kind"] == "prefill"}
    assert alone[max(alone)] > alone[min(alone)]  # 64 tokens, and an eighth of them
    assert len(profiles.read(out).shapes) == len(about["points"])
