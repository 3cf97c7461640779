"""What replicas keep count of: time integrals, and the steps that have ended."""

from sim.kernel.jit import compiled
from sim.kernel.layout import BLOCKS, BUDGET, SEATS


@compiled
def account(replica, now):
    """Bring the time integrals of a replica up to `now`."""
    span = now - replica.accounted_ns
    replica.accounted_ns = now
    replica.block_ns += span * (replica.num_blocks - 1 - replica.free_blocks)
    replica.system_ns += span * (replica.running + replica.waiting)
    waited = span * replica.waiting
    if waited > 0:
        replica.waiting_ns += waited
        if replica.held_by == SEATS:
            replica.waiting_seats_ns += waited
        elif replica.held_by == BLOCKS:
            replica.waiting_blocks_ns += waited
        elif replica.held_by == BUDGET:
            replica.waiting_budget_ns += waited


@compiled
def book(state, r, slot):
    """Count the step of plan `slot`, at its end: one that the end of the run cuts off is not counted."""
    replica = state.replicas[r]
    plan = state.plans[r, slot]
    cost = state.costs[replica.cost]
    replica.steps += 1
    replica.peak_step_tokens = max(replica.peak_step_tokens, plan.tokens)
    replica.busy_ns += plan.duration_ns
    replica.device_fs += plan.device_fs
    if plan.prefill_tokens > 0:
        replica.comm_fs += state.tables[cost.comm_mixed + plan.tokens]
    else:
        replica.comm_fs += state.tables[cost.comm_decode + plan.decode_seqs]
    replica.weight_bytes += state.tables[cost.weights + plan.tokens]
    replica.prefill_tokens += plan.prefill_tokens
    replica.prefill_pairs += plan.prefill_pairs
    replica.decode_tokens += plan.decode_seqs
    replica.context_tokens += plan.context_tokens
    replica.sampled += plan.sampled
