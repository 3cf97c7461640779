"""Measure a real server on a scenario's own requests, and save the run."""

import asyncio
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np

from harness import realrun, scrape
from harness.bench import bench_json
from harness.client import Answer, Target
from harness.flags import only_pool
from harness.prompts import Prompts
from harness.replay import NS_PER_S, Progress, replay, warm_up
from harness.server import Server, last_words
from harness.vllm_bench import bench_command
from sim import catalog
from sim.errors import InputError
from sim.request import Requests
from sim.scenario.load import Loaded
from sim.workload.draw import draw

_START_IN_S = 1.0
"""Time zero lies so far ahead, that the first request is sent on time."""
_HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Measured:
    """A run that was saved."""

    path: Path
    bench: dict[str, Any]
    """See harness.bench.bench_json."""
    died: str
    """Last words of a server that died during the run."""
    interrupted: bool
    """By Ctrl-C."""
    late_ms: float = 0.0
    """How late the client sent, against the plan: 95th percentile of an open loop's requests."""

    @property
    def failed(self) -> str:
        """Why not every request ended well, in a sentence; empty if all did."""
        errors = [error for error in self.bench.get("errors") or () if error]
        if self.died:
            return f"the server died during the run, {len(errors)} requests have no answer: {self.died}"
        if self.interrupted:
            return f"interrupted, {len(errors)} requests have no answer"
        if not errors:
            return ""
        common = max(sorted(set(errors)), key=errors.count)
        return f"{len(errors)} of {len(self.bench['errors'])} requests failed, most of them with: {common}"


def measure(loaded: Loaded, server: Server, out: Path, progress: Progress, *, replication: int = 0) -> Measured:
    """Replay one replication of a scenario's requests against a running server and save what came of it.

    A server that dies or a Ctrl-C ends the run early; what was measured is saved all the same.

    Args:
        loaded: the scenario.
        server: that serves its model.
        out: directory to write, which must not hold anything.
        progress: called every few seconds with requests ended and all.
        replication: which of the scenario's replications to send.

    Raises:
        InputError: the server does not answer, or `out` cannot be written.
    """
    scenario = loaded.scenario
    requests = draw(scenario, scenario.run.seed, replication, loaded.base_dir)
    vocabulary = catalog.model(only_pool(scenario).model or scenario.model, loaded.base_dir).vocab_size
    about = _about(loaded, server, replication)
    model, about["max_model_len"] = scrape.served_model(server.base_url)
    target = Target(server.base_url, model, uuid4().hex)
    answers = [Answer() for _ in range(len(requests))]
    prompts = Prompts(requests, vocabulary)
    asyncio.run(warm_up(target, vocabulary))
    start_ns = time.monotonic_ns() + round(_START_IN_S * NS_PER_S)
    interrupted = False
    with scrape.Scraper(server.base_url, start_ns) as scraper:
        try:
            asyncio.run(replay(target, requests, prompts, answers, start_ns, progress, lambda: server.died))
        except KeyboardInterrupt:
            interrupted = True
    series = scraper.series()
    died = last_words(server.log) if server.died else ""
    bench = bench_json(model, scenario, requests, answers)
    tables = {
        "requests": realrun.request_table(requests, answers),
        "tokens": realrun.token_table(answers),
        "series": realrun.series_table(series),
    }
    realrun.write(out, _documents(loaded, bench, about, series, died), tables, server.log)
    return Measured(out, bench, died, interrupted, _late_ms(requests, answers))


def measure_with_vllm_bench(loaded: Loaded, server: Server, out: Path, *, replication: int = 0) -> Measured:
    """Have vLLM's own client send an equivalent load; its JSON is the run's bench.json.

    Its requests are its own draws: there are no tables of requests and tokens.

    Raises:
        InputError: it cannot send such a load, it fails, or `out` cannot be written.
    """
    about = _about(loaded, server, replication)
    model, about["max_model_len"] = scrape.served_model(server.base_url)
    with tempfile.TemporaryDirectory() as folder, scrape.Scraper(server.base_url, time.monotonic_ns()) as scraper:
        result = Path(folder) / "bench.json"
        command = bench_command(loaded.scenario, server.base_url, model, result, replication)
        code = subprocess.run(command, check=False).returncode
        if code or not result.is_file():
            raise InputError(f"vllm bench serve failed (exit code {code}), its own words are above")
        bench = json.loads(result.read_text(encoding="utf-8"))
    series = scraper.series()
    died = last_words(server.log) if server.died else ""
    documents = _documents(loaded, bench, about, series, died)
    realrun.write(out, documents, {"series": realrun.series_table(series)}, server.log)
    return Measured(out, bench, died, interrupted=False)


def gpu_name() -> str:
    """Name of the GPUs as nvidia-smi gives it, or of the CPU."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.split("\n")
        return ", ".join(name for name in names if name)
    except (OSError, subprocess.SubprocessError):
        return _cpu_name()


def _late_ms(requests: Requests, answers: Sequence[Answer]) -> float:
    sent_ns = np.array([answer.sent_ns for answer in answers])
    planned = (requests.after < 0) & (sent_ns >= 0)
    if requests.concurrency is not None or not planned.any():
        return 0.0
    return float(np.percentile((sent_ns - requests.arrival_ns)[planned], 95)) / 1e6


def _about(loaded: Loaded, server: Server, replication: int) -> dict[str, Any]:
    """What is known of the server before the run; it may die during it."""
    host = urlsplit(server.base_url).hostname
    return {
        "vllm_version": scrape.version(server.base_url),
        "gpu": gpu_name() if host in _HERE else f"unknown, on {host}",
        "flags": list(server.flags),
        "base_url": server.base_url,
        "attached": server.process is None,
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "start_up_s": server.started_s,
        "seed": loaded.scenario.run.seed,
        "replication": replication,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _documents(
    loaded: Loaded, bench: dict[str, Any], about: dict[str, Any], series: scrape.Series, died: str
) -> dict[str, dict[str, Any]]:
    cache = series.last("vllm:cache_config_info")
    for key in ("num_gpu_blocks", "block_size"):
        text = cache.get(key, "")
        about[key] = int(text) if text.isdigit() else None
    about["died"] = died
    return {"bench": bench, "scenario": _portable(loaded), "server": about}


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or 'unknown CPU'}, {os.cpu_count()} cores"


def _portable(loaded: Loaded) -> dict[str, Any]:
    """The scenario as JSON data, a model from a config.json by its absolute path."""
    data = loaded.scenario.model_dump(mode="json")
    return (
        data
        if data["model"] in catalog.model_ids()
        else data | {"model": str((loaded.base_dir / data["model"]).resolve())}
    )
