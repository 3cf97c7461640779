"""Profile a tiny model on the real engine, serve it, and measure runs of several loads: what calibration is proved on.

`python -m tests.engine.cpu_serving KIND FOLDER` does it for one kind of model (llm or moe) and leaves everything in the
folder: model, profile, the run to calibrate from (`near`), and the runs to predict.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.measure import measure
from harness.server import serve
from harness.tiny import make_tiny
from sim.scenario.load import load

ENGINE = {
    "dtype": "float32",
    "enforce_eager": True,
    "kv_cache_memory_bytes": 1 << 28,
    "block_size": 32,
    "max_num_batched_tokens": 512,
    "max_num_seqs": 16,
    "max_model_len": 512,
    "async_scheduling": False,
    "enable_prefix_caching": False,
}
FLAGS = ("--load-format=dummy", "--trust-remote-code")
MIXES = {"short": (64, 16, (1.0, 3.0, 6.0)), "long": (200, 32, (0.5, 1.0, 1.6))}
"""Mean prompt and output tokens, and rates, requests/s: up to half of what the machine can do."""
NEAR = (100, 20, 0.8)
"""The run that calibration sees: another mix, at a low rate."""
SECONDS = 9.0
"""Of a run, about."""
PROFILE_MINUTES = 0.7
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"}
"""One thread, as `vllm serve` gives its worker on two cores: it keeps one for the scheduler."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Directories."""

    profile: Path
    near: Path
    unseen: tuple[Path, ...]


def measured(kind: str, folder: Path) -> Measured:
    """Profile, serve and measure, close in time; one server start."""
    os.environ.update(ENVIRONMENT)
    config = make_tiny(kind, folder / "model")
    near = _scenario(folder, config, "near", *NEAR)
    loads = [
        _scenario(folder, config, f"{mix}-{rate:g}", prompt, output, rate)
        for mix, (prompt, output, rates) in MIXES.items()
        for rate in rates
    ]
    profile = folder / "profile"
    _profile(near, profile)
    runs = []
    with serve(load(near).scenario, folder, FLAGS, folder / "server.log") as server:
        for path in (near, *loads):
            runs.append(folder / "runs" / path.stem)
            done = measure(load(path), server, runs[-1], lambda _done, _total: None)
            assert not done.failed, done.failed
    return Measured(profile, runs[0], tuple(runs[1:]))


def _profile(scenario: Path, out: Path) -> None:
    """In a process of its own: the engine runs in it."""
    flags = [f"--serve-flag={flag}" for flag in (*FLAGS, "--skip-tokenizer-init")]
    command = [sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())", "profile", str(scenario)]
    command += ["--out", str(out), "--minutes", str(PROFILE_MINUTES), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def _scenario(folder: Path, config: Path, name: str, prompt: int, output: int, rate: float) -> Path:
    def around(tokens: int) -> dict[str, Any]:
        return {"kind": "uniform", "tokens": tokens, "range_ratio": 0.5}

    scenario = {
        "schema_version": 1,
        "name": name,
        "model": str(config.resolve()),
        "workload": {
            "kind": "synthetic",
            "num_prompts": max(8, round(rate * SECONDS)),
            "arrivals": {"kind": "poisson", "request_rate": rate},
            "lengths": {"kind": "separate", "input": around(prompt), "output": around(output)},
        },
        "engine": ENGINE,
        "fleet": [{"pool": "cpu", "gpu": "cpu-x86-2core"}],
        "run": {"replications": 1},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(scenario))
    return path


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    print(measured(sys.argv[1], Path(sys.argv[2])))
