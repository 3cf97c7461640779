"""`measure` on the real server: one start serves an open loop, a closed loop, sessions, and vLLM's own client."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from calibrate import realrun
from harness.measure import Measured, measure, measure_with_vllm_bench
from harness.server import serve
from harness.tiny import make_tiny
from sim.report.bench import BenchResult
from sim.scenario.load import load
from sim.workload.draw import draw
from tests.engine.vllm import require_vllm

require_vllm()

pytestmark = pytest.mark.engine

SCENARIO = """
schema_version: 1
name: tiny
model: model/config.json
workload:
  kind: synthetic
  num_prompts: 12
  arrivals: {kind: poisson, request_rate: 3}
  lengths:
    kind: separate
    input: {kind: uniform, tokens: 100, range_ratio: 0.5}
    output: {kind: uniform, tokens: 12, range_ratio: 0.5}
engine: {dtype: float32, enforce_eager: true, kv_cache_memory_bytes: 268435456, block_size: 32, max_num_seqs: 16,
         max_num_batched_tokens: 2048, max_model_len: 2048, async_scheduling: false}
fleet: [{pool: cpu, gpu: cpu-x86-2core}]
"""
EXTRA = ("--load-format=dummy", "--enable-prompt-tokens-details")

Run = Callable[..., Measured]


@pytest.fixture(scope="module")
def tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One server; called with a name and settings, it measures the scenario with these and returns the run."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    folder = tmp_path_factory.mktemp("measure")
    make_tiny("llm", folder / "model")
    (folder / "tiny.yaml").write_text(SCENARIO)
    base = load(folder / "tiny.yaml")
    with serve(base.scenario, folder, EXTRA, folder / "server.log") as server:

        def run(name: str, sets: Sequence[str] = (), *, vllm_bench: bool = False) -> Measured:
            loaded = load(folder / "tiny.yaml", sets)
            if vllm_bench:
                return measure_with_vllm_bench(loaded, server, folder / name)
            return measure(loaded, server, folder / name, lambda _done, _total: None)

        yield run


def check(path: Path, sets: Sequence[str] = ()) -> realrun.RealRun:
    """Every request got exactly its tokens, and both files say the same."""
    loaded = load(path.parent / "tiny.yaml", sets)
    drawn = draw(loaded.scenario, loaded.scenario.run.seed, 0, path.parent)
    real = realrun.read(path)
    bench = BenchResult.model_validate_json((path / "bench.json").read_text())
    assert real.ok.all()
    assert (real.prompt_tokens == drawn.prompt_tokens).all()
    assert (np.bincount(real.token_request) == drawn.output_tokens).all()
    assert (bench.completed, bench.total_input_tokens) == (12, drawn.prompt_tokens.sum())
    assert real.increase("vllm:prompt_tokens_total") == drawn.prompt_tokens.sum()
    assert real.increase("vllm:generation_tokens_total") == drawn.output_tokens.sum()
    assert real.increase("vllm:request_success_total") == 12
    return real


def test_open_loop_twice(tiny_server: Run) -> None:
    for name in ("open", "again"):  # the second finds nothing of the first in the prefix cache
        real = check(tiny_server(name).path)
        assert (real.sent_ns >= real.arrival_ns).all()
        assert real.increase("vllm:prefix_cache_hits_total") == 0
        mean_ms, count = real.engine_mean_ms("vllm:time_to_first_token_seconds") or (0, 0)
        assert count == 12
        assert 0 < mean_ms <= (real.first_token_ns - real.sent_ns).mean() / 1e6  # the client waits for it longer
    # 8 layers, keys and values of 2 heads of 64 floats of 4 bytes: 8 KiB a token
    assert real.server["num_gpu_blocks"] == 268435456 // (32 * 8 * 2 * 2 * 64 * 4)
    assert (real.server["block_size"], real.server["max_model_len"]) == (32, 2048)
    assert real.server["vllm_version"].startswith("0.")


def test_closed_loop(tiny_server: Run) -> None:
    sets = ["workload.arrivals={kind: closed_loop, concurrency: 3}"]
    real = check(tiny_server("closed", sets).path, sets)
    at_once = [((real.sent_ns <= now) & (real.last_token_ns > now)).sum() for now in real.sent_ns]
    assert max(at_once) == 3


def test_sessions_find_their_conversation_in_the_prefix_cache(tiny_server: Run) -> None:
    sets = ["workload.sessions={turns: 3, think_s: 0.2}", "workload.arrivals.request_rate=1"]
    path = tiny_server("sessions", sets).path
    check(path, sets)
    loaded = load(path.parent / "tiny.yaml", sets)
    drawn = draw(loaded.scenario, 0, 0, path.parent)
    before = drawn.after
    assert (before >= 0).sum() >= 3
    # Full blocks of the conversation so far; the last token of an answer has no KV yet when the answer ends.
    known = drawn.prompt_tokens[before] + drawn.output_tokens[before] - 1
    cached = np.where(before >= 0, known // 32 * 32, 0)
    assert pq.read_table(path / "requests.parquet")["cached_tokens"].to_pylist() == cached.tolist()


def test_vllms_own_client(tiny_server: Run) -> None:
    done = tiny_server("bench", vllm_bench=True)
    bench = BenchResult.model_validate_json((done.path / "bench.json").read_text())
    assert (bench.completed, bench.failed, bench.request_rate) == (12, 0, 3.0)
    assert {one.name for one in done.path.iterdir()} == {
        *("bench.json", "scenario.json", "server.json", "server.log", "series.parquet")
    }
