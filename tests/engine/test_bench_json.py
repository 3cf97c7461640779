"""Our bench.json of made-up answers is what vLLM's own benchmark code makes of them."""

import numpy as np
import pytest

from tests.engine.vllm import require_vllm

require_vllm()

from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput  # noqa: E402
from vllm.benchmarks.serve import calculate_metrics  # noqa: E402

from harness.bench import PERCENTILES, bench_json  # noqa: E402
from harness.client import Answer  # noqa: E402
from sim.request import Requests  # noqa: E402
from sim.scenario.scenario import Scenario  # noqa: E402

pytestmark = pytest.mark.engine

SCENARIO = {
    "schema_version": 1,
    "name": "x",
    "model": "deepseek-llm-7b",
    "workload": {
        "kind": "synthetic",
        "num_prompts": 1,
        "arrivals": {"kind": "gamma", "request_rate": 2.5, "burstiness": 0.5},
        "lengths": {
            "kind": "separate",
            "input": {"kind": "fixed", "tokens": 1},
            "output": {"kind": "fixed", "tokens": 1},
        },
    },
    "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb"}],
}


def answers(rng: np.random.Generator, n: int) -> list[Answer]:
    """Some have one token, some share chunks, some failed on the way, some were never sent."""
    made = []
    for sent in np.sort(rng.integers(0, 6 * 10**9, n)).tolist():
        chunks = rng.integers(1, 30)
        times = sent + np.cumsum(rng.integers(10**6, 3 * 10**8, chunks))
        one = Answer(sent_ns=sent, chunk_ns=times.tolist(), chunk_tokens=rng.integers(1, 4, chunks).tolist(), error="")
        if rng.random() < 0.2:
            one.error = "ClientPayloadError: cut"
        made.append(one)
    return [*made, Answer()]


@pytest.mark.parametrize("seed", range(5))
def test_every_number_is_vllms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = answers(rng, 40)
    n = len(made)
    prompts = rng.integers(1, 100, n).astype(np.int32)
    zeros = np.zeros(n, np.int64)
    requests = Requests(
        arrival_ns=zeros,
        prompt_tokens=prompts,
        output_tokens=prompts,
        max_tokens=prompts,
        klass=zeros.astype(np.int16),
        reasoning_tokens=zeros.astype(np.int32),
        own_stream=zeros,
        after=np.full(n, -1, np.int32),
        segment_offset=np.zeros(n + 1, np.int64),
        segment_stream=zeros[:0],
        segment_end=zeros[:0].astype(np.int32),
        classes=("default",),
    )
    ours = bench_json("m", Scenario.model_validate(SCENARIO), requests, made)
    theirs = [
        RequestFuncOutput(
            success=not one.error,
            start_time=one.sent_ns / 1e9,
            ttft=(one.chunk_ns[0] - one.sent_ns) / 1e9 if one.chunk_ns else 0.0,
            latency=(one.chunk_ns[-1] - one.sent_ns) / 1e9 if one.chunk_ns else 0.0,
            itl=(np.diff(one.chunk_ns) / 1e9).tolist(),
            prompt_len=int(prompt),
            output_tokens=one.tokens,
            error=one.error,
        )
        for one, prompt in zip(made, prompts, strict=True)
    ]
    metrics, lengths = calculate_metrics([], theirs, ours["duration"], None, list(PERCENTILES), {})
    assert ours["output_lens"] == lengths
    assert (ours["request_rate"], ours["burstiness"]) == (2.5, 0.5)
    for key, name in {"total_input_tokens": "total_input", "total_output_tokens": "total_output"}.items():
        assert ours[key] == getattr(metrics, name)
    for key in ("completed", "failed", "max_output_tokens_per_s", "max_concurrent_requests"):
        assert ours[key] == getattr(metrics, key), key
    for key in ("request_throughput", "output_throughput", "total_token_throughput"):
        assert ours[key] == pytest.approx(getattr(metrics, key), rel=1e-12), key
    for metric in ("ttft", "tpot", "itl", "e2el"):
        for statistic in ("mean", "median", "std"):
            key = f"{statistic}_{metric}_ms"
            assert ours[key] == pytest.approx(getattr(metrics, key), rel=1e-9), key
        for percentile, value in getattr(metrics, f"percentiles_{metric}_ms"):
            assert ours[f"p{percentile}_{metric}_ms"] == pytest.approx(value, rel=1e-9)
