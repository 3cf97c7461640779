"""KV block pool and prefix cache of one replica, in vLLM's order.

Source: vllm/v1/core/block_pool.py and single_type_kv_cache_manager.py, 0.32.0. Blocks are taken from the head of the
free queue, and lose their cache entry then. A request's blocks are freed tail first; those in the cache are appended
(LRU), the others prepended (LIFO). Equal blocks are not merged: a lookup returns the oldest entry of a key.
"""

import numpy as np

from sim.kernel.jit import compiled
from sim.kernel.layout import NIL


@compiled
def content_key(stream, index):
    """Key of the index-th block of a chain whose last token lies in `stream`; never 0 (splitmix64)."""
    x = np.uint64(stream) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(index) + np.uint64(1)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.int64(x | np.uint64(1))


@compiled
def block_key(state, request, index, block_size):
    """Content key of block `index` of a request: by the stream in which its last token lies (see sim.request)."""
    last = (index + 1) * block_size - 1
    first = state.segment_offset[request]
    low, high = first, state.segment_offset[request + 1]
    while low < high:  # first segment that ends after the token
        middle = (low + high) // 2
        if state.segment_end[middle] > last:
            high = middle
        else:
            low = middle + 1
    if low < state.segment_offset[request + 1]:
        return content_key(state.segment_stream[low], index)
    return content_key(state.own_stream[request], index)


@compiled
def _bucket(replica, key):
    mixed = np.uint64(key) >> np.uint64(20)
    return replica.first_bucket + (np.int64(mixed & np.uint64(0x7FFFFFFFFFF)) & replica.bucket_mask)


@compiled
def lookup(state, replica, key):
    """Oldest cached block with this key, or NIL."""
    block = state.buckets[_bucket(replica, key)]
    while block != NIL and state.blocks[block].key != key:
        block = state.blocks[block].chain_next
    return block


@compiled
def _insert(state, replica, block, key):
    blocks = state.blocks
    bucket = _bucket(replica, key)
    last = NIL
    at = state.buckets[bucket]
    while at != NIL:
        last = at
        at = blocks[at].chain_next
    blocks[block].key = key
    blocks[block].chain_next = NIL
    blocks[block].chain_previous = last
    if last == NIL:
        state.buckets[bucket] = block
    else:
        blocks[last].chain_next = block


@compiled
def _evict(state, replica, block):
    blocks = state.blocks
    before, after = blocks[block].chain_previous, blocks[block].chain_next
    if before == NIL:
        state.buckets[_bucket(replica, blocks[block].key)] = after
    else:
        blocks[before].chain_next = after
    if after != NIL:
        blocks[after].chain_previous = before
    blocks[block].key = 0


@compiled
def _link(blocks, block, before):
    """Put a free block behind `before` in the free queue."""
    after = blocks[before].next
    blocks[block].previous = before
    blocks[block].next = after
    blocks[before].next = block
    blocks[after].previous = block


@compiled
def _unlink(blocks, block):
    before, after = blocks[block].previous, blocks[block].next
    blocks[before].next = after
    blocks[after].previous = before


@compiled
def touch(state, replica, block):
    """One more user of a cached block."""
    if state.blocks[block].users == 0:
        _unlink(state.blocks, block)
        replica.free_blocks -= 1
    state.blocks[block].users += 1


@compiled
def take(state, replica, seat, count):
    """Append `count` new blocks to a seat's block table; the caller has checked that they are free."""
    blocks = state.blocks
    place = state.seats[seat]
    for _ in range(count):
        block = blocks[replica.first_block].next
        _unlink(blocks, block)
        if blocks[block].key != 0:
            _evict(state, replica, block)
        blocks[block].users = 1
        state.table[seat, place.owned] = block
        place.owned += 1
    replica.free_blocks -= count


@compiled
def register(state, replica, seat, tokens):
    """Enter the seat's full blocks among its first `tokens` tokens into the prefix cache."""
    place = state.seats[seat]
    full = tokens // replica.block_size
    while place.hashed < full:
        block = state.table[seat, place.hashed]
        _insert(state, replica, block, block_key(state, place.request, place.hashed, replica.block_size))
        place.hashed += 1


@compiled
def release(state, replica, seat):
    """Free all blocks of a seat, tail first."""
    blocks = state.blocks
    place = state.seats[seat]
    sentinel = replica.first_block
    front = sentinel  # uncached blocks go to the front in tail-first order
    for index in range(place.owned - 1, -1, -1):
        block = state.table[seat, index]
        blocks[block].users -= 1
        if blocks[block].users > 0:
            continue
        replica.free_blocks += 1
        if blocks[block].key != 0:
            _link(blocks, block, blocks[sentinel].previous)
        else:
            _link(blocks, block, front)
            front = block
    place.owned = 0
    place.hashed = 0


@compiled
def prefix_hit(state, replica, request, tokens):
    """Cached leading blocks of a request of `tokens` known tokens; at least one token is left to compute."""
    if not replica.caching:
        return 0
    limit = (tokens - 1) // replica.block_size
    hit = 0
    while hit < limit:
        if lookup(state, replica, block_key(state, request, hit, replica.block_size)) == NIL:
            break
        hit += 1
    return hit
