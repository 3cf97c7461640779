"""Where the shared data lies: TRILEMMA_DATA, or beside the checkout. Tests that need it skip when it is absent."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("TRILEMMA_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"shared data not found at {DATA}")
