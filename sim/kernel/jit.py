"""How kernel functions are compiled, and where their machine code is kept."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from sim.cachedir import cache_dir


def _cache_directory() -> str:
    """One directory for each version of the sources.

    Numba's own check looks at a function's file alone and would go on using machine code into which an older version
    of another file was compiled.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return str(cache_dir() / f"kernel-{digest.hexdigest()[:16]}")


_DIRECTORY = _cache_directory()


def _njit(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _DIRECTORY
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    finally:
        numba.config.CACHE_DIR = before


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that is called from Python."""
    return _njit(function)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only reads and writes arrays it is given, into whatever calls it.

    With `_nrt` numba counts references to every array of the State at every call: atomic operations that took four
    fifths of the time. The State is some 160 words by value: inlining saves another fifth (both 2026-11-22).
    """
    return _njit(function, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
