"""Public tables of measured serving points, read critically, as points to fit.

The table is aiconfigurator's collection of InferenceMAX and its own results (columns backend, backend_version,
model_path, system, precision, mode, isl, osl, batch_size, tp_size, pp_size, attention_dp_size, moe_ep_size,
silicon_ttft_ms, silicon_tpot_ms, ...). InferenceMAX's public scripts: closed loop at batch_size requests, all slots
starting at once, ten times as many requests in all, input and output lengths uniform in [0.8 L, L], means over all
requests, the first wave included; vLLM with a budget of 8192 tokens.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate.points import Point
from sim import catalog
from sim.errors import InputError
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario

COLUMNS = (
    "backend", "backend_version", "model_path", "system", "mode", "isl", "osl", "batch_size", "tp_size", "pp_size",
    "attention_dp_size", "moe_ep_size", "silicon_ttft_ms", "silicon_tpot_ms",
)  # fmt: skip
MODELS = {
    "meta-llama/Llama-3.1-70B": "llama-3.1-70b",
    "Qwen/Qwen3-32B": "qwen3-32b",
    "deepseek-ai/DeepSeek-R1": "deepseek-r1",
    "deepseek-ai/DeepSeek-V3": "deepseek-r1",
}
"""Catalogue ids; R1 is V3 further trained, so its step times are the same."""
SYSTEMS = {"h100_sxm": "h100-sxm-80gb", "h200_sxm": "h200-sxm-141gb"}
REQUESTS_PER_SLOT = 10
SHORTEST = 0.8
"""Share of the nominal length that the shortest request has."""

Row = Mapping[str, str]
COUNTS = ("isl", "osl", "batch_size", "tp_size")
RESULTS = ("silicon_ttft_ms", "silicon_tpot_ms")
OPTIONAL_COUNTS = ("attention_dp_size", "moe_ep_size")
"""Empty means 1."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a table offers, and what it lost on the way."""

    points: tuple[Point, ...]
    dropped: tuple[str, ...]
    """A sentence a reason, with the number of rows."""


