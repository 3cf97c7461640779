"""One run as a process of its own, which never outlives the campaign."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from harness.deathsignal import die_with

STOP_S = 90.0
"""How long a run may take to stop its server after TERM."""
PATIENCE = 5.0
"""What takes this many times its estimate hangs and is stopped."""
LEAST_TIMEOUT_S = 600.0


def timeout_s(minutes: float) -> float:
    """How long something may take that is estimated at so many minutes."""
    return max(PATIENCE * 60 * minutes, LEAST_TIMEOUT_S)


def run(command: Sequence[str], console: Path, lock: TextIO, timeout_s: float) -> str:
    """Run a command with its output in `console`, and return why it failed in one sentence, or nothing.

    On Ctrl-C (KeyboardInterrupt) the process gets TERM and is waited for. If this process is killed, the kernel sends
    it TERM (Linux), and it holds `lock` until it has ended, so that a new campaign knows.

    Raises:
        InputError: the console cannot be written.
    """
    with console.open("w", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us alone, so that it gets one TERM
            pass_fds=(lock.fileno(),),
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509  # no threads here
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return f"not done after {timeout_s / 60:.1f} minutes, stopped"
        finally:
            _stop(process)
    return "" if code == 0 else _reason(console, code)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reason(console: Path, code: int) -> str:
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{last_line(console)} ({how})"


def last_line(console: Path) -> str:
    """Return the last line that a command wrote: it says why it failed."""
    lines = [line.strip() for line in console.read_text(encoding="utf-8", errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "it said nothing")
    return last.removeprefix("trilemma: ")[:500]
