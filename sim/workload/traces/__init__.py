"""Trace formats and their readers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sim.workload import Streams
from sim.workload.traces import azure, burstgpt, hashed, plain, servegen, vllm_bench
from sim.workload.traces.rows import Row


@dataclass(frozen=True, slots=True)
class Format:
    """How a trace is read."""

    read: Callable[[Path, Streams], Iterator[Row]]
    rising: bool = True
    """Requests stand in the order in which they were sent; if not, all are read and sorted."""
    block_tokens: int = 1
    """Tokens of a content block."""


def _recorded(reader: Callable[[Path], Iterator[Row]]) -> Callable[[Path, Streams], Iterator[Row]]:
    return lambda path, _: reader(path)


FORMATS = {
    "azure": Format(_recorded(azure.read)),
    "mooncake": Format(_recorded(hashed.read_mooncake), block_tokens=hashed.MOONCAKE_BLOCK),
    "qwen-bailian": Format(_recorded(hashed.read_bailian), rising=False, block_tokens=hashed.BAILIAN_BLOCK),
    "burstgpt": Format(_recorded(burstgpt.read), rising=False),
    "servegen": Format(servegen.read),
    "vllm-bench": Format(_recorded(vllm_bench.read), rising=False),
    "csv": Format(_recorded(plain.read)),
}
