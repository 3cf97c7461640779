"""A what-if: a scenario with what the scenario bar says over it, as plain data and as YAML."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

import yaml

from sim import catalog
from sim.errors import InputError
from sim.study.candidates import RECLAIMS

Data = dict[str, Any]
"""A scenario as its YAML has it: only what is stated."""

HEADER = "# yaml-language-server: $schema=./schema.json\n"
MAX_TEXT = 100_000
"""Characters of a scenario that a link carries."""

KEEP = "scenario"
"""The choice that leaves the scenario's own."""


def _spot(gpu: str, gpus: int) -> Data:
    """The bar's spot market, as `trilemma plan` has it: its reclaims, and a node's replicas to spare."""
    spare = max(catalog.gpu(gpu).gpus_per_node // gpus, 1)
    return {"reclaims": {"kind": "hazard", "preset": RECLAIMS}, "over_provision": spare}


def _lengths(prompt: int, output: int) -> Data:
    return {
        "kind": "separate",
        "input": {"kind": "uniform", "tokens": prompt, "range_ratio": 0.2},
        "output": {"kind": "uniform", "tokens": output, "range_ratio": 0.2},
    }


LENGTHS: Mapping[str, Data] = {
    "chat": {"kind": "empirical", "table": "azure2023-conv"},
    "code": {"kind": "empirical", "table": "azure2023-code"},
    "1k/1k": _lengths(1024, 1024),
    "1k/8k": _lengths(1024, 8192),
    "8k/1k": _lengths(8192, 1024),
}
"""Azure's traces of 2023, and the cells of InferenceMAX (input/output tokens, within 20 %)."""

SLOS: Mapping[str, Mapping[str, float]] = {
    "interactive 450/40": {"ttft_ms": 450.0, "tpot_ms": 40.0},
    "reasoning 2000/80": {"ttft_ms": 2000.0, "tpot_ms": 80.0},
    "server 2000/200": {"ttft_ms": 2000.0, "tpot_ms": 200.0},
}
"""TTFT/TPOT in ms as MLPerf Inference limits them (recalled): Llama-2-70B interactive (5.0), DeepSeek-R1 (5.1),
Llama-2-70B (4.0)."""

_RATES = {
    "poisson": "request_rate",
    "gamma": "request_rate",
    "constant": "request_rate",
    "ramp": "end_rate",
    "diurnal": "mean_rate",
    "on_off": "on_rate",
    "closed_loop": "concurrency",
}
_RATE_LABELS = {
    "ramp": "Rate at the end, requests/s",
    "diurnal": "Mean rate, requests/s",
    "on_off": "Rate of bursts, requests/s",
    "closed_loop": "Requests in flight",
    "trace": "Times as fast as recorded",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """What the scenario bar says."""

    model: str
    gpu: str
    tp: int
    replicas: int
    spot: int
    """Replicas on the spot market, in per cent."""
    rate: float
    lengths: str = KEEP
    slo: str = KEEP


KEYS = tuple(field.name for field in fields(Bar))
"""Parameters of a link, by what they set."""


def changes(base: Data, bar: Bar) -> dict[str, str]:
    """What the bar says otherwise than the scenario, as parameters of a link."""
    was, found = bar_of(base), {}
    for key in KEYS:
        if (mine := getattr(bar, key)) != getattr(was, key):
            found[key] = repr(mine).removesuffix(".0") if isinstance(mine, float) else str(mine)
    return found


def bar_of(data: Data) -> Bar:
    """What the bar says of a scenario that it leaves as it is."""
    pool = data["fleet"][0]
    return Bar(
        model=data["model"],
        gpu=pool["gpu"],
        tp=pool.get("tensor_parallel_size", 1),
        replicas=pool.get("replicas", 1),
        spot=100 if pool.get("market") == "spot" else 0,
        rate=_rate(data["workload"]),
    )


def rate_label(data: Data) -> str:
    """What the bar's rate is, for this kind of traffic."""
    return _RATE_LABELS.get(_traffic(data["workload"]), "Request rate, requests/s")


def applied(data: Data, bar: Bar) -> Data:
    """Return the scenario with what the bar says otherwise; what it leaves is left untouched.

    Raises:
        InputError: the bar asks for something that cannot be.
    """
    was, data = bar_of(data), deepcopy(data)
    if bar.rate <= 0:
        raise InputError("At a rate of 0 nothing is asked of the fleet: choose a rate above 0.")
    if bar.model != was.model:
        data["model"] = bar.model
        data.get("engine", {}).pop("dtype", None)  # each checkpoint has its own
    if bar.rate != was.rate:
        workload = data["workload"]
        if workload["kind"] == "trace":
            workload["rate_scale"] = bar.rate
        else:
            arrivals = workload["arrivals"]
            closed = arrivals["kind"] == "closed_loop"
            arrivals[_RATES[arrivals["kind"]]] = max(round(bar.rate), 1) if closed else bar.rate
    if bar.lengths != KEEP and data["workload"]["kind"] == "synthetic":
        data["workload"]["lengths"] = deepcopy(LENGTHS[bar.lengths])
    if bar.slo != KEEP:
        data["slo"] = {**data.get("slo", {}), **SLOS[bar.slo]}
    data["fleet"] = fleet(data, bar.gpu, bar.tp, bar.replicas, bar.spot)
    return data


def fleet(data: Data, gpu: str, tp: int, replicas: int, spot: int) -> list[Data]:
    """The scenario's fleet with its first pool as told; of its replicas `spot` per cent are on the spot market."""
    first, *rest = deepcopy(data["fleet"])
    was = 100 if first.get("market") == "spot" else 0
    if first["gpu"] != gpu:  # a price is of one kind of GPU
        first.pop("usd_per_gpu_hour", None)
        if first.pop("owned", None) or first.get("market") == "reserved":
            first["market"] = "on_demand"
    first |= {"gpu": gpu, "tensor_parallel_size": tp, "replicas": replicas}
    if spot == was:
        return [first, *rest]
    reclaimed = round(replicas * spot / 100)
    gpus = tp * first.get("pipeline_parallel_size", 1)
    steady = {key: value for key, value in first.items() if key != "spot"} | {"market": "on_demand"}
    if was == 0 and "market" in first:
        steady["market"] = first["market"]
    fickle = {key: value for key, value in first.items() if key not in ("owned", "usd_per_gpu_hour")}
    fickle |= {"pool": f"{first['pool']}-spot", "market": "spot", "spot": first.get("spot") or _spot(gpu, gpus)}
    split = [steady | {"replicas": replicas - reclaimed}, fickle | {"replicas": reclaimed}]
    return [*(pool for pool in split if pool["replicas"]), *rest]


def to_yaml(data: Data) -> str:
    """The scenario as a file that `trilemma run` takes."""
    return HEADER + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def pack(text: str) -> str:
    """A scenario's text as a parameter of a link."""
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpack(code: str) -> str:
    """The text that a link carries.

    Raises:
        InputError: it was cut or is none of ours, or it unpacks to more than `MAX_TEXT`.
    """
    try:
        packed = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        inflate = zlib.decompressobj()
        text = inflate.decompress(packed, MAX_TEXT)
        whole = text.decode() if inflate.eof else None
    except (binascii.Error, zlib.error, ValueError):
        raise InputError("The link's scenario is damaged: copy the whole link once more.") from None
    if whole is None:
        raise InputError(f"The link's scenario is cut or longer than {MAX_TEXT:,} characters.")
    return whole


def _traffic(workload: Data) -> str:
    return "trace" if workload["kind"] == "trace" else str(workload["arrivals"]["kind"])


def _rate(workload: Data) -> float:
    if workload["kind"] == "trace":
        return float(workload.get("rate_scale", 1.0))
    arrivals = workload["arrivals"]
    return float(arrivals[_RATES[arrivals["kind"]]])
