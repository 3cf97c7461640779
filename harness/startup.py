"""Start-up of a server in stages: what a replica that failed costs before it serves again."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from harness import scrape
from harness.measure import gpu_name
from harness.server import READY_TIMEOUT_S, Server, serve
from sim.errors import InputError
from sim.scenario.load import Loaded

STAGES: Mapping[str, str] = {
    "weights_s": r"Loading weights took ([\d.]+) seconds",
    "model_s": r"Model loading took [\d.]+ GiB memory and ([\d.]+) seconds",
    "compile_s": r"torch\.compile (?:and initial profiling/warmup run together )?took ([\d.]+) s in total",
    "graph_capture_s": r"(?<!Encoder )Graph capturing finished in ([\d.]+) secs",
    "engine_init_s": r"init engine \(profile, create kv cache, warmup model\) took ([\d.]+) s",
}
"""Stage -> its line in the log of vLLM 0.32.0: model_executor/model_loader/default_loader.py:502,
v1/worker/gpu_model_runner.py:5150, compilation/monitor.py:20 and decorators.py:707, v1/worker/gpu_model_runner.py:6582,
v1/engine/core.py:386. model_s contains weights_s; engine_init_s contains compile_s and graph_capture_s. Random weights
are not loaded, and an eager engine neither compiles nor captures: no line."""
_ENGINE_STARTS = re.compile(r"INFO (\d\d-\d\d \d\d:\d\d:\d\d) .*Initializing a V1 LLM engine \(v")
"""v1/engine/core.py:133; with the time of day as vllm/logger.py:33 writes it."""
_PROMPT = [300, 301, 302]
_FIRST_TOKEN_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Startup:
    """One start, seconds; None: the engine has no such stage, or does not tell."""

    process_s: float | None
    """From the start of the process until the engine begins: Python and imports. To a second, as the log's times."""
    weights_s: float | None
    model_s: float | None
    compile_s: float | None
    graph_capture_s: float | None
    engine_init_s: float | None
    healthy_s: float
    """From the start of the process to the first good /health."""
    first_token_s: float
    """From the start of the process to the first token, streamed, of the first request."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Several starts of one server. The first finds caches (of files, of compiled graphs) as they were, others warm."""

    version: str
    flags: tuple[str, ...]
    starts: tuple[Startup, ...]


def start(
    loaded: Loaded, extra: Sequence[str], log: Path, ready_timeout_s: float = READY_TIMEOUT_S
) -> tuple[Startup, str, tuple[str, ...]]:
    """Start the scenario's server, stream one token from it, stop it.

    Args:
        loaded: the scenario.
        extra: further flags of `vllm serve`.
        log: file for all that the server says.
        ready_timeout_s: how long it may take to become healthy.

    Returns:
        The stages, the version of vLLM, and the server's flags.

    Raises:
        InputError: vLLM is missing, the server does not become healthy or gives no token.
    """
    began = datetime.now()  # the log's times are local
    with serve(loaded.scenario, loaded.base_dir, extra, log, ready_timeout_s=ready_timeout_s) as server:
        first_token_s = server.started_s + _first_token_s(server)
        version = scrape.version(server.base_url)
    told = stages(log.read_text(encoding="utf-8", errors="replace"), began)
    return Startup(**told, healthy_s=server.started_s, first_token_s=first_token_s), version, server.flags


def stages(log: str, began: datetime) -> dict[str, float | None]:
    """Read the stages from a server's log; of ranks that load side by side the slowest counts.

    Args:
        log: all that it said.
        began: when its process was started, local time.
    """
    found: dict[str, list[float]] = {
        name: [float(one) for one in re.findall(pattern, log)] for name, pattern in STAGES.items()
    }
    return {"process_s": _process_s(log, began), **{name: max(all_, default=None) for name, all_ in found.items()}}


def report(loaded: Loaded, starts: Starts) -> dict[str, Any]:
    """All starts and their medians, with what they were of, as JSON data."""
    names = Startup.__dataclass_fields__
    known = {name: [v for v in (getattr(one, name) for one in starts.starts) if v is not None] for name in names}
    return {
        "model": loaded.scenario.model,
        "gpu": gpu_name(),
        "vllm_version": starts.version,
        "flags": list(starts.flags),
        "date": datetime.now(UTC).date().isoformat(),
        "repeats": len(starts.starts),
        "median": {name: round(median(values), 3) if values else None for name, values in known.items()},
        "starts": [asdict(one) for one in starts.starts],
    }


def _process_s(log: str, began: datetime) -> float | None:
    found = _ENGINE_STARTS.search(log)
    if found is None:
        return None
    # The log leaves the year out; the engine may begin in the next.
    year = began.year + (began.month == 12 and found[1].startswith("01"))
    at = datetime.strptime(f"{year}-{found[1]}", "%Y-%m-%d %H:%M:%S")
    return max(0.0, round((at - began.replace(microsecond=0)).total_seconds(), 1))


def _first_token_s(server: Server) -> float:
    """Seconds from now to the first token of a short prompt."""
    began = time.monotonic()
    model, _ = scrape.served_model(server.base_url)
    body = {"model": model, "prompt": _PROMPT, "max_tokens": 1, "temperature": 0, "ignore_eos": True, "stream": True}
    request = urllib.request.Request(
        f"{server.base_url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_FIRST_TOKEN_TIMEOUT_S) as answer:
            for line in answer:
                if line.startswith(b"data:") and b"[DONE]" not in line:
                    return time.monotonic() - began
    except (OSError, urllib.error.URLError) as error:
        raise InputError(f"{server.base_url}: found no first token ({error}), expected a streamed completion") from None
    raise InputError(f"{server.base_url}: found an empty answer, expected a streamed token")
