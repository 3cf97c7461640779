"""How many 8 x H200 nodes sustain the Mooncake conversation trace on DeepSeek-R1: one run a node count, as Markdown.

TRILEMMA_DATA=... python scripts/mooncake_nodes.py [NODES ...]
"""

import sys

from sim.report import summarise
from sim.run import simulate
from sim.scenario.load import load
from sim.shipped import shipped_scenario


def main() -> None:
    """Run scenarios/mooncake.yaml at each node count and print what decides."""
    counts = [int(count) for count in sys.argv[1:]] or [4, 5, 6, 7, 8, 9, 10]
    print("| nodes | good requests | P99 TTFT | P99 TPOT | prefix-cache hits | waiting, share of time | verdict |")
    print("|---:|---:|---:|---:|---:|---:|---|")
    for count in counts:
        loaded = load(shipped_scenario("mooncake"), [f"fleet.0.replicas={count}"])
        summary = summarise(simulate(loaded, progress=lambda *_: None))

        def mean(key: str) -> float:
            return summary[key].mean or 0.0  # noqa: B023  # called in the same turn

        good = summary.classes[0].values["good_share"].mean or 0.0
        verdict = summary.verdict.value if summary.verdict else ""
        print(
            f"| {count} | {good:.2%} | {mean('p99_ttft_ms') / 1000:.1f} s | {mean('p99_tpot_ms'):.0f} ms "
            f"| {mean('prefix_cache_hit_rate'):.1%} | {mean('waiting_share'):.1%} | {verdict} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
