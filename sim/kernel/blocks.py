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
def block_key(state, content, index, block_size):
    """Content key of block `index` of a drawn request: by the stream of its last token (see sim.request)."""
    last = (index + 1) * block_size - 1
    ends = state.segment_end
    low, beyond = state.segment_offset[content], state.segment_offset[content + 1]
    high = beyond
    while low < high:  # first segment that ends after the token
        middle = (low + high) // 2
        if ends[middle] > last:
            high = middle
        else:
            low = middle + 1
    return content_key(state.segment_stream[low] if low < beyond else state.own_stream[content], index)


@compiled
def _bucket(replica, key):
    return replica.first_bucket + ((key >> 20) & replica.bucket_mask)


@compiled
def _find(blocks, buckets, bucket, key):
    """Oldest cached block with this key, or NIL."""
    block = buckets[bucket]
    while block != NIL and blocks[block].key != key:
        block = blocks[block].chain_next
    return block


@compiled
def _insert(blocks, buckets, bucket, block, key):
    last = NIL
    at = buckets[bucket]
    while at != NIL:
        last = at
        at = blocks[at].chain_next
    row = blocks[block]
    row.key = key
    row.chain_next = NIL
    row.chain_previous = last
    if last == NIL:
        buckets[bucket] = block
    else:
        blocks[last].chain_next = block


@compiled
def _evict(blocks, buckets, bucket, block):
    row = blocks[block]
    if row.chain_previous == NIL:
        buckets[bucket] = row.chain_next
    else:
        blocks[row.chain_previous].chain_next = row.chain_next
    if row.chain_next != NIL:
        blocks[row.chain_next].chain_previous = row.chain_previous
    row.key = 0


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
    blocks, buckets, table = state.blocks, state.buckets, state.table
    owned = state.seats[seat].owned
    sentinel = replica.first_block
    for index in range(owned, owned + count):
        block = blocks[sentinel].next
        row = blocks[block]
        _unlink(blocks, block)
        if row.key != 0:
            _evict(blocks, buckets, _bucket(replica, row.key), block)
        row.users = 1
        table[seat, index] = block
    state.seats[seat].owned = owned + count
    replica.free_blocks -= count


@compiled
def register(state, replica, seat, tokens):
    """Enter the seat's full blocks among its first `tokens` tokens into the prefix cache."""
    blocks, buckets, table = state.blocks, state.buckets, state.table
    place = state.seats[seat]
    content, block_size = state.requests[place.request].content, replica.block_size
    shared = state.segment_offset[content + 1] > state.segment_offset[content]
    own = state.own_stream[content]
    full = tokens // block_size
    for index in range(place.hashed, full):
        key = block_key(state, content, index, block_size) if shared else content_key(own, index)
        _insert(blocks, buckets, _bucket(replica, key), table[seat, index], key)
    place.hashed = max(place.hashed, full)


@compiled
def release(state, replica, seat):
    """Free all blocks of a seat, tail first."""
    blocks, table = state.blocks, state.table
    place = state.seats[seat]
    sentinel = replica.first_block
    front = sentinel  # uncached blocks go to the front in tail-first order
    for index in range(place.owned - 1, -1, -1):
        block = table[seat, index]
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
def prefix_hit(state, replica, content, tokens, seat):
    """Cached leading blocks of a drawn request of `tokens` known tokens; at least one token is left to compute.

    They are written into the block table of `seat`, unless that is NIL; nobody holds them yet.
    """
    if not replica.caching:
        return 0
    blocks, buckets, block_size = state.blocks, state.buckets, replica.block_size
    limit = (tokens - 1) // block_size
    hit = 0
    while hit < limit:
        key = block_key(state, content, hit, block_size)
        block = _find(blocks, buckets, _bucket(replica, key), key)
        if block == NIL:
            break
        if seat != NIL:
            state.table[seat, hit] = block
        hit += 1
    return hit


@compiled
def clear(state, replica):
    """Make every block of a replica free and uncached, in the order of a fresh one. No seat may hold any."""
    first, count = replica.first_block, replica.num_blocks
    for block in range(first, first + count):
        row = state.blocks[block]
        row.key = 0
        row.users = 0
        row.chain_next = row.chain_previous = NIL
        row.next = block + 1
        row.previous = block - 1
    state.blocks[first + count - 1].next = first
    state.blocks[first].previous = first + count - 1
    for bucket in range(replica.first_bucket, replica.first_bucket + replica.bucket_mask + 1):
        state.buckets[bucket] = NIL
    replica.free_blocks = count - 1
