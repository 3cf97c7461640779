"""vLLM's own scheduler, the naive one and the compiled one do the same at every step of random cases."""

from random import Random

import pytest

from tests.engine.vllm import require_vllm
from tests.oracle.case import Config, Req, Step
from tests.oracle.cases import random_aborts, random_case
from tests.oracle.drive import Abort
from tests.oracle.kernel import run_kernel
from tests.oracle.naive import run_naive

require_vllm()

from tests.engine.real_scheduler import run_real  # noqa: E402

pytestmark = pytest.mark.engine

CHUNK = 50


def first_difference(config: Config, reqs: list[Req], real: list[Step], ours: list[Step]) -> str:
    """Say where two runs part, for the failure message."""
    for ours_step, real_step in zip(ours, real, strict=False):
        if ours_step != real_step:
            return f"{config}\nreal {real_step}\nours {ours_step}\nrequests {reqs}"
    return f"{config}\nreal has {len(real)} steps, ours {len(ours)}\nrequests {reqs}"


def check(config: Config, reqs: list[Req], aborts: list[Abort], seed: int) -> None:
    real = run_real(config, reqs, aborts)
    for run in (run_naive, run_kernel):
        ours = run(config, reqs, aborts)
        assert ours == real, f"{run.__name__}, case {seed}: " + first_difference(config, reqs, real, ours)


def check_chunk(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        config, reqs = random_case(Random(seed))
        check(config, reqs, [], seed)


def check_chunk_with_aborts(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        rng = Random(seed)
        config, reqs = random_case(rng)
        check(config, reqs, random_aborts(rng, reqs), seed)


@pytest.mark.parametrize("chunk", range(6))
def test_same_steps_in_300_cases(chunk: int) -> None:
    check_chunk(chunk)


@pytest.mark.parametrize("chunk", range(6))
def test_same_steps_in_300_cases_with_aborts(chunk: int) -> None:
    check_chunk_with_aborts(chunk)


@pytest.mark.full
@pytest.mark.parametrize("chunk", range(6, 66))
def test_same_steps_in_3000_more_cases(chunk: int) -> None:
    check_chunk(chunk)


@pytest.mark.full
@pytest.mark.parametrize("chunk", range(6, 66))
def test_same_steps_in_3000_more_cases_with_aborts(chunk: int) -> None:
    check_chunk_with_aborts(chunk)
