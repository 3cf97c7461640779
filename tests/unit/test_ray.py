"""The Ray executor on a real cluster of one node with two worker processes, started as a user starts one."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.study import ray_executor
from sim.study.executor import RETRIES, Failed
from sim.study.ray_executor import RayExecutor
from sim.study.study import read_study
from sim.study.sweep import RESULTS, prepare, run
from tests.unit.study_files import write
from tests.unit.test_executor import ROOT, die, go_wrong
from tests.unit.test_sweep import Here, Mortal
from ui.cli import main

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def token():
    """Clusters and their users are to show a token; Ray reads that when it is imported, so not before."""
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2, "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= settings
    yield
    for name in settings:
        del os.environ[name]


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def until_it_stands(ray):
    """Return None, or what it said if it gave up."""
    said = []
    for line in ray.stdout:
        said.append(line)
        if "--block" in line:  # "This command will now block forever until terminated by a signal."
            return None
    return "".join(said)


@pytest.fixture(scope="module")
def cluster(token):
    """The address of a cluster. Ray gives its node half a minute, on a busy machine too little: three attempts."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats"]
    command += ["--object-store-memory=80000000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    for _ in range(3):
        port = free_port()
        with subprocess.Popen([*command, f"--port={port}"], env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) as ray:
            said = until_it_stands(ray)
            if said is None:
                yield f"127.0.0.1:{port}"
                ray.terminate()
                return
    raise AssertionError(said)


def together(folder):
    """Say who works, and go on when somebody else does too."""
    me = Path(folder) / str(os.getpid())
    me.touch()
    for _ in range(6000):
        if len(list(Path(folder).iterdir())) == 2:
            return os.getpid()
        time.sleep(0.01)
    raise AssertionError("alone")


def test_two_processes_work_at_the_same_time(cluster, tmp_path):
    found = dict(RayExecutor(cluster).run(together, [tmp_path, tmp_path]))
    assert len({*found.values(), os.getpid()}) == 3


def test_a_worker_that_dies_costs_its_own_task_a_retry(cluster, tmp_path):
    ends = [(0, 3), (RETRIES, -signal.SIGKILL), (RETRIES + 5, 3), (1, 3)]
    found = dict(RayExecutor(cluster).run(die, [(tmp_path, n, *end) for n, end in enumerate(ends)]))
    tries = [len((tmp_path / str(number)).read_text()) for number in range(4)]
    assert tries == [1, RETRIES + 1, RETRIES + 1, 2]
    failed = found.pop(2)
    assert found == {0: 0, 1: 1, 3: 3}
    assert failed.sentence.startswith("its worker died 3 times, the last time: ")


def test_what_goes_wrong_is_a_sentence(cluster):
    found = dict(RayExecutor(cluster).run(go_wrong, ["input", "defect", "nothing"]))
    assert found[0] == Failed("fleet.0.gpu: found x, expected another", bad_input=True)
    assert "KeyError: 'oops'" in found[1].sentence
    assert found[2] == "nothing"


def test_a_sweep_has_the_same_bytes_as_in_this_process(cluster, tmp_path, capsys):
    """Also where two designs cost a worker; and as a user calls it."""
    path = write(tmp_path)
    mortal = Mortal(RayExecutor(cluster), tmp_path / "deaths")
    for place, executor in (("here", Here()), ("there", mortal)):
        run(prepare(read_study(path), path), tmp_path / place, executor, lambda done, of: None)
    assert len(os.listdir(tmp_path / "deaths")) == 2
    argv = ["sweep", str(path), "--executor", "ray", "--address", cluster, "--out", str(tmp_path / "called")]
    assert main(argv) == 0
    assert capsys.readouterr().err.endswith("designs: 8 of 8\n")
    here, there, called = ((tmp_path / place / RESULTS).read_bytes() for place in ("here", "there", "called"))
    assert here == there == called


def test_a_node_with_another_version_gives_no_numbers(cluster, monkeypatch):
    monkeypatch.setattr(ray_executor, "code_sha256", lambda: "another")
    ((_, failed),) = RayExecutor(cluster).run(go_wrong, ["nothing"])
    assert "has another version of Trilemma" in failed.sentence


def test_no_cluster_is_one_sentence(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"--address {address}: found no Ray cluster that answers"):
        list(RayExecutor(address).run(go_wrong, ["nothing"]))


def test_no_ray_is_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'Ray is not installed here: pip install "trilemma\[ray\]"'):
        list(RayExecutor().run(go_wrong, ["nothing"]))
    assert main(["sweep", str(write(tmp_path)), "--executor", "ray", "--out", str(tmp_path / "out")]) == 2
    said = 'trilemma: --executor ray: Ray is not installed here: pip install "trilemma[ray]"\n'
    assert capsys.readouterr() == ("", said)
