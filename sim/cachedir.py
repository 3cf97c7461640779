"""Where what can be made or fetched again is kept."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """$XDG_CACHE_HOME/trilemma, by default ~/.cache/trilemma."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trilemma"
