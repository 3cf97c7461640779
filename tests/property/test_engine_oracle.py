"""The compiled engine equals the naive one-event-a-step engine, to the nanosecond."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.steptime.cost import StepCost
from tests.oracle.case import Config, Req
from tests.oracle.cases import random_case
from tests.oracle.engine import NaiveEngine
from tests.oracle.kernel import run_kernel_engine


def random_cost(rng: Random, tokens: int, seqs: int) -> StepCost:
    """Arbitrary tables, with several attention pieces, so that no accident of shape hides a wrong statistic."""

    def table(*shape: int, most: int) -> np.ndarray:
        return np.array([rng.randrange(most) for _ in range(int(np.prod(shape)))], np.int64).reshape(shape)

    pieces = rng.choice([1, 3])
    return StepCost(
        mixed_fs=table(tokens + 1, most=10**13),
        decode_fs=table(seqs + 1, most=10**13),
        knots=np.array([0, 20, 60][:pieces], np.int64),
        attention_fs=table(seqs + 1, pieces, most=10**11),
        attention_slope_fs=table(seqs + 1, pieces, most=10**9),
        pair_fs=rng.randrange(10**8),
        sampled_fs=table(seqs + 1, most=10**11),
        host_fs=table(seqs + 1, most=10**13),
        overlap=rng.random() < 0.5,
        comm_mixed_fs=np.zeros(tokens + 1, np.int64),
        comm_decode_fs=np.zeros(seqs + 1, np.int64),
        load_fs=rng.randrange(10**12),
        load_block_fs=rng.randrange(10**11),
    )


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_engine_equals_the_naive_one(seed: int) -> None:
    """Every request's times, cache hits and preemptions, and all inter-token latencies.

    The cases starve KV blocks, share prefixes, tie arrivals, mix priorities, stop by EOS and load KV from an index
    service; the world interrupts the compiled engine at arbitrary instants.
    """
    rng = Random(seed)
    config, reqs = random_case(rng)
    config = replace(config, index_ppm=rng.choice([0, 0, rng.randrange(1_000_000), 1_000_000]))
    longest = max(req.prompt_tokens + req.output_tokens for req in reqs)
    assume(longest <= (config.num_gpu_blocks - 1) * config.block_size)  # else vLLM may try for ever, and so do both
    cost = random_cost(rng, config.max_num_batched_tokens, config.max_num_seqs)
    scale = rng.choice([0, 10**6, 3 * 10**6, 10**7])
    arrivals = [req.arrival_step * scale for req in reqs]
    horizons = [rng.randrange(max(arrivals) + 10**9) for _ in range(5)]

    naive = NaiveEngine(config, cost).run(reqs, arrivals)
    compiled, itl_ns = run_kernel_engine(config, cost, reqs, arrivals, horizons)

    for one, other in zip(naive, compiled, strict=True):
        assert other.finished == one.finished
        assert other.first_scheduled_ns == one.first_scheduled_ns
        assert other.last_scheduled_ns == one.last_scheduled_ns
        assert other.first_token_ns == one.first_token_ns
        assert other.last_token_ns == one.last_token_ns
        assert other.cached_tokens == one.cached_tokens
        assert other.preemptions == one.preemptions
    assert itl_ns == sorted(gap for one in naive for gap in one.itl_ns)


def test_preemption_without_end_is_an_error() -> None:
    """A request that is admitted by its first chunk and never fits preempts itself again and again, as in vLLM."""
    config = Config(
        max_num_batched_tokens=16,
        max_num_seqs=8,
        block_size=4,
        num_gpu_blocks=41,
        max_model_len=205,
        enable_prefix_caching=False,
        reserve_full_isl=False,
    )
    with pytest.raises(InputError, match="preempt each other without end"):
        run_kernel_engine(config, random_cost(Random(0), 16, 8), [Req(0, 0, 161, 29, 29, own_stream=1)], [0])
