"""Print the values of sim/catalog/spot.yaml as recounted from the named traces: `python scripts/spot_presets.py`."""

from pathlib import Path

import numpy as np

from sim.fleet.capacity import Steps, recording
from sim.scenario.market import TracedReclaims
from sim.units import NS_PER_S

PRESETS = {
    "bamboo-p3": "bamboo-p3",
    "bamboo-g4dn": "bamboo-g4dn",
    "gcp-a100": "bamboo-a100",
    "gcp-v100": "bamboo-v100",
}
"""Preset and trace."""


def recount(steps: Steps) -> tuple[float, float, float]:
    """Mean life of a node in hours, nodes a reclaim, and mean outage in s.

    An outage lasts from an instant at which the count falls to the next at which it rises. Of those that the end of the
    recording cuts short only the time counts (the estimate of an exponential's mean from censored values).
    """
    counts = dict(steps)  # of equal times the last one holds
    times, nodes = np.array(list(counts)) / NS_PER_S, np.array(list(counts.values()))
    change = np.diff(nodes)
    fell, rose = times[1:][change < 0], times[1:][change > 0]
    until = np.append(rose, np.inf)[np.searchsorted(rose, fell, side="right")]
    waits = np.minimum(until, times[-1]) - fell
    hours = (np.diff(times) * nodes[:-1]).sum() / 3600
    lost = -change[change < 0].sum()
    return float(hours / lost), float(lost / len(fell)), float(waits.sum() / np.isfinite(until).sum())


if __name__ == "__main__":
    for preset, trace in PRESETS.items():
        print(preset, *recount(recording(TracedReclaims(kind="trace", trace=trace), Path())[1]))
