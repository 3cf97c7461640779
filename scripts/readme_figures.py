"""Draw the README's figure: what DeepSeek-LLM-67B on 2 x TP4 H100 does as the traffic grows.

pip install matplotlib && python scripts/readme_figures.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.ticker

from sim.report import Summary, summarise
from sim.run import simulate
from sim.scenario.load import load
from sim.shipped import shipped_scenario

RATES = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22)
PANELS = (
    ("p99_ttft_ms", "P99 TTFT (ms)", 2000.0),
    ("p99_tpot_ms", "P99 TPOT (ms)", 100.0),
    ("output_throughput", "Output tokens/s", None),
)
OUT = Path(__file__).parents[1] / "docs" / "figures" / "quickstart.svg"


def summary(rate: float) -> Summary:
    """Simulate the quickstart scenario at a request rate."""
    sets = [f"workload.arrivals.request_rate={rate}", "workload.num_prompts=3000"]
    return summarise(simulate(load(shipped_scenario("quickstart"), sets), progress=lambda *_: None))


def main() -> None:
    """Simulate each rate and draw mean and 95 % interval of each panel."""
    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "trilemma", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    from matplotlib import pyplot as plt  # noqa: PLC0415  # after the backend is chosen

    found = [summary(rate) for rate in RATES]
    figure, axes = plt.subplots(1, len(PANELS), figsize=(9.6, 2.9), layout="constrained")
    for axis, (key, label, limit) in zip(axes, PANELS, strict=True):
        values = [one[key] for one in found]
        axis.plot(RATES, [value.mean for value in values], color="#0072B2", marker="o", markersize=3)
        low, high = [value.low for value in values], [value.high for value in values]
        axis.fill_between(RATES, low, high, color="#0072B2", alpha=0.25, linewidth=0)
        if limit is not None:
            axis.axhline(limit, color="#D55E00", linestyle="--", linewidth=1)
            axis.annotate("SLO", (RATES[0], limit), color="#D55E00", va="bottom")
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.yaxis.set_major_formatter("{x:.0f}")
            axis.yaxis.set_minor_locator(mpl.ticker.NullLocator())
        axis.set_xlabel("Requests/s")
        axis.set_title(label, loc="left", fontsize=9)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT, metadata={"Date": None})
    print(OUT)


if __name__ == "__main__":
    main()
