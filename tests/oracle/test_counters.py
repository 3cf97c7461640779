"""Counters of the compiled engine: sums over steps equal a naive engine's, and waiting is booked to what causes it."""

from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.oracle.case import Config, Req
from tests.oracle.cases import random_case
from tests.oracle.engine import NaiveEngine
from tests.oracle.kernel import engines
from tests.property.test_engine_oracle import random_cost

PLAIN = Config(
    max_num_batched_tokens=64,
    max_num_seqs=8,
    block_size=4,
    num_gpu_blocks=1000,
    max_model_len=500,
    enable_prefix_caching=False,
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_sums_over_steps_equal_the_naive_engines(seed: int) -> None:
    rng = Random(seed)
    config, reqs = random_case(rng)
    longest = max(req.prompt_tokens + req.output_tokens for req in reqs)
    assume(longest <= (config.num_gpu_blocks - 1) * config.block_size)
    cost = random_cost(rng, config.max_num_batched_tokens, config.max_num_seqs)
    comm = np.array([rng.randrange(10**9) for _ in range(config.max_num_batched_tokens + 1)], np.int64)
    cost = cost._replace(comm_mixed_fs=comm, comm_decode_fs=comm[: config.max_num_seqs + 1] * 3)
    naive = NaiveEngine(config, cost)
    times = naive.run(reqs, [0] * len(reqs))

    engine = engines(config, reqs, cost)
    for index in range(len(reqs)):
        engine.enqueue(0, index, 0, watched=False)
    engine.advance(2**62)
    found = engine.state.replicas[0]
    assert found.steps == len(naive.shapes)
    assert found.peak_step_tokens == max(shape.prefill_tokens + shape.decode_seqs for shape in naive.shapes)
    assert found.prefill_tokens == sum(shape.prefill_tokens for shape in naive.shapes)
    assert found.prefill_pairs == sum(shape.prefill_pairs for shape in naive.shapes)
    assert found.decode_tokens == sum(shape.decode_seqs for shape in naive.shapes)
    assert found.context_tokens == sum(shape.context_tokens for shape in naive.shapes)
    assert found.sampled == sum(shape.sampled for shape in naive.shapes)
    tokens = [(shape.prefill_tokens, shape.decode_seqs) for shape in naive.shapes]
    assert found.comm_fs == sum(int(comm[p + d]) if p else 3 * int(comm[d]) for p, d in tokens)
    assert found.preemptions == sum(one.preemptions for one in times)
    if config.enable_prefix_caching:
        begun = [(req, one) for req, one in zip(reqs, times, strict=True) if one.first_scheduled_ns >= 0]
        assert found.prefix_queries == sum(req.prompt_tokens for req, _ in begun)
        assert found.prefix_hits == sum(one.cached_tokens for _, one in begun)


def waiting(config: Config, reqs: list[Req], step_ns: int = 100) -> dict[str, float]:
    """Waiting time by cause, in steps, when all requests come at 0 and every step takes as long."""
    engine = engines(config, reqs)
    for name in ("mixed", "decode"):
        first = int(engine.state.costs[0][name])
        size = config.max_num_batched_tokens if name == "mixed" else config.max_num_seqs
        engine.state.tables[first : first + size + 1] = step_ns * 10**6
    for index in range(len(reqs)):
        engine.enqueue(0, index, 0, watched=False)
    engine.advance(2**62)
    row = engine.state.replicas[0]
    causes = {cause: float(row[f"waiting_{cause}_ns"]) / step_ns for cause in ("seats", "blocks", "budget")}
    return {cause: steps for cause, steps in causes.items() if steps} | {"all": float(row["waiting_ns"]) / step_ns}


def requests(count: int, prompt: int, output: int) -> list[Req]:
    return [Req(i, 0, prompt, output, output, own_stream=i + 1) for i in range(count)]


def test_waiting_for_a_seat() -> None:
    """One seat, three requests of two steps: the second waits 2 steps, the third 4."""
    config = replace(PLAIN, max_num_seqs=1)
    assert waiting(config, requests(3, 8, 2)) == {"seats": 6.0, "all": 6.0}


def test_waiting_for_kv_blocks() -> None:
    """Blocks for one request at a time: the same waits, held by blocks."""
    config = replace(PLAIN, num_gpu_blocks=4)
    assert waiting(config, requests(3, 8, 2)) == {"blocks": 6.0, "all": 6.0}


def test_waiting_for_the_token_budget() -> None:
    """A budget of one prompt a step, one output each: they wait 0, 1 and 2 steps."""
    config = replace(PLAIN, max_num_batched_tokens=8)
    assert waiting(config, requests(3, 8, 1)) == {"budget": 3.0, "all": 3.0}


def test_a_step_that_the_end_cuts_off_is_not_counted() -> None:
    """Stopped in the middle of the third step of 100 ns, two are counted: busy time never exceeds the run's."""
    engine = engines(PLAIN, requests(1, 8, 10))
    engine.state.tables[:] = 100 * 10**6
    engine.state.tables[int(engine.state.costs[0].knots)] = 0
    engine.enqueue(0, 0, 0, watched=False)
    engine.advance(1_000)
    total = int(engine.state.replicas[0].busy_ns)
    steps = int(engine.state.replicas[0].steps)
    assert steps >= 1
    assert total <= 1_000
