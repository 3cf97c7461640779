"""What is worth knowing before a run: does it fit, how much KV, is the load above capacity, are numbers measured."""

from bisect import bisect_left
from functools import partial

import numpy as np

from sim.classes import class_models, serving_pools
from sim.deployment import Deployment, deploy, extrapolations
from sim.fleet.build import build_fleet
from sim.gateway import Gateway
from sim.places import build_engines, places
from sim.request import Requests
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from sim.streams import stream
from sim.units import NS_PER_MS, NS_PER_S
from sim.workload.draw import draw
from sim.world import World


def check(loaded: Loaded) -> list[str]:
    """Findings about a scenario, one sentence each.

    Raises:
        InputError: it cannot run: something is unknown, missing or does not fit.
    """
    scenario = loaded.scenario
    deployments = deploy(scenario, loaded.base_dir)
    requests = draw(scenario, scenario.run.seed, 0, loaded.base_dir)
    findings = [f"pool {one.pool.pool}: {one.memory.sentence()}" for one in deployments]
    admitted = _admitted(scenario, deployments, requests)
    findings += _rejected(admitted)
    findings += _load(scenario, deployments, requests, admitted)
    findings += extrapolations(deployments, requests)
    _try_fleet(loaded, deployments, requests)
    for label in sorted({one.step_time.label for one in deployments}):
        findings.append(f"Step times: {label}.")
    return findings


def _try_fleet(loaded: Loaded, deployments: tuple[Deployment, ...], requests: Requests) -> None:
    """Build the fleet with all that may happen to it: an unknown preset or a bad trace is found here."""
    scenario = loaded.scenario
    rng = partial(stream, scenario.run.seed, 0)
    stand = places(scenario)
    world = World(build_engines(scenario, deployments, stand, requests))
    gateway = Gateway(world, scenario, deployments, stand, requests, rng("router"))
    build_fleet(world, scenario, deployments, stand, gateway, loaded.base_dir, rng)


def _admitted(
    scenario: Scenario, deployments: tuple[Deployment, ...], requests: Requests
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which requests some pool's max_model_len lets in (bool[n])."""
    pools = serving_pools(scenario, deployments, requests)
    limits = [
        max(deployments[pool].defaults.max_model_len for pool in pools[model])
        for model in class_models(scenario, requests)
    ]
    length = requests.prompt_tokens.astype(np.int64) + requests.max_tokens
    return np.asarray(length <= np.array(limits)[requests.klass])


def _rejected(admitted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[str]:
    share = 1 - float(np.mean(admitted))
    if share == 0:
        return []
    return [f"{share:.1%} of the requests exceed max_model_len with prompt + max_tokens and will be rejected."]


def _load(
    scenario: Scenario,
    deployments: tuple[Deployment, ...],
    requests: Requests,
    admitted: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> list[str]:
    """Compare the offered token rate with what the pools could do at best, all seats or KV blocks in use."""
    if requests.concurrency is not None:
        return [f"Closed loop: {requests.concurrency} requests in flight, so the load adapts to the capacity."]
    span = span_s(requests)
    models = class_models(scenario, requests)
    findings = []
    for model, pools in serving_pools(scenario, deployments, requests).items():
        mine = np.array([one == model for one in models])[requests.klass] & admitted
        if not mine.any():
            continue
        serving = [deployments[pool] for pool in pools]
        most = sum(one.pool.replicas * sustainable_rate(one, requests, mine) for one in serving)
        if most == 0:
            findings.append(f"{model}: no replica at the start.")
            continue
        offered = int(mine.sum()) / span
        above = "above" if offered > most else "below"
        findings.append(
            f"{model}: {offered:.2f} requests/s that can be served are offered on average, {above} the {most:.2f} "
            f"requests/s that the fleet as it starts can sustain by a steady-state estimate without prefix hits "
            f"({offered / most:.0%})."
        )
    return findings


def _earliest_ns(requests: Requests) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """When each request can be sent at the earliest: later turns after the pauses before them, answers taking no time.

    A session's turns lie one behind another.
    """
    first = requests.after < 0
    total = requests.arrival_ns.cumsum()
    starts = np.flatnonzero(first)
    before = total[starts] - requests.arrival_ns[starts]
    return np.asarray(total - before[first.cumsum() - 1])


def span_s(requests: Requests) -> float:
    """Time in which the requests are sent at the earliest, seconds."""
    return max(int(_earliest_ns(requests).max()), 1) / NS_PER_S


def sustainable_rate(
    one: Deployment,
    requests: Requests,
    mine: np.ndarray[tuple[int], np.dtype[np.bool_]],
    slowest_step_ms: float | None = None,
) -> float:
    """Best steady rate of a replica: batches as large as seats, KV blocks and budget allow, no prefix hits.

    A cycle of mean-output steps serves a full batch; each step decodes the batch and prefills the share of new prompts
    that keeps it full.

    Args:
        one: what the replica is.
        requests: the traffic.
        mine: bool[n], which of them it is offered.
        slowest_step_ms: batches are no larger than such a step allows; default any.

    Returns:
        Requests a second.
    """
    prompt = float(requests.prompt_tokens[mine].mean())
    output = float(requests.output_tokens[mine].mean())
    context = prompt + output / 2
    batch = min(one.defaults.max_num_seqs, max(int(one.memory.kv_tokens / (context + one.defaults.block_size)), 1))
    if slowest_step_ms is not None:
        limit_ns = slowest_step_ms * NS_PER_MS
        # The first batch that is too slow, less one: steps take longer, the larger the batch.
        slow = bisect_left(range(1, batch + 1), x=True, key=lambda n: _cycle(one, n, prompt, output)[1] > limit_ns)
        batch = max(slow, 1)
    starts, ns = _cycle(one, batch, prompt, output)
    return starts / (ns / NS_PER_S)


def _cycle(one: Deployment, batch: int, prompt: float, output: float) -> tuple[float, int]:
    """Requests that a step starts when a batch is kept full, and the step's time in ns."""
    prefill = max(min(round(batch * prompt / output), one.defaults.max_num_batched_tokens - batch), 2)
    shape = StepShape(
        prefill_tokens=prefill,
        prefill_seqs=1,
        prefill_pairs=round(prefill * prompt / 2),
        decode_seqs=batch - 1,
        context_tokens=round((batch - 1) * (prompt + output / 2)),
        sampled=batch,
    )
    return prefill / prompt, step_ns(one.cost, shape)
