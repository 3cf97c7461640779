"""vLLM bench's result JSON: one schema for real results and ours, and ours written in it."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.metrics import answer_tokens
from sim.report.measure import PERCENTILES, percentile_key
from sim.report.summary import Summary
from sim.result import Outcome, Replication, Run
from sim.units import NS_PER_S

METRICS = ("ttft", "tpot", "itl", "e2el")

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_LISTS = ("input_lens", "output_lens", "ttfts", "latencies", "start_times", "errors")
_ERRORS = {
    Outcome.FINISHED: "",
    Outcome.REJECTED: "rejected: prompt + max_tokens exceeds max_model_len",
    Outcome.IN_FLIGHT: "unfinished when the clock stopped",
    Outcome.NOT_SENT: "not sent when the clock stopped",
    Outcome.FAILED: "lost with its replica, or no replica was ready (HTTP 503)",
    Outcome.SHED: "shed by admission (HTTP 503)",
    Outcome.TIMED_OUT: "the client's time-out passed",
    Outcome.FORGOTTEN: "dropped from the queue by the batcher",
}
_OMITTED = {
    "itls": "inter-token latencies are kept as one multiset for all requests; their statistics above are exact",
    "queue_times": "simulated clients send when they may and do not queue",
    "generated_texts": "no text is generated",
}


class BenchResult(BaseModel):
    """`vllm bench serve --save-result [--save-detailed]` (benchmarks/serve.py:1280-1345, 2250-2290; 0.32.0).

    Keys of metrics and percentiles that were asked for, and `--metadata`, come beside these; no number is NaN.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    date: Annotated[str, Field(pattern=r"^\d{8}-\d{6}$")]
    endpoint_type: str
    backend: str
    label: str | None
    model_id: str
    tokenizer_id: str | None
    num_prompts: int
    request_rate: _Finite | Literal["inf"]
    burstiness: _Finite | None
    """Shape of the gamma arrivals; null where the arrivals are no gamma process."""
    max_concurrency: int | None
    duration: _Finite
    completed: int
    failed: int
    total_input_tokens: int
    total_output_tokens: int
    request_throughput: _Finite | None
    request_goodput: _Finite | None
    output_throughput: _Finite | None
    total_token_throughput: _Finite | None
    max_output_tokens_per_s: _Finite
    max_concurrent_requests: int
    rtfx: _Finite = 0.0
    input_lens: list[int] | None = None
    output_lens: list[int] | None = None
    ttfts: list[_Finite] | None = None
    itls: list[list[_Finite]] | None = None
    latencies: list[_Finite] | None = None
    start_times: list[_Finite] | None = None
    queue_times: list[_Finite] | None = None
    generated_texts: list[str] | None = None
    errors: list[str | None] | None = None
    capacity: dict[str, Any] | None = None
    """What only the simulator knows: intervals, queueing, utilisation, cost, provenance."""

    @model_validator(mode="after")
    def _whole(self) -> "BenchResult":
        for key, value in (self.model_extra or {}).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key} is {value}")
        for key in _LISTS:
            length = len(getattr(self, key) or ())
            if length not in (0, self.num_prompts):
                raise ValueError(f"{key} has {length} entries for {self.num_prompts} requests")
        return self


def to_bench_json(run: Run, summary: Summary, *, detailed: bool = False) -> dict[str, Any]:
    """Write a run as vLLM bench would, with ours under `capacity`.

    Numbers are means over replications (counts rounded); lists are of the first replication, in the order of the
    requests' columns, and stand only in a `detailed` result. `date` is the provenance's, or now.
    """
    requests = run.replications[0].requests
    rate, burstiness = _arrivals(run, summary)
    out: dict[str, Any] = {
        "date": run.provenance.get("date") or datetime.now().strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "sim",
        "backend": "sim",
        "label": None,
        "model_id": summary.model,
        "tokenizer_id": summary.model,
        "num_prompts": len(requests),
        "request_rate": rate,
        "burstiness": burstiness,
        "max_concurrency": requests.concurrency,
        "duration": summary["duration"].mean,
    }
    for key in ("completed", "failed", "total_input_tokens", "total_output_tokens"):
        out[key] = round(summary[key].mean or 0)
    for key in ("request_throughput", "request_goodput", "output_throughput", "total_token_throughput"):
        out[key] = summary[key].mean
    if detailed:
        out |= _lists(run.replications[0])
    out["max_output_tokens_per_s"] = summary["max_output_tokens_per_s"].mean
    out["max_concurrent_requests"] = round(summary["max_concurrent_requests"].mean or 0)
    out["rtfx"] = 0.0
    for metric in METRICS:
        keys = [f"{statistic}_{metric}_ms" for statistic in ("mean", "median", "std")]
        keys += [percentile_key(one, metric) for one in PERCENTILES]
        out |= {key: summary[key].mean for key in keys}
    out["capacity"] = _capacity(run, summary, detailed=detailed)
    return out


def _arrivals(run: Run, summary: Summary) -> tuple[float | Literal["inf"], float | None]:
    """Rate as configured, else as realised; "inf" where nothing spaces the requests out."""
    workload: Any = run.scenario["workload"]
    arrivals: Mapping[str, Any] = workload.get("arrivals") or {}
    if arrivals.get("kind") == "closed_loop":
        return "inf", 1.0
    burstiness = 1.0 if arrivals.get("kind") == "poisson" else arrivals.get("burstiness")
    rate = arrivals.get("request_rate") or summary["offered_rate"].mean
    return ("inf" if rate is None else rate), burstiness


def _lists(one: Replication) -> dict[str, list[Any]]:
    done = one.outcome == Outcome.FINISHED
    sent = one.sent_ns
    return {
        "input_lens": one.requests.prompt_tokens.tolist(),
        "output_lens": np.where(done, answer_tokens(one), 0).tolist(),
        "ttfts": np.where(done, (one.first_token_ns - sent) / NS_PER_S, 0.0).tolist(),
        "latencies": np.where(done, (one.last_token_ns - sent) / NS_PER_S, 0.0).tolist(),
        "start_times": (np.maximum(sent, 0) / NS_PER_S).tolist(),
        "errors": [_ERRORS[Outcome(outcome)] for outcome in one.outcome.tolist()],
    }


def _capacity(run: Run, summary: Summary, *, detailed: bool) -> dict[str, Any]:
    approximate = {"max_output_tokens_per_s": "tokens are spread evenly between a request's first and last"}
    out: dict[str, Any] = {"summary": summary.to_json(), "provenance": dict(run.provenance), "approximate": approximate}
    if detailed:
        out |= {"lists_of_replication": 0, "omitted": _OMITTED}
    return out
