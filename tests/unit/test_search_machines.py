"""Searches on one storage: two processes at a time, and one of them killed."""

import random
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from sim.study import trials
from sim.study.trials import Trials
from tests.unit.test_executor import ROOT
from tests.unit.test_search import SPACE, go, study

LARGER = {"fleet.0.gpu": SPACE["fleet.0.gpu"], "fleet.0.replicas": {"low": 1, "high": 12}}


def begin(folder, out, *more):
    """Start `trilemma search`."""
    argv = ["search", str(folder / "search.yaml"), "--out", str(folder / out), "--workers", "1", *more]
    code = f"import sys\nfrom ui.cli import main\nif __name__ == '__main__':\n    sys.exit(main({argv!r}))"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kept(folder, out):
    return {path.name for path in (folder / out / "designs").glob("[!.]*")}


def test_two_processes_share_the_work_and_one_is_killed_and_comes_back(tmp_path):
    case = study(tmp_path, space=LARGER, trials=16)
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    going, killed = (begin(tmp_path, out, "--storage", storage) for out in ("going", "killed"))
    while len(kept(tmp_path, "killed")) < 2:
        assert killed.poll() is None
        time.sleep(0.005)
    time.sleep(random.Random(0).uniform(0, 0.1))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = begin(tmp_path, "killed", "--storage", storage)
    for process in (going, again):
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert re.match("1[5-7] designs tried of 24: ", out), "but for what the other is at"
    both = kept(tmp_path, "going") & kept(tmp_path, "killed")
    assert len(both) <= 1, "they hardly ever simulate the same design"
    assert kept(tmp_path, "going") - both, "both have worked"
    found, simulated = go(case, tmp_path / "going", storage=storage)
    assert len(simulated) <= 1
    assert len(found.tried) in (16, 17)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_is_stopped_goes_on_with_what_it_had(tmp_path, how):
    case = study(tmp_path, space=LARGER, trials=12)
    search = begin(tmp_path, "out")
    while len(kept(tmp_path, "out")) < 3:
        assert search.poll() is None
        time.sleep(0.005)
    search.send_signal(how)
    _, err = search.communicate()
    if how == signal.SIGINT:
        assert search.returncode == 130
        assert err.endswith(
            f"trilemma: stopped; what is done is in {tmp_path}/out, the same command goes on from there\n"
        )
    had = kept(tmp_path, "out")
    found, simulated = go(case, tmp_path / "out")
    assert 12 - len(had) <= len(simulated) <= 13 - len(had), "one may have been simulated, but not told"
    assert pq.read_table(tmp_path / "out" / "results.parquet").num_rows == len(found.tried) == 12


def test_a_trial_whose_machine_is_gone_is_open_for_an_hour(tmp_path, monkeypatch):
    case = study(tmp_path)
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    store = Trials(case.search, case.space, "s", url, alone=False)
    _, point = store.begin(case.space.all()[4])
    other = Trials(case.search, case.space, "s", url, alone=False)
    assert point == case.space.all()[4]
    assert other.open() == [point]
    monkeypatch.setattr(trials, "ABANDONED", timedelta(0))
    assert other.open() == []
