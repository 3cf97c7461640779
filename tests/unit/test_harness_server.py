"""A server process: started, waited for, and always stopped. The server is a real process with real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness import server as harness_server
from harness.server import attach, free_port, run_server
from sim.errors import InputError
from tests.unit.harness_cases import alive, fake_command, gone, pids


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the fake server with a behaviour."""

    def start(*, port=None, ready_timeout_s=60.0, **behaviour):
        monkeypatch.setenv("FAKE_OPENAI", json.dumps({"pids": str(tmp_path / "pids")} | behaviour))
        port = port or free_port()
        return run_server(fake_command(port), port, tmp_path / "server.log", ready_timeout_s=ready_timeout_s)

    return start


def test_a_server_is_up_inside_the_context_and_gone_after_it(run, tmp_path):
    with run(healthy_after_s=0.5) as server:
        assert server.started_s >= 0.5
        with attach(f"{server.base_url}/v1/") as again:
            assert again.base_url == server.base_url
        server_pid, child = pids(tmp_path)
        assert alive(server_pid)
        assert alive(child)
    assert gone(server_pid)
    assert gone(child)
    assert "flags:" in (tmp_path / "server.log").read_text()


def test_a_server_is_stopped_when_the_work_fails(run, tmp_path):
    with pytest.raises(KeyError, match="the work"), run():
        raise KeyError("the work")
    assert all(gone(pid) for pid in pids(tmp_path))


def test_a_server_that_ignores_term_is_killed_with_its_children(run, tmp_path, monkeypatch):
    monkeypatch.setattr(harness_server, "GRACE_S", 0.5)
    with run(ignores_term=True):
        server_pid, child = pids(tmp_path)
    assert gone(server_pid)
    assert gone(child)


def test_a_server_that_never_becomes_healthy_is_one_sentence_and_stopped(run, tmp_path):
    with pytest.raises(InputError, match=r"not healthy after 6 s: flags:"), run(healthy_after_s=-1, ready_timeout_s=6):
        pass
    assert all(gone(pid) for pid in pids(tmp_path))


def test_death_before_health_is_noticed_at_once_with_its_last_words(run):
    with (
        pytest.raises(InputError, match=r"exit code 3.*No available memory for the cache blocks"),
        run(dies_at_once=True, ready_timeout_s=600),
    ):
        pass


def test_death_later_is_seen(run, tmp_path):
    with run() as server:
        assert not server.died
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
        until = time.monotonic() + 20
        while not server.died and time.monotonic() < until:
            time.sleep(0.05)
        assert server.died
    assert gone(pids(tmp_path)[1])  # what it left behind


def test_a_taken_port_is_refused_before_anything_starts(run, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: found it taken, expected a free port"), run(port=port):
            pass
    assert not (tmp_path / "pids").exists()


def test_a_command_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be started"), run_server(["/no/such"], free_port(), tmp_path / "log"):
        pass


def test_attaching_to_nothing_is_one_sentence():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"--base-url {url}: found no healthy server"), attach(url):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_us(tmp_path, kill):
    port = free_port()
    code = (
        "import sys, time; from pathlib import Path; from harness.server import run_server\n"
        f"with run_server({fake_command(port)!r}, {port}, Path({str(tmp_path / 'log')!r})):\n"
        "    print('up', flush=True); time.sleep(600)"
    )
    how = os.environ | {"FAKE_OPENAI": json.dumps({"pids": str(tmp_path / "pids")})}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=how) as owner:
        assert owner.stdout.readline() == "up\n"
        owner.send_signal(kill)
    assert gone(pids(tmp_path)[0])
