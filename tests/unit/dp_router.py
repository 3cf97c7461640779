"""vLLM's data-parallel load balancer beside the router `vllm_dp`, on the same random traffic."""

from collections import Counter
from collections.abc import Callable
from random import Random
from sys import maxsize
from types import SimpleNamespace

import numpy as np

from sim.engine import EngineLimits, Engines
from sim.kernel.layout import PREEMPTED, RUNNING, WAITING
from sim.router import build
from sim.scenario.fleet import VllmDp
from sim.world import World
from tests.oracle.station import cost, requests

PERIOD_NS = 100_000_000
"""Between two reports of the coordinator (vllm/v1/engine/coordinator.py:154, 0.32.0)."""


def get_core_engine_for_request(self: SimpleNamespace, request: SimpleNamespace) -> int:
    """DPLBAsyncMPClient's, without affinity and pooling (vllm/v1/engine/core_client.py:1642-1697, 0.32.0)."""
    min_score: float = maxsize
    chosen = 0
    for i in range(len(self.lb_engines)):
        idx = (self.eng_start_index + i) % len(self.lb_engines)
        waiting, running, kv_cache_usage = self.lb_engines[idx]
        score = max(self.client_count * self.engine_inflight[idx], waiting + running)
        if waiting:
            score += waiting * 6.0 * max(0.0, kv_cache_usage - 0.5)
        if score < min_score:
            min_score = score
            chosen = idx
    self.lb_engines[chosen][0] += self.client_count
    self.eng_start_index = (self.eng_start_index + 1) % len(self.lb_engines)
    self.reqs_in_flight[request.request_id] = chosen
    self.engine_inflight[chosen] += 1
    return chosen


def snapshot(engines: Engines) -> list[list[float]]:
    """(waiting, running, kv_cache_usage) of every engine, counted request by request and block by block."""
    state = engines.state
    counts = []
    for r, row in enumerate(state.replicas):
        status = state.requests["status"][state.requests["replica"] == r]
        first = int(row["first_block"])
        users = state.blocks["users"][first + 1 : first + int(row["num_blocks"])]  # without the null block
        usage = 1.0 - int((users == 0).sum()) / len(users)  # v1/core/block_pool.py:877-890
        waiting = int(np.isin(status, (WAITING, PREEMPTED)).sum())
        counts.append([waiting, int((status == RUNNING).sum()), usage])
    return counts


def compare(seed: int, choose: Callable[[SimpleNamespace, SimpleNamespace], int]) -> tuple[list[int], list[int], float]:
    """Serve random traffic; returns vLLM's choices, the router's, and the greatest KV usage that vLLM saw."""
    rng = Random(seed)
    count, replicas = 300, rng.choice([2, 3, 5])
    arrivals = np.cumsum([round(rng.expovariate(1 / 8e6)) + 1 for _ in range(count)])
    drawn = requests(arrivals, [rng.randint(1, 100) for _ in range(count)], [rng.randint(1, 30) for _ in range(count)])
    kinds = [
        EngineLimits(256, rng.choice([4, 16]), 130, 16, blocks, enable_prefix_caching=False)
        for blocks in (rng.randint(10, 40), 60)
    ]
    steps = cost(np.full(17, rng.randint(2, 12) * 10**6), np.arange(257) * 100_000)
    which = [index % 2 for index in range(replicas)]
    world = World(Engines(kinds, which, [steps] * 2, [np.zeros(257)] * 2, drawn, np.zeros(count, np.int32)))
    router = build(VllmDp(kind="vllm_dp"), world, np.arange(replicas, dtype=np.int32), np.random.default_rng(0))
    vllm = SimpleNamespace(
        core_engines=list(range(replicas)),
        lb_engines=snapshot(world.engines),
        engine_inflight=Counter(),
        reqs_in_flight={},
        eng_start_index=0,
        client_count=1,
    )
    fullest = 0.0

    def coordinator():
        nonlocal fullest
        while True:
            yield world.timeout(PERIOD_NS - int(world.now) % PERIOD_NS)
            vllm.lb_engines = snapshot(world.engines)
            fullest = max(fullest, *(usage for _, _, usage in vllm.lb_engines))

    def ended(request: int) -> None:
        vllm.engine_inflight[vllm.reqs_in_flight.pop(request)] -= 1

    expected, found = [], []

    def client():
        for request, at in enumerate(arrivals.tolist()):
            yield world.timeout(at - int(world.now))
            ask = SimpleNamespace(request_id=request, data_parallel_rank=None, pooling_params=None)
            expected.append(choose(vllm, ask))
            found.append(router.choose(request))
            world.engines.enqueue(expected[-1], request, at, watched=True)

    world.on_end = ended
    world.process(coordinator())
    world.run(until=world.process(client()))
    return expected, found, fullest
