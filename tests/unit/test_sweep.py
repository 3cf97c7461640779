"""Sweeps: numbers as `trilemma run` has them, paired differences, and what survives a kill."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from sim.errors import InputError
from sim.report import summarise
from sim.run import simulate
from sim.scenario.load import load
from sim.study import journal
from sim.study.executor import Failed, LocalExecutor, attempt
from sim.study.journal import Journal, code_sha256, design_key
from sim.study.study import read_study
from sim.study.sweep import RESULTS, prepare, run
from tests.unit.study_files import STUDY, write

ROOT = Path(__file__).resolve().parents[2]


class Here:
    """An executor without processes; it counts."""

    def __init__(self, lose=()):
        self.done, self.lose = 0, lose

    def run(self, work, tasks):
        for number, task in reversed(list(enumerate(tasks))):
            self.done += 1
            yield number, Failed("its worker died") if number in self.lose else attempt(work, task)


class Mortal:
    """An executor whose workers are killed once at two of the tasks; `folder` counts them."""

    def __init__(self, executor, folder):
        self.executor, self.folder = executor, folder
        folder.mkdir()

    def run(self, work, tasks):
        marks = [self.folder / str(n) if n in (1, 4) else None for n in range(len(tasks))]
        return self.executor.run(killed_once, [(mark, work, task) for mark, task in zip(marks, tasks, strict=True)])


def killed_once(task):
    mark, work, inner = task
    if mark is not None and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(inner)


def go(path, out="out", executor=None, progress=lambda done, of: None):
    """Sweep, and return the table's rows."""
    run(prepare(read_study(path), path), path.parent / out, executor or Here(), progress)
    return pq.read_table(path.parent / out / RESULTS).to_pylist()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a study that was swept undisturbed, in processes."""
    folder = tmp_path_factory.mktemp("swept")
    go(write(folder), "whole", LocalExecutor(2))
    return folder


def rows(folder):
    return pq.read_table(folder / "whole" / RESULTS).to_pylist()


# --- the table


def test_a_row_has_the_numbers_of_a_run_of_its_own(swept):
    row = rows(swept)[5]
    assert (row["number"], row["name"], row["fleet.0.gpu"]) == (5, "a100", "a100-sxm-80gb")
    assert (row["fleet.0.replicas"], row["workload.arrivals.request_rate"]) == (1, 40)
    sets = ["fleet.0.gpu=a100-sxm-80gb", "fleet.0.replicas=1", "workload.arrivals.request_rate=40"]
    loaded = load(swept / "small.yaml", sets)
    summary = summarise(simulate(loaded, progress=lambda done, of: None))
    assert (row["sha256"], row["verdict"], row["bottleneck"]) == (loaded.sha256, summary.verdict, summary.bottleneck)
    for key, value in summary.values.items():
        assert (row[key], row[f"{key}_low"], row[f"{key}_high"]) == (value.mean, value.low, value.high)
    good = summary.classes[0].values["good_share"]
    assert (row["good_share"], row["good_share_low"], row["good_share_high"]) == (good.mean, good.low, good.high)
    assert np.mean(row["p99_ttft_ms_replications"]) == pytest.approx(row["p99_ttft_ms"])


def test_differences_are_those_of_a_paired_t_test(swept):
    found = rows(swept)
    assert [row["baseline"] for row in found] == [None] * 4 + [0, 1, 2, 3]
    for row in found[4:]:
        for key in ("p99_ttft_ms", "mean_tpot_ms", "usd_per_1k_good_requests"):
            mine, theirs = row[f"{key}_replications"], found[row["baseline"]][f"{key}_replications"]
            test = stats.ttest_rel(mine, theirs)
            low, high = test.confidence_interval(0.95)
            expected = (np.mean(mine) - np.mean(theirs), low, high)
            assert [row[f"{key}_difference{part}"] for part in ("", "_low", "_high")] == pytest.approx(expected)
    assert {row["p99_ttft_ms_difference"] for row in found[:4]} == {None}


def test_all_designs_serve_the_same_requests(swept):
    """Else pairing them would be for nothing."""
    for key in ("total_input_tokens_replications", "total_output_tokens_replications"):
        assert len({tuple(row[key]) for row in rows(swept)}) == 1


def test_many_classes_have_a_share_each(tmp_path):
    classes = [{"name": name, "share": 0.5} for name in ("chat", "batch")]
    path = write(tmp_path, STUDY.split("designs")[0] + f"set: {{workload.classes: {json.dumps(classes)}}}\n")
    (row,) = go(path)
    assert 0 <= row["good_share.chat"] <= 1
    assert 0 <= row["good_share.batch"] <= 1
    assert "good_share" not in row


def test_designs_that_come_to_the_same_are_simulated_once(tmp_path):
    path = write(tmp_path, STUDY.replace("a100-sxm-80gb", "h100-sxm-80gb"))
    executor = Here()
    found = go(path, executor=executor)
    assert executor.done == 4
    assert [row["p99_ttft_ms"] for row in found[:4]] == [row["p99_ttft_ms"] for row in found[4:]]
    assert {(row["p99_ttft_ms_difference"], row["p99_ttft_ms_difference_high"]) for row in found[4:]} == {(0, 0)}


# --- failures


def test_bad_designs_are_sentences_and_the_others_go_on(tmp_path, swept):
    big = "{name: a100, set: {model: deepseek-llm-67b, engine: {num_gpu_blocks_override: null}}}"  # 134 GB on 80
    text = STUDY.replace("[1, 2]", "[0, 1]").replace(
        "  - {name: a100, set: {fleet.0.gpu: a100-sxm-80gb}}", f"  - {big}"
    )
    found = go(write(tmp_path, text))
    fine = [row["number"] for row in found if row["failure"] is None]
    assert fine == [2, 3]
    assert "fleet.0.replicas: found 0, expected at least 1" in found[0]["failure"]
    assert "weights" in found[6]["failure"]
    assert {found[i]["p99_ttft_ms"] for i in (0, 1, 4, 5, 6, 7)} == {None}
    for mine, whole in ((2, 0), (3, 1)):
        assert found[mine]["p99_ttft_ms"] == rows(swept)[whole]["p99_ttft_ms"]


def test_if_all_fail_it_is_the_first_sentence(tmp_path):
    path = write(tmp_path, STUDY.replace("[1, 2]", "[0, -1]"))
    with pytest.raises(InputError, match=r"small.yaml: .*replicas: found 0.* \(the first of 8 designs, which all fail"):
        go(path)
    path = write(tmp_path, STUDY.replace("small.yaml", "none.yaml"))
    with pytest.raises(InputError, match=r"none.yaml: expected a scenario file, found none"):
        go(path)


def test_failures_are_not_kept(tmp_path, swept):
    path = write(tmp_path)
    found = go(path, executor=Here(lose=(1, 4)))
    assert [row["number"] for row in found if row["failure"] == "its worker died"] == [1, 4]
    again = Here()
    go(path, executor=again)
    assert again.done == 2
    assert (tmp_path / "out" / RESULTS).read_bytes() == (swept / "whole" / RESULTS).read_bytes()


# --- the journal


def test_a_sweep_that_is_done_simulates_nothing(tmp_path, swept):
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    executor, seen = Here(), []
    go(tmp_path / "study.yaml", "whole", executor, lambda done, of: seen.append((done, of)))
    assert executor.done == 0
    assert seen == [(8, 8)]
    assert (tmp_path / "whole" / RESULTS).read_bytes() == (swept / "whole" / RESULTS).read_bytes()


def test_a_study_that_grows_keeps_what_it_had(tmp_path):
    path = write(tmp_path)
    go(path)
    write(tmp_path, STUDY.replace("[1, 2]", "[1, 2, 3]"))
    executor = Here()
    assert len(go(path, executor=executor)) == 12
    assert executor.done == 4


def test_a_changed_scenario_is_simulated_anew(tmp_path):
    path = write(tmp_path)
    before = prepare(read_study(path), path)
    text = (tmp_path / "small.yaml").read_text()
    (tmp_path / "small.yaml").write_text(text.replace('"num_prompts":60', '"num_prompts":61'))
    after = prepare(read_study(path), path)
    assert not set(before.keys) & set(after.keys)
    assert before.directory != after.directory
    assert before.directory.parent == Path("runs")


def test_a_changed_trace_is_another_scenario(tmp_path, monkeypatch):
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")
    text = f"{{schema_version: 1, name: t, model: deepseek-llm-7b, workload: {{kind: trace, trace: {trace}}}, "
    (tmp_path / "t.yaml").write_text(text + "fleet: [{pool: a, gpu: h100-sxm-80gb}]}")
    loaded = load(tmp_path / "t.yaml")
    before = design_key(loaded)
    assert design_key(loaded) == before
    trace.write_text(trace.read_text().replace("374", "375"))
    changed = design_key(loaded)
    assert changed != before
    monkeypatch.setattr(journal, "code_sha256", lambda: "another version")
    assert design_key(loaded) not in {before, changed}
    assert len(code_sha256()) == 64


@pytest.mark.parametrize("harm", ["", '{"design": {', "[]", '{"sha256": "x"}', b"\xff"])
def test_a_damaged_file_is_made_again(tmp_path, swept, harm):
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    victim = sorted((tmp_path / "whole" / "designs").iterdir())[3]
    victim.write_bytes(harm if isinstance(harm, bytes) else harm.encode())
    executor = Here()
    go(tmp_path / "study.yaml", "whole", executor)
    assert executor.done == 1
    assert (tmp_path / "whole" / RESULTS).read_bytes() == (swept / "whole" / RESULTS).read_bytes()


def test_places_that_are_no_study_are_refused(tmp_path):
    path = write(tmp_path)
    (tmp_path / "file").touch()
    for out, sentence in (("file", "found a file"), (".", "holds no study"), ("file/x", "cannot be written")):
        with pytest.raises(InputError, match=sentence):
            go(path, out)
    with Journal(tmp_path / "out").locked(), pytest.raises(InputError, match="another sweep is at work here"):
        go(path)
    assert not (tmp_path / "results.parquet").exists()


# --- kills

DRIVER = """
import sys
from ui.commands.sweep import sweep
from pathlib import Path
if __name__ == "__main__":
    sys.exit(sweep(sys.argv[1], out=Path(sys.argv[2]), executor="local", workers=2, address=None, quiet=True))
