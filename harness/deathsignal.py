"""A child that does not outlive its parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""


def die_with(parent: int) -> Callable[[], None] | None:
    """What a child is to call before it runs its program, so that the kernel sends it TERM when `parent` dies (Linux).

    Args:
        parent: the caller's own pid.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