def read(path: Path, where: Mapping[str, str]) -> Table:
    """Read the rows whose columns have the values of `where` (a model by its catalogue id or its last part).

    Raises:
        InputError: the file is missing or malformed, or no row fits.
    """
    rows = [row for row in _rows(path) if all(_matches(path, row, key, value) for key, value in where.items())]
    dropped: dict[str, int] = {}
    points: list[Point] = []
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        reason = _impossible(row)
        result = (row["backend"], round(float(row["silicon_ttft_ms"]), 6), round(float(row["silicon_tpot_ms"]), 6))
        if reason is None and result in seen:
            reason = "the same result under another label (DeepSeek-V3 for R1, a later collection): counted once"
        if reason is not None:
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        seen.add(result)
        points.append(_point(row))
    if not points:
        wanted = ", ".join(f"{key}={value}" for key, value in where.items()) or "any"
        raise InputError(f"{path}: found no usable row for {wanted}, expected at least one")
    return Table(tuple(points), tuple(f"{count} rows: {reason}" for reason, count in dropped.items()))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputError(
                    f"{path}: expected the columns {', '.join(COLUMNS)}, found no {', '.join(sorted(missing))}"
                )
            return [_checked(f"{path}: line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a readable CSV of serving points, found {error}") from None


def _checked(where: str, row: dict[str, str]) -> dict[str, str]:
    """The row, if the numbers of an aggregated point are numbers."""
    if row["mode"] != "agg":
        return row
    for key in (*COUNTS, *OPTIONAL_COUNTS):
        text = row[key] or ("1" if key in OPTIONAL_COUNTS else "")
        if not (text.isascii() and text.isdigit() and 0 < int(text[:8]) <= 1_000_000):
            raise InputError(f"{where}: {key}: found {text!r}, expected an integer from 1 to 1000000")
    for key in RESULTS:
        try:
            good = 0 < float(row[key]) < 1e9
        except (TypeError, ValueError):
            good = False
        if not good:
            raise InputError(f"{where}: {key}: found {row[key]!r}, expected milliseconds above 0")
    return row


def _matches(path: Path, row: Row, key: str, value: str) -> bool:
    if key == "model":
        return value in {MODELS.get(row["model_path"]), row["model_path"], row["model_path"].split("/")[-1]}
    if key not in row:
        raise InputError(f"--where {key}: {path} has no such column, expected model or one of {', '.join(COLUMNS)}")
    return row[key] == value


def _impossible(row: Row) -> str | None:
    """Why a row cannot be used, or None."""
    if row["mode"] != "agg":
        return "prefill and decode on separate engines, which step times alone do not describe"
    if row["model_path"] not in MODELS or row["system"] not in SYSTEMS:
        return "a model or GPU that the catalogue does not have"
    gpu = catalog.gpu(SYSTEMS[row["system"]])
    if int(row["tp_size"]) > gpu.gpus_per_node or int(row["attention_dp_size"] or 1) > gpu.gpus_per_node:
        return f"impossible layout: more ranks than the node's {gpu.gpus_per_node} GPUs under one-node latencies"
    if int(row["attention_dp_size"] or 1) > 1:
        return "data-parallel attention, which is not modelled"
    return None


def _point(row: Row) -> Point:
    gpu, model = SYSTEMS[row["system"]], MODELS[row["model_path"]]
    tp, ep, concurrency = int(row["tp_size"]), int(row["moe_ep_size"] or 1), int(row["batch_size"])
    scenario = Scenario.model_validate(
        {
            "schema_version": 1,
            "name": "point",
            "model": model,
            "workload": {
                "kind": "synthetic",
                "num_prompts": REQUESTS_PER_SLOT * concurrency,
                "arrivals": {"kind": "closed_loop", "concurrency": concurrency},
                "lengths": {
                    "kind": "separate",
                    "input": _uniform(int(row["isl"])),
                    "output": _uniform(int(row["osl"])),
                },
            },
            "engine": _engine(row, model, ep),
            "fleet": [{"pool": "measured", "gpu": gpu, "tensor_parallel_size": tp}],
            "run": {"replications": 1},
        }
    )
    text = json.dumps(scenario.model_dump(mode="json"), sort_keys=True)
    layout = f"TP{tp}" + (f" EP{ep}" if ep > 1 else "")
    return Point(
        name=f"{model} {gpu} {layout} {row['isl']}/{row['osl']} c={concurrency}",
        loaded=Loaded(scenario, Path("point.yaml"), (), hashlib.sha256(text.encode()).hexdigest()),
        measured={"ttft": float(row["silicon_ttft_ms"]), "tpot": float(row["silicon_tpot_ms"])},
        groups={"concurrency": str(concurrency), "tensor_parallel_size": str(tp), "gpu": gpu},
    )


def _uniform(longest: int) -> dict[str, Any]:
    """Lengths uniform in [0.8 L, L], in the scenario's words: middle and ratio."""
    middle = round(longest * (1 + SHORTEST) / 2)
    return {"kind": "uniform", "tokens": middle, "range_ratio": round((longest - middle) / middle, 4)}


def _engine(row: Row, model: str, expert_parallel: int) -> dict[str, Any]:
    """Flags of the measured servers, as far as they are public; prompts are random, so nothing hits a prefix cache."""
    engine: dict[str, Any] = {
        "max_num_batched_tokens": 8192,
        "max_num_seqs": 256,
        "enable_prefix_caching": False,
        "max_model_len": max(4096, int(row["isl"]) + int(row["osl"])),
    }
    if model == "llama-3.1-70b":  # KV cache bf16 on H100 and fp8 on H200
        engine |= {"quantization": "fp8", "kv_cache_dtype": "fp8" if row["system"] == "h200_sxm" else "auto"}
    if model == "qwen3-32b":  # vLLM 0.12: async scheduling not yet the default
        engine |= {"async_scheduling": False}
    if model.startswith("deepseek"):
        engine |= {"kv_cache_dtype": "fp8", "gpu_memory_utilization": 0.95}
        engine |= {"enable_expert_parallel": expert_parallel > 1}
    return engine


def groups(points: Sequence[Point]) -> dict[str, list[str]]:
    """Groupings with at least two values, and the values."""
    found: dict[str, dict[str, None]] = {}
    for point in points:
        for key, value in point.groups.items():
            found.setdefault(key, {})[value] = None
    return {key: list(values) for key, values in found.items() if len(values) > 1}
