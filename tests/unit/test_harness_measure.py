"""`trilemma measure` as a user runs it, against a package `vllm` whose API server is a small fake one."""

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest

from calibrate import realrun
from harness.tiny import make_tiny
from sim.report.bench import BenchResult
from sim.scenario.load import load
from sim.scenario.scenario import Scenario
from sim.workload.draw import draw
from tests.unit.harness_cases import SCENARIO, TRILEMMA, asked, environment, gone, pids

FILES = {
    "bench.json",
    "requests.parquet",
    "tokens.parquet",
    "series.parquet",
    "scenario.json",
    "server.json",
    "server.log",
}


@pytest.fixture
def work(tmp_path):
    """A folder with a scenario and its tiny model."""
    make_tiny("llm", tmp_path / "model")
    (tmp_path / "tiny.yaml").write_text(SCENARIO)
    return tmp_path


def start(work, *options, program=TRILEMMA, **behaviour):
    """Begin `trilemma measure tiny.yaml --out out`."""
    command = [*program, "measure", "tiny.yaml", "--out", "out", *options]
    return subprocess.Popen(
        command,
        cwd=work,
        env=environment(work, **behaviour),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Its exit code, and what it printed."""
    out, err = process.communicate(timeout=240)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def wait_for_requests(work, process, count):
    """Wait until the server was asked `count` times."""
    while process.poll() is None:
        if (work / "asked.jsonl").is_file() and len(asked(work)) >= count:
            return
        time.sleep(0.05)


def test_a_run_is_saved_whole(work):
    code, out, _ = finish(start(work, "--serve-flag", "--load-format=dummy", "--replication", "1", chunk=[1, 3]))
    assert code == 0
    assert {path.name for path in (work / "out").iterdir()} == FILES
    assert not (work / "out.server.log").exists()
    loaded = load(work / "tiny.yaml")
    drawn = draw(loaded.scenario, 5, 1, work)

    sent = asked(work)
    assert sorted(len(row["body"]["prompt"]) for row in sent) == sorted(drawn.prompt_tokens.tolist())
    assert all(gone(pid) for pid in pids(work))

    bench = BenchResult.model_validate_json((work / "out" / "bench.json").read_text())
    assert (bench.completed, bench.failed, bench.num_prompts) == (12, 0, 12)
    assert bench.input_lens == drawn.prompt_tokens.tolist()
    assert bench.output_lens == drawn.output_tokens.tolist()
    assert bench.total_output_tokens == drawn.output_tokens.sum()
    assert (bench.request_rate, bench.burstiness, bench.max_concurrency) == (20.0, 1.0, None)

    real = realrun.read(work / "out")
    assert real.ok.all()
    assert (real.arrival_ns == drawn.arrival_ns).all()
    assert (real.sent_ns >= drawn.arrival_ns).all()
    assert (np.bincount(real.token_request) == drawn.output_tokens).all()
    ttft, latency = real.first_token_ns - real.sent_ns, real.last_token_ns - real.sent_ns
    extra = bench.model_extra
    assert extra["mean_ttft_ms"] == pytest.approx(ttft.mean() / 1e6)
    assert extra["p99_e2el_ms"] == pytest.approx(np.percentile(latency, 99) / 1e6)
    several = drawn.output_tokens > 1
    tpot = (latency - ttft)[several] / (drawn.output_tokens[several] - 1)
    assert extra["median_tpot_ms"] == pytest.approx(np.median(tpot) / 1e6)
    assert f"{extra['mean_ttft_ms']:.2f}" in out
    # The counters of the run alone: the first request, which warms up, came before.
    assert real.increase("vllm:request_success_total") == 12
    assert real.increase("vllm:generation_tokens_total") == drawn.output_tokens.sum()
    names = set(real.series["name"].to_pylist())
    assert not any(name.endswith("_bucket") or not name.startswith("vllm:") for name in names)

    about = real.server
    flags = ["--dtype", "float32", "--max-model-len", "2048", "--block-size", "32", "--no-async-scheduling"]
    model = ["--model", str(work / "model"), "--tensor-parallel-size", "1"]
    assert about["flags"] == [*model, *flags, "--enforce-eager", "--load-format=dummy"]
    assert shlex.split((work / "out" / "server.log").read_text().splitlines()[0])[1:] == about["flags"]
    assert (about["num_gpu_blocks"], about["block_size"], about["max_model_len"]) == (4096, 32, 2048)
    assert (about["vllm_version"], about["seed"], about["replication"]) == ("0.32.0-fake", 5, 1)
    assert (about["attached"], about["died"]) == (False, "")
    assert about["gpu"]
    scenario = json.loads((work / "out" / "scenario.json").read_text())
    portable = loaded.scenario.model_copy(update={"model": str(work / "model" / "config.json")})
    assert Scenario.model_validate_json(json.dumps(scenario)) == portable


def test_a_closed_loop_is_measured(work):
    arrivals = "workload.arrivals={kind: closed_loop, concurrency: 3}"
    code, _, _ = finish(start(work, "--set", arrivals))
    assert code == 0
    bench = BenchResult.model_validate_json((work / "out" / "bench.json").read_text())
    assert (bench.request_rate, bench.max_concurrency, bench.completed) == ("inf", 3, 12)
    real = realrun.read(work / "out")
    at_once = [((real.sent_ns <= now) & (real.last_token_ns > now)).sum() for now in real.sent_ns]
    assert max(at_once) == 3


def test_a_server_that_runs_already_is_used_and_left_alone(work):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    how = environment(work)
    server = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--port", str(port)], env=how
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        salts = []
        for out in ("one", "two"):
            subprocess.run(
                [*TRILEMMA, "measure", "tiny.yaml", "--base-url", f"{url}/v1", "--out", out, "--quiet"],
                cwd=work, env=how, check=True, capture_output=True,
            )  # fmt: skip
            salts.append(asked(work)[-1]["body"]["cache_salt"])
        assert server.poll() is None
    finally:
        server.terminate()
        server.wait()
    assert salts[0] != salts[1]  # the second run finds none of the first's blocks
    about = json.loads((work / "one" / "server.json").read_text())
    assert (about["attached"], about["base_url"], about["flags"]) == (True, url, [])
    assert {path.name for path in (work / "two").iterdir()} == FILES - {"server.log"}


def test_a_server_that_dies_during_the_run_costs_what_it_had_not_answered(work):
    code, _, err = finish(start(work, "--set", "workload.arrivals.request_rate=4", dies_at_request=5))
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("trilemma: the server died during the run, ")
    assert "the engine core died" in last
    assert last.endswith("what was measured is in out")
    bench = BenchResult.model_validate_json((work / "out" / "bench.json").read_text())
    real = realrun.read(work / "out")
    assert 1 <= bench.completed == real.ok.sum() <= 4
    assert bench.failed == 12 - bench.completed
    assert (real.sent_ns[-1], bench.errors[-1]) == (-1, "not sent")
    assert {path.name for path in (work / "out").iterdir()} == FILES
    assert "the engine core died" in (work / "out" / "server.log").read_text()
    assert "died" in real.server["died"]


def test_requests_that_fail_are_told_and_kept_apart(work):
    code, out, err = finish(start(work, bad={"3": "503", "6": "cut", "9": "503"}))
    assert code == 0
    assert "3 of 12 requests failed, most of them with: HTTP 503" in err
    assert "Failed requests:                         3" in out
    bench = BenchResult.model_validate_json((work / "out" / "bench.json").read_text())
    bad = [index for index, error in enumerate(bench.errors) if error]
    assert len(bad) == 3
    assert all(bench.ttfts[index] == bench.latencies[index] == 0 for index in bad)
    assert bench.model_extra["mean_ttft_ms"] == pytest.approx(1000 * sum(bench.ttfts) / 9)


def test_a_run_without_any_answer_fails(work):
    code, _, err = finish(start(work, bad={str(number): "503" for number in range(1, 13)}))
    assert code == 1
    assert "12 of 12 requests failed" in err


def test_a_server_that_does_not_start_leaves_its_log(work):
    code, _, err = finish(start(work, dies_at_once=True))
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert "the server ended before it was healthy (exit code 3)" in last
    assert "No available memory for the cache blocks" in last
    assert not (work / "out").exists()
    assert "No available memory" in (work / "out.server.log").read_text()


def test_ctrl_c_keeps_what_was_measured_and_stops_the_server(work):
    process = start(work, "--set", "workload.arrivals.request_rate=0.5")
    wait_for_requests(work, process, 2)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "trilemma: interrupted, " in err
    assert all(gone(pid) for pid in pids(work))
    assert realrun.read(work / "out").sent_ns[-1] == -1


def test_ctrl_c_while_the_server_starts_stops_it(work):
    process = start(work, healthy_after_s=-1)
    while not (work / "pids").is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, _, _ = finish(process)
    assert code == 130
    assert all(gone(pid) for pid in pids(work))
    assert not (work / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_does_not_outlive_a_killed_measurement(work, kill):
    process = start(work, "--set", "workload.arrivals.request_rate=0.5")
    wait_for_requests(work, process, 1)
    process.send_signal(kill)
    process.communicate(timeout=60)
    assert gone(pids(work)[0])
    assert not (work / "out").exists()


def test_a_full_disk_is_one_sentence_and_the_server_is_stopped(work):
    # As a full disk, without a superuser's rights: no file may grow beyond 4 KiB.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    limited = (*TRILEMMA[:2], limit + TRILEMMA[2])
    options = ("--set", "workload.num_prompts=300", "--set", "workload.arrivals.request_rate=300")
    code, _, err = finish(start(work, *options, program=limited, asked=""))
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("trilemma: --out out: cannot be written (File too large)")
    assert not (work / "out").exists()
    assert not list(work.glob(".out*"))
    assert all(gone(pid) for pid in pids(work))


def test_a_name_that_is_taken_is_refused_before_a_server_starts(work):
    (work / "out").mkdir()
    (work / "out" / "else").write_text("x")
    code, _, err = finish(start(work))
    assert code == 2
    assert "--out out: found something there" in err
    assert not (work / "pids").exists()


def test_a_missing_client_library_is_one_sentence_before_a_server_starts(work):
    how = environment(work)
    (work / "fake" / "aiohttp.py").write_text("raise ImportError\n")
    command = [*TRILEMMA, "measure", "tiny.yaml", "--out", "out"]
    done = subprocess.run(command, cwd=work, env=how, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'trilemma: the client needs the package aiohttp: pip install "trilemma[harness]"\n'
    assert not (work / "pids").exists()


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_a_missing_vllm_is_one_sentence(work):
    command = [*TRILEMMA, "measure", "tiny.yaml", "--out", "out", "--quiet"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("trilemma: vLLM is not installed here: pip install vllm")


def test_a_client_that_sends_late_says_so(work):
    # So many requests at one time, with prompts so long, that no machine makes and sends them at once.
    sets = ["workload.num_prompts=400", "workload.arrivals.request_rate=1000000", "workload.lengths.input.tokens=20000"]
    code, _, err = finish(start(work, *(word for one in sets for word in ("--set", one)), asked=""))
    assert code == 0
    assert "warning: requests were sent up to " in err


def test_a_taken_port_is_refused(work):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, _, err = finish(start(work, "--port", port))
    assert code == 2
    assert f"--port {port}: found it taken" in err


def test_a_dry_run_prints_the_server_and_starts_nothing(work):
    code, out, err = finish(start(work, "--dry-run", "--port", "8123", "--serve-flag", "--load-format=dummy"))
    assert (code, err) == (0, "")
    argv = shlex.split(out.splitlines()[0])
    assert argv[1:7] == ["-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", "8123"]
    assert argv[-1] == "--load-format=dummy"
    assert not (work / "pids").exists()


def test_a_dry_run_prints_vllms_own_client(work):
    lengths = "workload.lengths.output.tokens=16"
    code, out, _ = finish(start(work, "--dry-run", "--vllm-bench", "--set", lengths))
    assert code == 0
    argv = shlex.split(out.splitlines()[1])
    pairs = dict(pairwise(argv))
    assert argv[1:3] == ["-m", "harness.vllm_bench"]
    assert (pairs["--random-input-len"], pairs["--random-output-len"]) == ("64", "16")
    assert (pairs["--random-range-ratio"], pairs["--request-rate"], pairs["--num-prompts"]) == ("0.5", "20.0", "12")
    assert pairs["--seed"] == "5"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("workload.sessions={turns: 2, think_s: 1}", "workload: --vllm-bench sends"),
        ("workload.lengths.output.range_ratio=0.1", "workload.lengths: --vllm-bench sends"),
        ("workload.arrivals={kind: on_off, on_rate: 2, mean_on_s: 1, mean_off_s: 1}", "found on_off, --vllm-bench"),
        ("fleet.0.replicas=2", "fleet: found 2 replicas, expected one"),
    ],
)
def test_what_cannot_be_measured_so_is_refused_before_a_server_starts(work, setting, sentence):
    code, _, err = finish(start(work, "--vllm-bench", "--dry-run", "--set", setting))
    assert code == 2
    assert sentence in err


def test_parquet_columns_are_those_that_readers_know(work):
    finish(start(work))
    kinds = {
        table: {field.name: str(field.type) for field in pq.read_schema(work / "out" / f"{table}.parquet")}
        for table in ("tokens", "series")
    }
    assert kinds["tokens"] == {"request": "int32", "time_ns": "int64"}
    assert kinds["series"] == {"time_ns": "int64", "name": "string", "labels": "string", "value": "double"}
