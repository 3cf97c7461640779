"""The scenario's batching policies as the engines know them."""

from sim.engine.batching import Batching, Static, Timer, TwoLevel, equally_wide
from sim.request import Requests
from sim.scenario import batching as spec
from sim.units import NS_PER_MS


def build(policy: spec.Batching, requests: Requests) -> Batching:
    """Resolve a policy; a number of length groups is laid out over the prompts of these requests."""
    match policy:
        case spec.Static():
            return Static(policy.batch_size, _ns(policy.max_wait_ms))
        case spec.Timer():
            return Timer(_ns(policy.wait_ms), policy.batch_size)
        case spec.TwoLevel():
            return TwoLevel(
                max_batch_size=policy.max_batch_size,
                wait_ns=_ns(policy.wait_ms),
                fill=policy.fill,
                tick_ns=None if policy.tick_ms is None else _ns(policy.tick_ms),
                bounds=_bounds(policy.length_groups, requests),
                longest_wait_ns=None if policy.drop_underfilled else _ns(policy.longest_wait_ms),
            )


def _bounds(groups: int | tuple[int, ...], requests: Requests) -> tuple[int, ...]:
    if isinstance(groups, tuple):
        return groups
    prompts = requests.prompt_tokens
    return equally_wide(groups, int(prompts.min()), int(prompts.max()))


def _ns(milliseconds: float) -> int:
    return round(milliseconds * NS_PER_MS)
