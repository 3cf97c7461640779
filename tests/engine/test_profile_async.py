"""Under async scheduling, as on GPUs, the recorder tells overlapping steps apart; a CPU engine is made to do it."""

import time

import pytest

from harness.profile_grid import Ladder, grid
from harness.profile_visits import measure, warm_up
from harness.tiny import make_tiny
from tests.engine.vllm import require_vllm

require_vllm()

from vllm.config import SchedulerConfig  # noqa: E402
from vllm.v1.core.sched.async_scheduler import AsyncScheduler  # noqa: E402

from harness.profile_engine import engine  # noqa: E402

pytestmark = pytest.mark.engine

FLAGS = [
    "--dtype=float32",
    "--load-format=dummy",
    "--enforce-eager",
    "--block-size=32",
    "--kv-cache-memory-bytes=33554432",
    "--max-num-batched-tokens=128",
    "--max-num-seqs=4",
    "--max-model-len=256",
]


def test_steps_that_overlap_are_as_asked_for_and_their_times_do_not(tmp_path, monkeypatch):
    make_tiny("llm", tmp_path / "model")
    chosen = SchedulerConfig.get_scheduler_cls

    def overlapping(self):  # the CPU platform switched it off before, for the worker too
        self.async_scheduling = True
        return chosen(self)

    monkeypatch.setattr(SchedulerConfig, "get_scheduler_cls", overlapping)
    with engine(["--model", str(tmp_path / "model"), *FLAGS], 0) as running:
        assert isinstance(running.core.scheduler, AsyncScheduler)
        assert running.core.batch_queue_size == 2
        most, wall_ms = 0, 0.0
        step = running.step

        def counted():
            nonlocal most, wall_ms
            ended = step()
            most = max(most, len(running.recorder.in_flight))
            wall_ms += 0.0 if ended is None else ended.wall_ms
            return ended

        monkeypatch.setattr(running, "step", counted)
        warm_up(running)
        began = time.perf_counter()
        wall_ms = 0.0
        for visit in grid(running.limits).visits:
            steps = measure(running, visit)
            assert all(0 < one.model_ms <= one.wall_ms for one in steps)
            if isinstance(visit, Ladder):
                asked = [
                    (level, tokens) for level in visit.levels for tokens in (0, *visit.beside(level, running.limits))
                ]
                found = [(one.shape.decode_seqs, one.shape.prefill_tokens) for one in steps]
                assert list(dict.fromkeys(found)) == list(dict.fromkeys(asked))
            else:
                assert [one.shape for one in steps] == [visit.shape]
        assert most == 1  # when a step has ended, the next is under way already
        # Each moment belongs to one step: from schedule() to update alone, most would count twice.
        assert wall_ms <= 1e3 * (time.perf_counter() - began)
