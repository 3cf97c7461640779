"""The same scenario and seed give the same bytes, except `date` and provenance."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SETS = {
    "open loop": ("workload.num_prompts=300", "router={kind: power_of_two}"),
    "sessions": (
        "workload.num_prompts=300",
        "workload.sessions={turns: 3, think_s: 1}",
        "workload.shared_prefix={tokens: 100}",
    ),
    "closed loop": ("workload.num_prompts=300", "workload.arrivals={kind: closed_loop, concurrency: 40}"),
}


def files(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "provenance.json"}
    bench = json.loads(found["bench.json"])
    assert bench.pop("date") == bench["capacity"].pop("provenance")["date"]
    return found | {"bench.json": json.dumps(bench).encode()}


@pytest.mark.parametrize("sets", SETS.values(), ids=SETS)
def test_the_same_bytes_in_another_process(tmp_path: Path, sets: tuple[str, ...]) -> None:
    command = [
        sys.executable,
        "-c",
        "from ui.cli import main; raise SystemExit(main())",
        "run",
        "quickstart",
        "--quiet",
    ]
    for setting in (*sets, "run.replications=2"):
        command += ["--set", setting]
    runs = {"one": "0", "two": "1", "other seed": "0"}
    for name, hash_seed in runs.items():
        seed = ["--seed", "7" if name == "other seed" else "5"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        out = ["--out", str(tmp_path / name)]
        subprocess.run([*command, *seed, *out], check=True, capture_output=True, env=environment, cwd=tmp_path)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one")["requests.parquet"] != files(tmp_path / "other seed")["requests.parquet"]
