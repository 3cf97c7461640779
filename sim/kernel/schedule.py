"""One call of vLLM V1's `Scheduler.schedule()` on one replica.

There is no prefill and no decode phase: each step gives every request tokens so that its computed tokens catch up
with its known ones, within one token budget; running requests first, in admission order, then waiting ones, unless
this step preempted. Source: vllm/v1/core/sched/scheduler.py:591-1632, kv_cache_manager.py:371-618, 0.32.0.
"""

from sim.kernel.blocks import prefix_hit, register, release, take, touch
from sim.kernel.cost import device_fs, duration_ns
from sim.kernel.jit import compiled
from sim.kernel.layout import BLOCKS, BUDGET, NIL, NOTHING, PREEMPTED, RUNNING, SEATS, WAITING
from sim.kernel.queues import push, remove_waiting, seat_request, unseat, victim


@compiled
def _blocks_for(tokens, block_size):
    return (tokens + block_size - 1) // block_size


@compiled
def _grow(state, replica, seat, tokens):
    """Give a running seat the blocks for `tokens` tokens in all; False if they are not free."""
    need = max(_blocks_for(min(tokens, replica.max_model_len), replica.block_size) - state.seats[seat].owned, 0)
    if need > replica.free_blocks:
        return False
    take(state, replica, seat, need)
    return True


@compiled
def preempt(state, r, index, slot):
    """Preempt the index-th running request: recompute later, from the front of the queue."""
    replica = state.replicas[r]
    seat = state.running[replica.first_seat + index]
    request = state.seats[seat].request
    row = state.requests[request]
    release(state, replica, seat)
    unseat(state, replica, index)
    row.status = PREEMPTED
    row.preemptions += 1
    replica.preemptions += 1
    replica.fruitless += 1
    state.plans[r, slot].preempted += 1
    push(state, replica, request, True)


@compiled
def _drop_entry(state, r, slot, request):
    """Take back what this step scheduled for a request; returns its tokens, or 0."""
    replica = state.replicas[r]
    plan = state.plans[r, slot]
    tokens = 0
    first = replica.first_seat
    for at in range(first, first + plan.entries):
        if tokens > 0:
            state.entries[at - 1, slot] = state.entries[at, slot]
        elif state.entries[at, slot].request == request:
            tokens = state.entries[at, slot].tokens
    if tokens > 0:
        plan.entries -= 1
    return tokens


@compiled
def _make_room(state, r, slot, index, tokens):
    """Preempt until the index-th running request can hold `tokens` tokens in all.

    Returns its new index, or NIL if it was preempted itself, and the scheduled tokens that were taken back.
    """
    replica = state.replicas[r]
    seat = state.running[replica.first_seat + index]
    request = state.seats[seat].request
    returned = 0
    while not _grow(state, replica, seat, tokens):
        out = victim(state, replica)
        loser = state.seats[state.running[replica.first_seat + out]].request
        returned += _drop_entry(state, r, slot, loser)
        preempt(state, r, out, slot)
        if loser == request:
            return NIL, returned
        if out < index:
            index -= 1
    return index, returned


@compiled
def _schedule_running(state, r, slot, budget, threshold):
    """Phase 1. Returns the budget that is left."""
    replica = state.replicas[r]
    plan = state.plans[r, slot]
    running, seats, requests, entries = state.running, state.seats, state.requests, state.entries
    first, block_size, limit = replica.first_seat, replica.block_size, replica.max_model_len - 1
    index = 0
    while index < replica.running and budget > 0:
        seat = running[first + index]
        place = seats[seat]
        row = requests[place.request]
        known = row.prompt_tokens + row.produced
        computed = place.computed
        if place.placeholders > 0 and computed + 2 - place.placeholders >= row.prompt_tokens + row.max_tokens:
            index += 1  # async: the last token is under way
            continue
        tokens = known + place.placeholders - computed
        if 0 < threshold < tokens:
            tokens = threshold
        tokens = min(tokens, budget, limit - computed)
        if tokens <= 0:
            index += 1
            continue
        reach = computed + tokens
        if reach > place.owned * block_size:
            index, returned = _make_room(state, r, slot, index, reach)
            budget += returned
            if index == NIL:
                break
        if replica.caching and min(reach, known) >= (place.hashed + 1) * block_size:
            register(state, replica, seat, min(reach, known))
        entry = entries[first + plan.entries, slot]
        entry.request = place.request
        entry.tokens = tokens
        plan.entries += 1
        budget -= tokens
        index += 1
    if plan.preempted > 0:
        replica.held_by = BLOCKS
    return budget


@compiled
def _indexed(replica, prompt_tokens):
    """Leading blocks of a prompt that the KV index service has; at least one token is left to compute."""
    return (prompt_tokens - 1) // replica.block_size * replica.index_ppm // 1_000_000


