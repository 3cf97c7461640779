"""Chained streams against dictionaries of tuples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.workload.prefixes import block_ends, chain_streams

CHAINS = st.lists(st.lists(st.integers(0, 3) | st.integers(2**62, 2**62 + 1), max_size=5), max_size=12)


@given(CHAINS)
def test_a_stream_stands_for_one_whole_prefix(chains):
    offset = np.cumsum([0, *map(len, chains)])
    streams, count = chain_streams(np.array([i for chain in chains for i in chain], np.int64), offset)
    prefixes = [tuple(chain[: k + 1]) for chain in chains for k in range(len(chain))]
    pairs = set(zip(prefixes, streams.tolist(), strict=True))
    assert len(pairs) == len(set(prefixes)) == count
    assert {stream for _, stream in pairs} == set(range(count))


def test_blocks_end_at_multiples_and_at_the_prompt():
    offset = np.array([0, 3, 3, 5])
    assert block_ends(np.array([1100, 7, 1024], np.int32), offset, 512).tolist() == [512, 1024, 1100, 512, 1024]
