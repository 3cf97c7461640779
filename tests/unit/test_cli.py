"""The console command: what it prints where, and its exit codes."""

import hashlib
import http.server
import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from sim.scenario.schema import schema_json
from sim.workload import named
from sim.workload.named_spot import SPOT_TRACES
from ui.cli import main
from ui.commands.progress import progress

TINY = """
schema_version: 1
name: tiny
model: deepseek-llm-7b
workload:
  kind: synthetic
  num_prompts: 20
  arrivals: {kind: poisson, request_rate: 5}
  lengths: {kind: separate, input: {kind: fixed, tokens: 64}, output: {kind: uniform, tokens: 8, range_ratio: 0.5}}
engine: {gpu_memory_utilization: 0.9}
fleet: [{pool: a, gpu: h100-sxm-80gb}]
run: {replications: 2}
overrides: {double: {fleet.0.replicas: 2}}
scenarios: {double: [double]}
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def result(capsys, *argv):
    """Run with `--json -`; stdout must be JSON and nothing else."""
    assert main(["run", *argv, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_installed_command_is_main():
    (script,) = entry_points(group="console_scripts", name="trilemma")
    assert script.load() is main


def test_help_loads_nothing_heavy():
    code = "import sys, ui.cli; ui.cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"  {command} " in done.stdout for command in ("run", "check", "schema", "data"))
    assert not {"numba", "numpy", "scipy", "pyarrow", "pydantic", "yaml", "simpy", "rich"} & set(done.stderr.split())


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "Missing command"),
        (["rnu"], "No such command 'rnu'"),
        (["run"], "Missing argument 'SCENARIO'"),
        (["run", "quickstart", "more"], "more"),
        (["run", "quickstart", "--sed", "1"], "No such option: --sed"),
        (["run", "quickstart", "--seed", "x"], "'--seed'"),
        (["run", "quickstart", "--seed"], "--seed"),
        (["run", "quickstart", "--set", "x"], "--set x: expected key.path=value"),
        (["run", "quickstart", "--seed", "-1"], "run.seed: found -1, expected an integer at least 0"),
        (["run", "quickstart", "--replications", "0"], "run.replications: found 0"),
        (["run", "quickstart", "--scenario", "night"], "quickstart.yaml: no scenario named"),
        (["run", "quickstrt"], "quickstrt: no such file or shipped scenario, did you mean quickstart?"),
        (["run", "quickstart", "--json", "no/such/folder/x.json"], "--json no/such/folder/x.json"),
        (["run", "quickstart", "--json", "."], "--json ."),
        (["run", "quickstart", "--out", "/dev/null"], "--out /dev/null"),
        (["check"], "Missing argument"),
        (["check", "quickstart", "--seed", "3"], "No such option: --seed"),
        (["schema", "x"], "x"),
        (["data"], "Missing command"),
        (["data", "get"], "Missing argument 'ID'"),
        (["data", "get", "azure"], "found 'azure', expected one of azure2023-conv"),
    ],
)
def test_usage_errors_are_one_sentence(capsys, argv, problem):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trilemma: ")
    assert err.count("\n") == 1
    assert problem in err


def test_report_on_stdout_progress_on_stderr(tiny, capsys):
    assert main(["run", tiny]) == 0
    out, err = capsys.readouterr()
    assert "Serving Benchmark Result" in out
    assert err == "replications: 1 of 2\nreplications: 2 of 2\n"
    assert main(["run", tiny, "--quiet"]) == 0
    again = capsys.readouterr()
    assert again.out == out
    assert again.err == ""


def test_progress_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("replications", quiet=False) as step:
        step(0, 4)
        step(3, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "replications" in err
    with progress("replications", quiet=True) as step:
        step(3, 4)
    assert capsys.readouterr() == ("", "")


def test_json_goes_where_it_is_told(tiny, capsys, tmp_path):
    printed = result(capsys, tiny)
    assert printed["num_prompts"] == 20
    assert main(["run", tiny, "--json", "here.json"]) == 0
    written = json.loads((tmp_path / "here.json").read_text())
    for one in (printed, written):
        del one["date"], one["capacity"]["provenance"]
    assert written == printed


def test_seed_and_replications_are_settings(tiny, capsys):
    plain = result(capsys, tiny)
    seeded = result(capsys, tiny, "--seed", "7", "--replications", "3")
    same = result(capsys, tiny, "--set", "run.seed=7", "--set", "run.replications=3")
    assert seeded["mean_ttft_ms"] == same["mean_ttft_ms"] != plain["mean_ttft_ms"]
    assert seeded["capacity"]["summary"]["replications"] == 3


def test_requests_beyond_the_context_are_counted_not_an_error(tiny, capsys):
    found = result(capsys, tiny, "--set", "workload.lengths.input.tokens=5000")
    assert (found["completed"], found["failed"]) == (0, 20)


def test_named_scenario(tiny, capsys):
    assert result(capsys, tiny)["capacity"]["summary"]["pools"][0]["replicas"] == 1
    assert result(capsys, tiny, "--scenario", "double")["capacity"]["summary"]["pools"][0]["replicas"] == 2


def test_relative_paths_start_at_the_scenario_file(tiny, capsys, tmp_path, monkeypatch):
    (tmp_path / "trace.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,3\n1,10,3\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    workload = "workload={kind: trace, path: trace.csv, format: csv}"
    assert result(capsys, tiny, "--set", workload)["total_input_tokens"] == 20


@pytest.mark.parametrize(
    ("slo", "code"),
    [("{e2el_ms: 1e9}", 0), ("{ttft_ms: 1e-6}", 3), ("{ttft_ms: 1e-6, percentile: 1e-9}", 3)],
)
def test_fail_on_slo(tiny, slo, code):
    assert main(["run", tiny, "--set", f"slo={slo}", "--fail-on-slo"]) == code
    assert main(["run", tiny, "--set", f"slo={slo}"]) == 0


def test_fail_on_slo_needs_one(tiny, capsys):
    assert main(["run", tiny, "--fail-on-slo"]) == 2
    assert f"trilemma: {tiny}: slo: found no limit" in capsys.readouterr().err


def test_run_is_saved(tiny, capsys, tmp_path):
    assert main(["run", tiny, "--out", "kept"]) == 0
    assert "Saved in kept\n" in capsys.readouterr().out
    assert main(["run", tiny]) == 0
    (default,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in default.iterdir()} == {path.name for path in (tmp_path / "kept").iterdir()}
    assert json.loads((tmp_path / "kept" / "scenario.json").read_text())["name"] == "tiny"


def test_ctrl_c_exits_130(tiny):
    """A real process, interrupted once it has said that it is at work."""
    command = [sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())", "run", tiny]
    process = subprocess.Popen([*command, "--replications", "1000"], stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("replications: 1 of 1000")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_schema_command(capsys):
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_json()


def test_data_list_says_where_each_trace_lies(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRILEMMA_DATA", str(tmp_path))
    place = tmp_path / named.TRACES["azure2023-code"].path
    place.parent.mkdir(parents=True)
    place.write_text("")
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert all(trace in out for trace in (*named.TRACES, *SPOT_TRACES))
    assert str(place) in out
    assert out.count("not on this machine") == len(named.TRACES) + len(SPOT_TRACES) - 1


def test_data_get_from_a_server(capsys, tmp_path, monkeypatch):
    (tmp_path / "conv.csv").write_bytes(b"TIMESTAMP,ContextTokens,GeneratedTokens\n")
    content = (tmp_path / "conv.csv").read_bytes()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trace = replace(
        named.TRACES["azure2023-conv"],
        url=f"http://127.0.0.1:{server.server_port}/conv.csv",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(named.TRACES, "azure2023-conv", trace)
    try:
        assert main(["data", "get", "azure2023-conv"]) == 0
        out, err = capsys.readouterr()
        assert Path(out.strip()).read_bytes() == content
        assert err == ""
        monkeypatch.setitem(named.TRACES, "azure2023-conv", replace(trace, sha256="0" * 64))
        Path(out.strip()).unlink()
        assert main(["data", "get", "azure2023-conv"]) == 2
        assert "SHA-256" in capsys.readouterr().err
    finally:
        server.shutdown()
        server.server_close()