@compiled
def _admit(state, r, slot, request, budget, threshold, now):
    """Admit one waiting request if blocks and budget allow; returns its tokens, 0 if not (held_by says why)."""
    replica = state.replicas[r]
    row = state.requests[request]
    known = row.prompt_tokens + row.produced
    seat = state.running[replica.first_seat + replica.running]  # the one it will get
    hit = prefix_hit(state, replica, row.content, known, seat)
    loaded = max(_indexed(replica, row.prompt_tokens) - hit, 0)
    computed = (hit + loaded) * replica.block_size
    tokens = known - computed
    if 0 < threshold < tokens:
        tokens = threshold
    if not replica.chunked and tokens > budget:
        replica.held_by = BUDGET
        return 0
    tokens = min(tokens, budget)

    idle_hits = 0  # cached blocks without users count as free, and leave the free queue when they are hit
    for index in range(hit):
        idle_hits += state.blocks[state.table[seat, index]].users == 0
    reach = known if replica.reserve_full else computed + tokens
    need = max(_blocks_for(min(reach, replica.max_model_len), replica.block_size) - hit, 0) + idle_hits
    if need + (replica.watermark_blocks if replica.running > 0 else 0) > replica.free_blocks:
        replica.held_by = BLOCKS
        return 0

    remove_waiting(state, replica, request)
    seat_request(state, replica, request, computed)
    place = state.seats[seat]
    for index in range(hit):
        touch(state, replica, state.table[seat, index])
    place.owned = hit
    place.hashed = hit
    _grow(state, replica, seat, computed + tokens)
    if replica.caching:
        register(state, replica, seat, min(computed + tokens, known))
    if row.status == WAITING:
        row.first_scheduled_ns = now
        row.cached_tokens = computed
        if replica.caching:
            replica.prefix_queries += known
            replica.prefix_hits += hit * replica.block_size
    row.last_scheduled_ns = now
    row.status = RUNNING
    plan = state.plans[r, slot]
    entry = state.entries[replica.first_seat + plan.entries, slot]
    entry.request = request
    entry.tokens = tokens
    plan.entries += 1
    if loaded > 0:
        plan.loads += 1
        plan.loaded_blocks += loaded
    return tokens


@compiled
def _schedule_waiting(state, r, slot, budget, threshold, now):
    """Phase 2: strictly from the head of the queue."""
    replica = state.replicas[r]
    while replica.first_waiting != NIL:
        if replica.running >= replica.seats:
            replica.held_by = SEATS
            return
        if budget <= 0:
            replica.held_by = BUDGET
            return
        tokens = _admit(state, r, slot, replica.first_waiting, budget, threshold, now)
        if tokens == 0:
            return
        budget -= tokens


@compiled
def _close(state, r, slot):
    """After scheduling: advance computed tokens, mark who samples, and time the step from its sums."""
    replica = state.replicas[r]
    plan = state.plans[r, slot]
    requests, seats, entries = state.requests, state.seats, state.entries
    first, asynchronous = replica.first_seat, replica.asynchronous
    prefill_tokens = prefill_seqs = pairs = decodes = context = sampled = 0
    for index in range(plan.entries):
        entry = entries[first + index, slot]
        request = requests[entry.request]
        place = seats[request.seat]
        computed, tokens = place.computed, entry.tokens
        if tokens == 1:
            decodes += 1
            context += computed + 1
        else:
            prefill_tokens += tokens
            prefill_seqs += 1
            pairs += tokens * computed + tokens * (tokens + 1) // 2
        place.computed += tokens
        request.tokens += tokens
        entry.samples = place.computed >= request.prompt_tokens + request.produced + place.placeholders
        if entry.samples:
            sampled += 1
            if asynchronous:
                place.placeholders += 1
    plan.tokens = prefill_tokens + decodes
    plan.prefill_tokens, plan.prefill_pairs = prefill_tokens, pairs
    plan.decode_seqs, plan.context_tokens, plan.sampled = decodes, context, sampled
    if plan.tokens > 0:
        cost = state.costs[replica.cost]
        plan.device_fs = device_fs(state.tables, cost, prefill_tokens, pairs, decodes, context, sampled)
        plan.device_fs += cost.load_fs * plan.loads + cost.load_block_fs * plan.loaded_blocks
        plan.duration_ns = duration_ns(state.tables, cost, plan.device_fs, prefill_seqs + decodes)


@compiled
def schedule(state, r, slot, now):
    """Fill plan `slot` of replica r at time `now` (nanoseconds)."""
    replica = state.replicas[r]
    plan = state.plans[r, slot]
    plan.entries = 0
    plan.preempted = 0
    plan.tokens = 0
    plan.loads = 0
    plan.loaded_blocks = 0
    replica.held_by = NOTHING
    threshold = replica.long_prefill if replica.running + replica.waiting > 1 else 0
    budget = _schedule_running(state, r, slot, replica.budget, threshold)
    if plan.preempted == 0:
        _schedule_waiting(state, r, slot, budget, threshold, now)
    _close(state, r, slot)
