"""Answers as `vllm bench serve --save-detailed` would have written them.

Definitions: vllm/benchmarks/serve.py, calculate_metrics (573-783) and main_async (2250-2290); 0.32.0.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.client import Answer
from harness.replay import NS_PER_S
from sim.request import Requests
from sim.scenario.scenario import Scenario
from sim.scenario.workload import ClosedLoop, Gamma, Poisson, Synthetic

PERCENTILES = (50, 90, 95, 99)
_Ints = NDArray[np.int64]


def bench_json(model: str, scenario: Scenario, requests: Requests, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the result of a run: latencies in ms over the requests that ended well, lists in s over all.

    Args:
        model: as served.
        scenario: its arrivals are quoted.
        requests: what was sent.
        answers: what came back, in the same order.
    """
    rate, burstiness = _arrivals(scenario, requests)
    done = [answer for answer in answers if not answer.error]
    duration = max((answer.chunk_ns[-1] if answer.chunk_ns else answer.sent_ns for answer in answers), default=0)
    seconds = max(duration, 0) / NS_PER_S
    prompts = sum(int(n) for n, answer in zip(requests.prompt_tokens, answers, strict=True) if not answer.error)
    output = sum(answer.tokens for answer in done)
    out: dict[str, Any] = {
        "date": datetime.now().strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "openai",
        "backend": "openai",
        "label": None,
        "model_id": model,
        "tokenizer_id": model,
        "num_prompts": len(answers),
        "request_rate": rate,
        "burstiness": burstiness,
        "max_concurrency": requests.concurrency,
        "duration": seconds,
        "completed": len(done),
        "failed": len(answers) - len(done),
        "total_input_tokens": prompts,
        "total_output_tokens": output,
        "request_throughput": _rate(len(done), seconds),
        "request_goodput": None,
        "output_throughput": _rate(output, seconds),
        "total_token_throughput": _rate(output + prompts, seconds),
        "input_lens": requests.prompt_tokens.tolist(),
        "output_lens": [0 if answer.error else answer.tokens for answer in answers],
        "ttfts": [_ttft_s(answer) for answer in answers],
        "itls": [_gaps_s(answer) for answer in answers],
        "latencies": [_latency_s(answer) for answer in answers],
        "start_times": [max(answer.sent_ns, 0) / NS_PER_S for answer in answers],
        "errors": [answer.error for answer in answers],
    }
    out |= _peaks(done)
    for name, values in _latencies(done).items():
        out |= _statistics(name, values)
    return out


def _arrivals(scenario: Scenario, requests: Requests) -> tuple[float | str, float | None]:
    """Rate as configured, else as drawn, "inf" where nothing spaces the requests out; and the gaps' gamma shape."""
    load = scenario.workload
    arrivals = load.arrivals if isinstance(load, Synthetic) else None
    if isinstance(arrivals, ClosedLoop):
        return "inf", 1.0
    burstiness = 1.0 if isinstance(arrivals, Poisson) else arrivals.burstiness if isinstance(arrivals, Gamma) else None
    stated = getattr(arrivals, "request_rate", None)
    if stated is not None:
        return float(stated), burstiness
    first_turns = requests.arrival_ns[requests.after < 0]
    last_s = float(first_turns.max()) / NS_PER_S
    return ("inf" if last_s == 0 else len(first_turns) / last_s), burstiness


def _ttft_s(answer: Answer) -> float:
    return 0.0 if answer.error else (answer.chunk_ns[0] - answer.sent_ns) / NS_PER_S


def _latency_s(answer: Answer) -> float:
    return 0.0 if answer.error else (answer.chunk_ns[-1] - answer.sent_ns) / NS_PER_S


def _gaps_s(answer: Answer) -> list[float]:
    """Between chunks; several tokens may share one."""
    return [] if answer.error else (np.diff(answer.chunk_ns) / NS_PER_S).tolist()


def _latencies(done: Sequence[Answer]) -> Mapping[str, Sequence[float]]:
    longer = [answer for answer in done if answer.tokens > 1]
    return {
        "ttft": [_ttft_s(answer) for answer in done],
        "tpot": [(_latency_s(answer) - _ttft_s(answer)) / (answer.tokens - 1) for answer in longer],
        "itl": [gap for answer in done for gap in _gaps_s(answer)],
        "e2el": [_latency_s(answer) for answer in done],
    }


def _statistics(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Mean, median, population standard deviation and linear percentiles, ms; 0 of nothing, as vLLM has it."""
    known = 1000 * np.array(seconds or [0.0])
    out = {"mean": known.mean(), "median": np.median(known), "std": known.std()}
    out |= {f"p{percentile}": np.percentile(known, percentile) for percentile in PERCENTILES}
    return {f"{statistic}_{name}_ms": float(value) for statistic, value in out.items()}


def _peaks(done: Sequence[Answer]) -> dict[str, float | int]:
    """Most chunks and most requests in any one second since the first request was sent."""
    origin = min((answer.sent_ns for answer in done), default=0)
    chunks = _seconds([now for answer in done for now in answer.chunk_ns], origin)
    first = _seconds([answer.sent_ns for answer in done], origin)
    last = _seconds([answer.chunk_ns[-1] for answer in done], origin)
    size = int(last.max(initial=0)) + 2
    change = np.bincount(first, minlength=size) - np.bincount(last + 1, minlength=size)
    return {
        "max_output_tokens_per_s": float(np.bincount(chunks, minlength=1).max()),
        "max_concurrent_requests": int(change.cumsum().max()),
        "rtfx": 0.0,
    }


def _seconds(times_ns: Sequence[int], origin_ns: int) -> _Ints:
    found: _Ints = (np.array(times_ns, np.int64) - origin_ns) // NS_PER_S
    return found


def _rate(count: float, seconds: float) -> float | None:
    return count / seconds if seconds > 0 else None
