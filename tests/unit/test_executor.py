"""Executors: tasks in processes that may die, and the study that must not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.study.executor import RETRIES, Failed, LocalExecutor, attempt

ROOT = Path(__file__).resolve().parents[2]


def square(number):
    return number * number, os.getpid()


def die(task):
    """Die as often as told, counting in a file; then answer."""
    folder, number, deaths, code = task
    marks = Path(folder) / f"{number}"
    before = marks.read_text() if marks.exists() else ""
    marks.write_text(before + "x")
    if len(before) < deaths:
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code)
    return number


def go_wrong(task):
    match task:
        case "input":
            raise InputError("fleet.0.gpu: found x, expected another")
        case "memory":
            raise MemoryError
        case "defect":
            raise KeyError("oops")
    return task


def linger(task):
    """Say who works, then work for long."""
    (Path(task) / str(os.getpid())).touch()
    time.sleep(600)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_for(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_every_task_is_done_once_by_processes_that_go_on():
    found = dict(LocalExecutor(2).run(square, range(40)))
    assert {number: result for number, (result, _) in found.items()} == {n: n * n for n in range(40)}
    pids = {pid for _, pid in found.values()}
    assert os.getpid() not in pids
    assert len(pids) == 2


def test_no_tasks_start_nothing():
    assert list(LocalExecutor(2).run(square, [])) == []


def test_processes_stay_between_runs_inside_with(tmp_path):
    """One that died is replaced, one whose run was closed is ended, and all are at the end."""

    def who():
        return dict(executor.run(square, [1]))[0][1]

    with LocalExecutor(2) as executor:
        first = who()
        assert who() == first != os.getpid()
        dict(executor.run(die, [(tmp_path, 0, 1, 7)]))
        second = who()
        assert second != first
        (folder := tmp_path / "lingering").mkdir()
        closed = executor.run(either, [("square", 3), ("linger", folder)])
        next(closed)
        wait_for(lambda: list(folder.iterdir()))
        closed.close()
        assert not alive(int(next(folder.iterdir()).name))
        assert who() == second
    assert not any(map(alive, (first, second)))


@pytest.mark.parametrize("code", [3, -signal.SIGKILL])
def test_a_worker_that_dies_costs_its_own_task_a_retry(tmp_path, code):
    deaths = [0, RETRIES, 0, RETRIES + 5, 1, 0]
    found = dict(LocalExecutor(2).run(die, [(tmp_path, n, each, code) for n, each in enumerate(deaths)]))
    tries = [len((tmp_path / str(number)).read_text()) for number in range(6)]
    assert tries == [1, RETRIES + 1, 1, RETRIES + 1, 2, 1]  # nobody else's death is counted
    failed = found.pop(3)
    assert found == {number: number for number in (0, 1, 2, 4, 5)}
    how = "with exit code 3" if code > 0 else "by SIGKILL (perhaps for want of memory: expected fewer workers)"
    assert failed == Failed(f"its worker died 3 times, the last time {how}")


def test_what_goes_wrong_is_a_sentence():
    found = dict(LocalExecutor(1).run(go_wrong, ["input", "memory", "defect", "nothing"]))
    assert found[0] == Failed("fleet.0.gpu: found x, expected another", bad_input=True)
    assert "not enough memory" in found[1].sentence
    assert found[2].sentence.startswith("internal error, KeyError: 'oops' (test_executor.py:")
    assert not found[1].bad_input
    assert not found[2].bad_input
    assert found[3] == "nothing"
    assert attempt(go_wrong, "input") == found[0]


def test_who_stops_listening_stops_the_workers(tmp_path):
    tasks = LocalExecutor(2).run(either, [("square", 3), ("linger", tmp_path)])
    assert next(tasks)[1][0] == 9
    wait_for(lambda: len(list(tmp_path.iterdir())) == 1)
    tasks.close()
    (pid,) = (int(path.name) for path in tmp_path.iterdir())
    assert not alive(pid)


def either(task):
    name, argument = task
    return {"square": square, "linger": linger}[name](argument)


LINGERS = """
import sys
from sim.study.executor import LocalExecutor
from tests.unit.test_executor import linger
try:
    list(LocalExecutor(2).run(linger, [sys.argv[1]] * 3))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_a_parent_that_is_stopped(tmp_path, how):
    """Ctrl-C goes to the whole group, as a terminal sends it: the workers must not answer with tracebacks."""
    command = [sys.executable, "-c", LINGERS, str(tmp_path)]
    parent = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    if how == signal.SIGINT:
        os.killpg(parent.pid, how)
    else:
        parent.send_signal(how)
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == (130 if how == signal.SIGINT else -how)
    assert err == ""
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    wait_for(lambda: not any(map(alive, pids)))
