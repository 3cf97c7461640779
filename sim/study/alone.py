"""What an idle replica gives: the least that a request's latencies can be, so the most that can ever be good."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sim.deployment import Deployment
from sim.metrics import Mask
from sim.report.objective import Objective
from sim.request import Requests
from sim.stats import Floats
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from sim.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class Alone:
    """Bounds by class that has an SLO, in the order of the classes."""

    good: tuple[float, ...]
    """Largest share of good requests that any number of replicas can reach, averaged over the replications."""
    needed_ms: tuple[dict[str, float], ...]
    """How high each limit would have to be for enough requests to keep it on an idle replica, in the first replication;
    empty where so many are rejected that no limit is high enough."""
    rejected: float
    """Share of all requests that exceed max_model_len."""


def alone(one: Deployment, drawn: Sequence[Requests], aims: Sequence[Objective]) -> Alone:
    """Bound what replicas can give to requests that meet no others.

    Args:
        one: what the replicas are.
        drawn: the traffic of each replication; where its requests share content, prefixes may be cached and TTFT is
            bounded by 0.
        aims: SLO of each class.
    """
    parts = [_alone(one, requests, aims) for requests in drawn]
    good = np.mean([part.good for part in parts], axis=0).tolist()
    return Alone(tuple(good), parts[0].needed_ms, float(np.mean([part.rejected for part in parts])))


def _alone(one: Deployment, requests: Requests, aims: Sequence[Objective]) -> Alone:
    admitted = requests.prompt_tokens.astype(np.int64) + requests.max_tokens <= one.defaults.max_model_len
    took = _latencies_ms(one, requests)
    good, needed = [], []
    for index, aim in enumerate(aims):
        if not aim.limits_ms:
            continue
        mine = np.ones(len(requests), np.bool_) if len(aims) == 1 else requests.klass == index
        kept = admitted & np.all([took[name] <= limit for name, limit in aim.limits_ms.items()], axis=0)
        good.append(float(kept[mine].mean()) if mine.any() else 1.0)
        needed.append(_needed_ms(took, aim, mine & admitted, int(np.count_nonzero(mine))))
    return Alone(tuple(good), tuple(needed), float(1 - admitted.mean()))


def _needed_ms(took: dict[str, Floats], aim: Objective, served: Mask, of: int) -> dict[str, float]:
    """The limits that the required number `of` the class's requests would just keep."""
    enough = math.ceil(of * aim.percentile / 100)
    if not 0 < enough <= np.count_nonzero(served):
        return {}
    return {name: float(np.sort(took[name][served])[enough - 1]) for name in aim.limits_ms}


def _latencies_ms(one: Deployment, requests: Requests) -> dict[str, Floats]:
    """Latencies of each request alone, by the names of an SLO's limits (float64[n])."""
    limit = one.defaults.max_model_len
    ttft = _by_length(requests.prompt_tokens, limit, lambda prompt: _prefill_ns(one, prompt)) / NS_PER_MS
    if one.engine.kv_index is not None or (one.engine.enable_prefix_caching and _shared(requests)):
        ttft = np.zeros(len(requests))
    step = _by_length(requests.prompt_tokens, limit, lambda prompt: _decode_ns(one, prompt)) / NS_PER_MS
    tpot = np.where(requests.output_tokens > 1, step, 0.0)
    return {
        "ttft": ttft,
        "tpot": tpot,
        "e2el": ttft + (requests.output_tokens - 1) * step,
        "ttfat": ttft + requests.reasoning_tokens * step,
    }


def _by_length(tokens: np.ndarray[tuple[int], np.dtype[np.int32]], limit: int, of: Callable[[int], float]) -> Floats:
    """`of` each number of tokens, 0 above the limit: those are never served."""
    lengths, where = np.unique(tokens, return_inverse=True)
    return np.array([of(length) if length <= limit else 0.0 for length in lengths.tolist()])[where]


def _prefill_ns(one: Deployment, prompt: int) -> float:
    """A prompt in as few steps as the token budget allows."""
    total, budget = 0, one.defaults.max_num_batched_tokens
    for done in range(0, prompt, budget):
        new = min(budget, prompt - done)
        if new == 1:
            shape = StepShape(decode_seqs=1, context_tokens=done + 1, sampled=1)
        else:
            pairs = new * done + new * (new + 1) // 2
            shape = StepShape(
                prefill_tokens=new, prefill_seqs=1, prefill_pairs=pairs, sampled=int(done + new == prompt)
            )
        total += step_ns(one.cost, shape)
    return total


def _decode_ns(one: Deployment, prompt: int) -> float:
    return step_ns(one.cost, StepShape(decode_seqs=1, context_tokens=prompt + 1, sampled=1))


def _shared(requests: Requests) -> bool:
    streams = (requests.own_stream, requests.segment_stream)
    return any(len(np.unique(one)) < len(one) for one in streams)
