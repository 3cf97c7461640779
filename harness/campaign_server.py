"""The server that consecutive measurements of a campaign share.

A process of its own holds it, and stops it when its standard input ends: the campaign closes that, or is gone.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from harness.campaign_child import STOP_S, last_line, timeout_s
from harness.campaign_points import Server
from harness.server import serve
from sim.errors import InputError
from sim.scenario.scenario import Scenario

HOLDER = (sys.executable, "-c", "from harness.campaign_server import hold; hold()")


@contextmanager
def open_server(server: Server, log: Path, lock: IO[str], holder: Sequence[str] = HOLDER) -> Iterator[str]:
    """Start vLLM for the runs of one server and yield its base URL; it is stopped when the context ends.

    Args:
        server: what to serve.
        log: file for all that it says; beside it lies what the holder says (.holder).
        lock: held by the process until the server has stopped.
        holder: command that reads its order as one line of JSON, writes the URL, and waits for the end of its input.

    Raises:
        InputError: it does not start.
    """
    said = log.with_suffix(".holder")
    with said.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            holder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,  # Ctrl-C comes to the campaign alone
            pass_fds=(lock.fileno(),),
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(BrokenPipeError):  # it ended at once, and said why
            process.stdin.write(json.dumps(_order(server, log)) + "\n")
            process.stdin.flush()
        url = process.stdout.readline().strip()
        if not url:
            process.wait()
            raise InputError(last_line(said))
        yield url
    finally:
        _stop(process)


def _order(server: Server, log: Path) -> dict[str, object]:
    return {
        # What is stated alone: the rest is left to vLLM's own defaults.
        "scenario": server.scenario.model_dump(mode="json", exclude_unset=True),
        "base_dir": str(server.base_dir),
        "flags": server.flags,
        "log": str(log),
        "timeout_s": timeout_s(server.minutes),
    }


def _stop(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=STOP_S)  # closes its input
    except subprocess.TimeoutExpired:
        process.kill()  # and the kernel sends TERM to the server
        process.wait()


def hold() -> None:
    """Serve what the first line of standard input orders, until the input ends."""
    order = json.loads(sys.stdin.readline())
    scenario = Scenario.model_validate_json(json.dumps(order["scenario"]))
    where = Path(order["base_dir"]), order["flags"], Path(order["log"])
    try:
        with serve(scenario, *where, ready_timeout_s=order["timeout_s"]) as server:
            print(server.base_url, flush=True)
            sys.stdin.read()
    except InputError as error:
        sys.exit(str(error))
