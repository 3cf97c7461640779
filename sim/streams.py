"""Named random streams: a draw added in one place shifts no draw elsewhere."""

import hashlib

import numpy as np


def stream(seed: int, replication: int, name: str) -> np.random.Generator:
    """Return the generator named `name` (for example ``arrivals`` or ``router``) of one replication.

    The same (seed, replication, name) gives the same draws on every machine; different names are independent
    (numpy's SeedSequence with a spawn key taken from the name's SHA-256).
    """
    digest = hashlib.sha256(name.encode()).digest()
    words = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(replication, *words)))
