"""`trilemma measure`: the real server on a scenario's own requests."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import realrun, scrape
from harness.client import require_aiohttp
from harness.flags import model_path, serve_flags
from harness.measure import Measured, measure, measure_with_vllm_bench
from harness.server import READY_TIMEOUT_S, Server, attach, command, serve
from harness.vllm_bench import bench_command
from sim.errors import InputError
from sim.scenario.load import Loaded, load
from sim.shipped import find_scenario
from ui.commands.progress import progress

FAILED = 1
"""Exit code: the server died, or no request was answered; what was measured is saved all the same."""
INTERRUPTED = 130
LATE_MS = 50.0
"""Such a run says little of times to first token."""


def run(
    name: str,
    sets: Sequence[str],
    variant: str | None,
    *,
    out: Path | None,
    base_url: str | None,
    port: int | None,
    serve_flag: Sequence[str],
    replication: int,
    vllm_bench: bool,
    ready_timeout_s: float | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Measure, save, print the result; return the exit code.

    Raises:
        InputError: the user's mistake, or a server that does not start, in one sentence.
    """
    loaded = load(find_scenario(name), sets, variant)
    if dry_run:
        _print_commands(loaded, base_url, port, serve_flag, replication, vllm_bench=vllm_bench)
        return 0
    if vllm_bench:  # refuse what it cannot do before a server starts
        bench_command(loaded.scenario, "", "", Path(), replication)
    require_aiohttp()
    scrape.require_parser()
    out = out or realrun.free_name(Path("runs") / f"measured-{loaded.scenario.name}-{replication}")
    realrun.check_target(out)
    timeout_s = READY_TIMEOUT_S if ready_timeout_s is None else ready_timeout_s
    with _server(loaded, out, base_url, port, serve_flag, timeout_s, quiet=quiet) as server:
        if vllm_bench:
            measured = measure_with_vllm_bench(loaded, server, out, replication=replication)
        else:
            with progress("requests", quiet=quiet) as step:
                measured = measure(loaded, server, out, step, replication=replication)
    if not vllm_bench:  # which has printed its own
        _print_result(measured)
    print(f"Saved in {out}")
    if measured.failed:
        print(f"trilemma: {measured.failed}; what was measured is in {out}", file=sys.stderr)
    if measured.late_ms > LATE_MS:
        print(
            f"warning: requests were sent up to {measured.late_ms:.0f} ms late (95th percentile): "
            "this machine is too busy to time a server",
            file=sys.stderr,
        )
    if measured.interrupted:
        return INTERRUPTED
    return FAILED if measured.died or not measured.bench["completed"] else 0


@contextmanager
def _server(
    loaded: Loaded,
    out: Path,
    base_url: str | None,
    port: int | None,
    flags: Sequence[str],
    ready_timeout_s: float,
    *,
    quiet: bool,
) -> Iterator[Server]:
    """Start the server or attach; its log lies beside `out` until that has it, and stays there if it does not start."""
    if base_url is not None:
        for option, given in (("--serve-flag", flags), ("--port", port)):
            if given:
                raise InputError(
                    f"{option}: found beside --base-url, whose server runs already, expected one of the two"
                )
        with attach(base_url) as server:
            yield server
        return
    log = out.with_name(f"{out.name}.server.log")
    if not quiet:
        print(f"starting the server, its log is {log}", file=sys.stderr)
    try:
        with serve(loaded.scenario, loaded.base_dir, flags, log, port=port, ready_timeout_s=ready_timeout_s) as server:
            if not quiet:
                print(f"the server is ready after {server.started_s:.0f} s", file=sys.stderr)
            yield server
    finally:
        if (out / "server.log").is_file():
            log.unlink(missing_ok=True)


def _print_commands(
    loaded: Loaded,
    base_url: str | None,
    port: int | None,
    flags: Sequence[str],
    replication: int,
    *,
    vllm_bench: bool,
) -> None:
    url = base_url or f"http://127.0.0.1:{port or 8000}"
    if base_url is None:
        print(shlex.join(command(serve_flags(loaded.scenario, loaded.base_dir, flags), port or 8000)))
    if vllm_bench:
        served = model_path(loaded.scenario, loaded.base_dir)
        print(shlex.join(bench_command(loaded.scenario, url, served, Path("bench.json"), replication)))
    else:
        print(f"# then {loaded.source} is replayed against {url}/v1/completions")


def _print_result(measured: Measured) -> None:
    bench = measured.bench
    print(f"{'Successful requests:':<40} {bench['completed']}")
    print(f"{'Failed requests:':<40} {bench['failed']}")
    print(f"{'Benchmark duration (s):':<40} {bench['duration']:.2f}")
    print(f"{'Request throughput (req/s):':<40} {bench['request_throughput'] or 0:.2f}")
    print(f"{'Output token throughput (tok/s):':<40} {bench['output_throughput'] or 0:.2f}")
    for metric in ("ttft", "tpot", "itl", "e2el"):
        for key, words in (("mean", "Mean"), ("median", "Median"), ("p99", "P99")):
            print(f"{f'{words} {metric.upper()} (ms):':<40} {bench[f'{key}_{metric}_ms']:.2f}")
