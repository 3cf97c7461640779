"""The server's own numbers: /metrics as time series, /version, /v1/models."""

import http.client
import json
import re
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from sim.errors import InputError

EVERY_S = 1.0
_SETTLE_S = 0.3
"""The engine books a request just after its last token has left."""
_KEPT = re.compile(r"^vllm:(?![^{ ]*_(?:bucket|created)[{ ]).*$", re.MULTILINE)
"""Samples of vLLM's own metrics. Histograms are too coarse for percentiles; their sums and counts give exact means."""


@dataclass(slots=True)
class Series:
    """Samples of every vllm:* metric; columns of equal length."""

    time_ns: list[int] = field(default_factory=list)
    """Since the start of the run."""
    name: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    """JSON."""
    value: list[float] = field(default_factory=list)

    def last(self, name: str) -> dict[str, str]:
        """Labels of the latest sample of a metric; empty if there is none."""
        for i in range(len(self.name) - 1, -1, -1):
            if self.name[i] == name:
                found: dict[str, str] = json.loads(self.labels[i])
                return found
        return {}


class Scraper:
    """Samples /metrics in a thread of its own: before the context is entered, every second, and at its end.

    Pages are taken apart at the end: reading one would hold up the client that times the tokens.
    """

    def __init__(self, base_url: str, start_ns: int) -> None:
        """Take the server, and the run's time zero (of time.monotonic_ns)."""
        self._url = f"{base_url}/metrics"
        self._start_ns = start_ns
        self._pages: list[tuple[int, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Scraper":
        """Take the first sample and begin."""
        require_parser()
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the last sample."""
        self._stop.set()
        self._thread.join()
        time.sleep(_SETTLE_S)
        self._sample()

    def series(self) -> Series:
        """Return all samples so far."""
        series = Series()
        for now, page in self._pages:
            try:
                samples = parse(page)
            except ValueError:  # cut short: a gap in the series
                continue
            for name, labels, value in samples:
                series.time_ns.append(now)
                series.name.append(name)
                series.labels.append(json.dumps(labels, sort_keys=True))
                series.value.append(value)
        return series

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._sample()

    def _sample(self) -> None:
        try:
            page = get(self._url)
        except InputError:  # the server is busy or gone: a gap in the series
            return
        self._pages.append((time.monotonic_ns() - self._start_ns, "\n".join(_KEPT.findall(page))))


def parse(text: str) -> list[tuple[str, dict[str, str], float]]:
    """Name, labels and value of each sample of a Prometheus page."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  # optional

    return [
        (sample.name, dict(sample.labels), float(sample.value))
        for family in text_string_to_metric_families(text + "\n")
        for sample in family.samples
    ]


def require_parser() -> None:
    """Refuse to go on without the parser.

    Raises:
        InputError: with the command that installs it.
    """
    try:
        import prometheus_client  # noqa: F401, PLC0415
    except ImportError:
        raise InputError('scraping needs the package prometheus-client: pip install "trilemma[harness]"') from None


def get(url: str) -> str:
    """GET a page.

    Raises:
        InputError: it does not answer.
    """
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode("utf-8", errors="replace"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(f"{url} does not answer: {type(error).__name__} {error}") from None


def version(base_url: str) -> str:
    """Version that the server reports."""
    return str(_json(f"{base_url}/version").get("version", "unknown"))


def served_model(base_url: str) -> tuple[str, int | None]:
    """Name of the model, and the longest context that it serves.

    Raises:
        InputError: the server does not say.
    """
    models = _json(f"{base_url}/v1/models").get("data")
    first = models[0] if isinstance(models, list) and models else None
    if not isinstance(first, dict) or not isinstance(first.get("id"), str):
        raise InputError(f"{base_url}/v1/models: found no model, expected one")
    longest = first.get("max_model_len")
    return first["id"], longest if isinstance(longest, int) else None


def _json(url: str) -> dict[str, Any]:
    try:
        found = json.loads(get(url))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{url}: found no JSON, expected an object") from None
    return found if isinstance(found, dict) else {}
