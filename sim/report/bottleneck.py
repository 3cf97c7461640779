"""The bottleneck in plain English, from who waits for what and how hard the hardware works."""

from collections.abc import Mapping

from sim.stats import Interval

HARDLY = 0.05
"""Below this share of the time in the system, waiting is no bottleneck."""

HARD = 0.4
"""Below this share of its peak a resource is not what binds: kernels attain 0.6 to 0.9 of it."""

HOST = 0.2
"""Above this share of the step in which the GPU has nothing to do, the host is the story."""

_HELD_BY = {
    "blocks": (
        "KV blocks run out first: {held} of the waiting time is KV-blocked (mean KV use {kv}); raising max_num_seqs "
        "will not help, more KV memory or more replicas will."
    ),
    "seats": (
        "Seats run out first: {held} of the waiting time max_num_seqs is full while KV blocks are {kv} used; raising "
        "max_num_seqs admits more at once, at the price of TPOT."
    ),
    "budget": (
        "Prefill is the limit: {held} of the waiting time the step's token budget is spent; more replicas or prefix "
        "hits will help, a larger max_num_batched_tokens only trades TPOT for TTFT."
    ),
    "decode_budget": (
        "The token budget runs out: {held} of the waiting time the running sequences' own tokens fill "
        "max_num_batched_tokens; raising it admits more at once."
    ),
    "next_step": (
        "Requests wait for the step under way to end ({held} of the waiting time), not for KV blocks or seats; only "
        "shorter steps cut that wait."
    ),
}

_NO_ANSWER = {
    "rejected": "were rejected",
    "lost": "were lost with a replica or found none",
    "shed": "were shed",
    "timed_out": "took longer than their clients waited",
    "forgotten": "were forgotten by the batcher",
}


def percent(share: float) -> str:
    """Write a share as a whole percentage."""
    return "less than 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def bottleneck(values: Mapping[str, Interval], classes: Mapping[str, Mapping[str, Interval]]) -> str:
    """Say what limits the system, what its busy GPUs do, and which limit of the SLO is missed most.

    Args:
        values: of the whole run, keys as in sim/report/measure.py.
        classes: the same of each class that has an SLO.
    """
    if not values["completed"].mean:
        return "No request finished, so nothing can be said of the bottleneck."
    return " ".join(part for part in (_waiting(values), _busy(values), _missed(classes)) if part)


def _waiting(values: Mapping[str, Interval]) -> str:
    share = _mean(values, "waiting_share")
    if share < HARDLY:
        return f"Nothing holds requests up: they wait {percent(share)} of their time, and latency is the steps' own."
    if "padding_share" in values:
        return (
            f"Requests wait {percent(share)} of their time for a batch: for it to form, or for the one under way to "
            f"end, which nobody can join; {percent(_mean(values, 'padding_share'))} of the tokens computed are padding."
        )
    held = {name: _mean(values, f"waiting_for_{name}") for name in ("blocks", "seats", "budget", "next_step")}
    if _mean(values, "prefill_token_share") < 0.5:
        held["decode_budget"] = held.pop("budget")
    worst = max(held, key=held.__getitem__)
    return _HELD_BY[worst].format(held=percent(held[worst]), kv=percent(_mean(values, "kv_cache_usage")))


def _busy(values: Mapping[str, Interval]) -> str:
    busy = _mean(values, "busy")
    if not busy:
        return ""
    hbm, mfu = _mean(values, "hbm_utilisation") / busy, _mean(values, "mfu") / busy
    communication = _mean(values, "communication")
    idle = 1 - _mean(values, "device")
    if idle > HOST:
        bound = "Steps are bound by the host"
    elif communication > 0.5:
        bound = "Steps are bound by communication"
    elif max(hbm, mfu) < HARD:
        bound = "Neither memory bandwidth nor compute is near its peak; fixed times and mixed work fill the steps"
    else:
        bound = f"Steps are bound by {'memory bandwidth' if hbm >= mfu else 'compute'}"
    waits = f"; {percent(idle)} of a step they wait for the host" if idle > HOST else ""
    return (
        f"{bound}: while busy ({percent(busy)} of the time), the GPUs use {percent(hbm)} of HBM "
        f"bandwidth and {percent(mfu)} of peak FLOPs, and {percent(communication)} of device time is "
        f"communication{waits}."
    )


def _missed(classes: Mapping[str, Mapping[str, Interval]]) -> str:
    shares = {
        (name, key.removeprefix("missed_")): value.mean or 0.0
        for name, values in classes.items()
        for key, value in values.items()
        if key.startswith("missed_")
    }
    if not any(shares.values()):
        return ""
    name, metric = max(shares, key=shares.__getitem__)
    whose = f" of class {name}" if len(classes) > 1 else ""
    share = percent(shares[name, metric])
    if metric in _NO_ANSWER:
        return f"Most requests that are not good {_NO_ANSWER[metric]}: {share} of all{whose}."
    return f"The limit missed most is {metric.upper()}, by {share} of the requests{whose}."


def _mean(values: Mapping[str, Interval], key: str) -> float:
    return values[key].mean or 0.0
