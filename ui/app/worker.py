"""A process that does the app's simulations: pickled calls come in on stdin, answers leave on stdout.

Started as `python -m ui.app.worker`. A plain process rather than one of multiprocessing's, which would run the page's
script anew in every child, because Streamlit makes it `__main__`.
"""

import ctypes
import os
import pickle
import resource
import signal
import sys
from contextlib import suppress
from typing import BinaryIO

from sim.errors import InputError
from sim.shipped import shipped_scenario
from sim.study.evaluation import Design, evaluate

MEMORY_BYTES = 6 << 30
"""Most address space of one worker; the reference job takes under 2 GB."""


def main() -> None:
    """Answer calls until stdin ends. Each answer is ("done", value) or ("failed", sentence)."""
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the server, on Linux
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with suppress(OSError):
        os.nice(5)  # pages come first
    _warm_up()
    _send(answers, ("ready", None))
    while True:
        try:
            function, args = pickle.load(calls)
        except EOFError:
            return
        _send(answers, _call(function, args))


def _call(function: object, args: tuple[object, ...]) -> tuple[str, object]:
    try:
        return "done", function(*args)  # type: ignore[operator]
    except InputError as error:
        return "failed", str(error)
    except MemoryError:
        return "failed", "The simulation needs more memory than the app gives it: expected fewer replicas or requests."
    except Exception as error:  # a defect of ours must not take the app down
        return "failed", f"The simulation broke off ({type(error).__name__}: {error}); this is a defect of Trilemma."


def _send(answers: BinaryIO, answer: tuple[str, object]) -> None:
    pickle.dump(answer, answers)
    answers.flush()


def _warm_up() -> None:
    """Load the compiled kernel, or compile it the first time."""
    evaluate(Design(str(shipped_scenario("quickstart")), ("run.replications=1", "workload.num_prompts=10")))


if __name__ == "__main__":
    main()
