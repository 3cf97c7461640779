"""What is measured of collectives, and the table of it; without torch."""

import csv
import importlib.util

import numpy as np
import pytest

from harness.collectives import COLLECTIVES, COLUMNS, Point, medians, plan, table
from scripts.fit_collectives import fit
from sim.steptime.collectives import MIB
from ui.cli import BAD_INPUT, main


def point(collective, ranks, nbytes, times):
    return Point(collective, "NCCL", "nccl/2.29.2", "bfloat16", ranks, nbytes // 2, nbytes, tuple(times))


def test_a_row_holds_median_spread_and_the_bandwidths_of_nccl_tests():
    row = point("all_reduce", 8, MIB, [40.0, 10.0, 20.0, 30.0, 20.0]).row()
    assert tuple(row) == COLUMNS
    assert (row["latency_us"], row["iqr_us"], row["repeats"]) == (20.0, 10.0, 5)
    assert row["algbw_GBps"] == pytest.approx(MIB / 20e-6 / 1e9, rel=1e-4)
    assert row["busbw_GBps"] == pytest.approx(MIB / 20e-6 / 1e9 * 2 * 7 / 8, rel=1e-4)
    assert point("all_gather", 8, MIB, [20.0]).row()["busbw_GBps"] == pytest.approx(MIB / 20e-6 / 1e9 * 7 / 8, rel=1e-4)


def test_the_table_is_what_the_fit_of_collectives_reads():
    latency_us, gbps = 12.0, 200.0
    sizes = [1 << power for power in range(10, 29)]
    points = [point("alltoall", 4, size, [latency_us + size / gbps / 1e3] * 3) for size in sizes]
    rows = list(csv.DictReader(table(points).splitlines()))
    size = np.array([float(row["bytes"]) for row in rows])
    time_us = np.array([float(row["latency_us"]) for row in rows])
    (line,) = fit(size, time_us)
    assert line[1:] == pytest.approx([latency_us, gbps], rel=0.01)
    assert {row["collective"] for row in rows} == {"alltoall"}


def test_groups_and_sizes_are_as_asked_for():
    orders = plan([2, 4], None, None)
    assert [(order.ranks, order.backend, order.largest) for order in orders] == [
        (2, "nccl", 1 << 28),
        (4, "nccl", 1 << 28),
    ]
    (cpu,) = plan([], 3, 5000)
    assert (cpu.ranks, cpu.backend, cpu.sizes) == (3, "gloo", [1024, 2048, 4096])
    assert len(orders[0].points) == len(COLLECTIVES) * 19 * 2  # eager and in a graph


def test_medians_lie_by_collective_way_ranks_and_bytes():
    found = medians([point("all_reduce", 2, 1024, [3.0, 1.0, 2.0]), point("all_reduce", 4, 1024, [5.0])])
    assert found == {"all_reduce": {"NCCL": {"2": {"1024": 2.0}, "4": {"1024": 5.0}}}}


def test_a_dry_run_on_gpus_says_what_it_would_measure(tmp_path, capsys):
    assert main(["collectives", "--gpus", "2,8", "--dry-run", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "2 GPUs, nccl, 1024 to 268435456 bytes, 152 points" in shown
    assert "8 GPUs" in shown
    assert "NCCL_eager, NCCL" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("gpus", ["1", "2,x", "", "2,,4"])
def test_wrong_groups_are_one_sentence(gpus, capsys):
    assert main(["collectives", "--gpus", gpus, "--dry-run"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--gpus" in said


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
def test_without_torch_one_sentence_says_how_to_get_it(tmp_path, capsys):
    assert main(["collectives", "--ranks", "2", "--out", str(tmp_path / "out")]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install torch" in said
    assert not (tmp_path / "out").exists()
