"""Speed of the simulator: requests per CPU-second, growth to 1 M requests, memory, start-up. Prints a Markdown table.

The job: DeepSeek-LLM-67B, TP4 on H100, 64 replicas, least outstanding, 512 tokens in and 128 out, 4 requests/s a
replica, prefix caching on, every inter-token latency recorded; drawing the requests and the report are included.
Each size runs in a process of its own, after one small run has loaded the compiled kernel.

    python scripts/benchmark.py [REQUESTS ...]
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPLICAS = 64
SCENARIO = """
schema_version: 1
name: benchmark
model: deepseek-llm-67b
workload:
  kind: synthetic
  num_prompts: {requests}
  arrivals: {{kind: poisson, request_rate: {rate}}}
  lengths: {{kind: separate, input: {{kind: fixed, tokens: 512}}, output: {{kind: fixed, tokens: 128}}}}
engine: {{dtype: bfloat16, gpu_memory_utilization: 0.92, enable_prefix_caching: true}}
fleet:
  - {{pool: base, gpu: h100-sxm-80gb, tensor_parallel_size: 4, replicas: {replicas}}}
router: {{kind: least_outstanding}}
slo: {{ttft_ms: 2000, tpot_ms: 100}}
run: {{seed: 0, replications: 1}}
"""


def _scenario(folder: str, requests: int, replicas: int) -> Path:
    path = Path(folder) / f"benchmark-{requests}.yaml"
    path.write_text(SCENARIO.format(requests=requests, rate=4 * replicas, replicas=replicas))
    return path


def measure(requests: int) -> None:
    """Run the job in this process and print what it took as JSON."""
    from sim.report import summarise  # noqa: PLC0415  # imports are not part of the measurement
    from sim.run import simulate  # noqa: PLC0415
    from sim.scenario.load import load  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        warm_up, job = load(_scenario(folder, 1000, REPLICAS)), load(_scenario(folder, requests, REPLICAS))
    summarise(simulate(warm_up, progress=lambda *_: None))
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = simulate(job, progress=lambda *_: None)
    summary = summarise(result)
    after = resource.getrusage(resource.RUSAGE_SELF)
    steps = int(result.replications[0].counters["steps"].sum())
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert summary["completed"].mean == requests
    print(json.dumps([requests, cpu_s, steps / requests, after.ru_maxrss * 1024]))


def start_up() -> float:
    """Median wall seconds of `trilemma run` on a scenario of ten requests, the kernel compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("trilemma")),
            "run",
            str(_scenario(folder, 10, 1)),
            "--quiet",
            "--out",
        ]
        seconds = []
        for number in range(6):
            start = time.perf_counter()
            subprocess.run([*command, f"{folder}/run-{number}"], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[2]


def main() -> None:
    """Measure every size and print the table."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    print("| requests | steps a request | CPU s | requests a CPU-second | peak memory | bytes a further request |")
    print("|---:|---:|---:|---:|---:|---:|")
    # One thread: idle BLAS workers spin, and would be counted.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    before: tuple[int, int] | None = None
    for size in sizes:
        command = [sys.executable, __file__, "--measure", str(size)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        requests, cpu_s, steps, peak = json.loads(printed)
        each = f"{(peak - before[1]) / (requests - before[0]):.0f}" if before else ""
        before = requests, peak
        rate = f"{requests / cpu_s:,.0f}"
        print(f"| {requests:,} | {steps:.1f} | {cpu_s:.2f} | {rate} | {peak / 1e6:.0f} MB | {each} |", flush=True)
    print(f"\nStart-up of `trilemma run`: {start_up():.2f} s wall.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(int(sys.argv[2]))
    else:
        main()
