"""Traffic: requests drawn from distributions or read from traces, before the run and the same for every design."""

from collections.abc import Callable

import numpy as np

Streams = Callable[[str], np.random.Generator]
"""The named streams of one seed and replication."""
