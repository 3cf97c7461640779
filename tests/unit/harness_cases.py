"""What the tests of the harness share: the fake server, and scenarios for it."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

FAKE = Path(__file__).with_name("fake_openai.py")
TRILEMMA = (sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())")
SCENARIO = """
schema_version: 1
name: tiny
model: model/config.json
workload:
  kind: synthetic
  num_prompts: 12
  arrivals: {kind: poisson, request_rate: 20}
  lengths: {kind: separate, input: {kind: uniform, tokens: 64, range_ratio: 0.5}, output: {kind: uniform, tokens: 8, range_ratio: 0.5}}
engine: {dtype: float32, enforce_eager: true, block_size: 32, max_model_len: 2048, async_scheduling: false}
fleet: [{pool: a, gpu: h100-sxm-80gb}]
run: {seed: 5, replications: 2}
"""  # noqa: E501


def fake_command(port):
    """The fake server's own command line."""
    return [sys.executable, str(FAKE), "--port", str(port)]


def fake_vllm(folder):
    """Make a package `vllm` whose API server is the fake one, and return the folder for PYTHONPATH."""
    package = folder / "fake" / "vllm"
    (package / "entrypoints" / "openai").mkdir(parents=True)
    for place in (package, package / "entrypoints", package / "entrypoints" / "openai"):
        (place / "__init__.py").write_text("")
    shutil.copyfile(FAKE, package / "entrypoints" / "openai" / "api_server.py")
    return package.parent


def environment(folder, **behaviour):
    """Environment of a command that finds the fake vLLM, behaving as given."""
    told = {"asked": str(folder / "asked.jsonl"), "pids": str(folder / "pids")}
    path = os.pathsep.join([str(fake_vllm(folder)), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "FAKE_OPENAI": json.dumps(told | behaviour)}


def asked(folder):
    """What the fake server was asked for, in the order in which it came, without the warm-up."""
    rows = [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]
    return [row for row in rows if row["number"]]


def alive(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid, within_s=20.0):
    """Wait until a process has ended; False if it does not."""
    until = time.monotonic() + within_s
    while alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def pids(folder):
    """Pids of the fake server and of the process that it started; both are there once it is healthy."""
    return [int(pid) for pid in (folder / "pids").read_text().split()]