"""


def driver(path, out):
    command = [sys.executable, "-c", DRIVER, str(path), str(path.parent / out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kept(folder):
    """How many designs are written down."""
    return len(list((folder / "out" / "designs").glob("[!.]*")))


@pytest.mark.parametrize("seed", range(2))
def test_a_sweep_killed_at_any_point_ends_with_the_same_bytes(tmp_path, swept, seed):
    """Killed soon after so many designs are done; with none it may still be starting, with all be writing the table."""
    path = write(tmp_path)
    rng = random.Random(seed)
    for done in sorted(rng.sample(range(9), 3)):
        sweep = driver(path, "out")
        while sweep.poll() is None and kept(tmp_path) < done:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1 if done else 3))
        sweep.kill()
        sweep.communicate()
        assert kept(tmp_path) >= done
    (tmp_path / "out" / "designs").mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / "designs" / ".half.json.draft").write_text('{"design"')
    sweep = driver(path, "out")
    sweep.communicate()
    assert sweep.returncode == 0
    assert (tmp_path / "out" / RESULTS).read_bytes() == (swept / "whole" / RESULTS).read_bytes()
    assert sorted(os.listdir(tmp_path / "out" / "designs")) == sorted(os.listdir(swept / "whole" / "designs"))


def test_a_worker_that_is_killed_changes_nothing(tmp_path, swept):
    path = write(tmp_path)
    go(path, executor=Mortal(LocalExecutor(2), tmp_path / "deaths"))
    assert len(os.listdir(tmp_path / "deaths")) == 2
    assert (tmp_path / "out" / RESULTS).read_bytes() == (swept / "whole" / RESULTS).read_bytes()


def test_ctrl_c_says_how_to_go_on(tmp_path):
    path = write(tmp_path, STUDY + "replications: 40\n")
    sweep = driver(path, "out")
    designs = tmp_path / "out" / "designs"
    while not (designs.is_dir() and any(designs.glob("[!.]*"))):
        assert sweep.poll() is None
        time.sleep(0.01)
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate()
    assert (sweep.returncode, out) == (130, "")
    assert err == f"trilemma: stopped; what is done is in {tmp_path}/out, the same command goes on from there\n"
    executor = Here()
    assert len(go(path, executor=executor)) == 8
    assert 0 < executor.done < 8
