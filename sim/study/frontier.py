"""The designs that no other beats, how much they dominate, and those that are nearly as cheap as the cheapest.

Points are rows of numbers to be minimised, float64[n, objectives]; `costs` turns what is to be maximised around.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.metrics import Mask
from sim.stats import Floats


def costs(values: NDArray[np.float64], maximise: Sequence[bool]) -> Floats:
    """Return values as points to be minimised; `maximise`: one an objective."""
    return np.asarray(values, np.float64) * np.where(maximise, -1.0, 1.0)


def pareto(points: Floats) -> Mask:
    """Return bool[n], the points that no other beats: none is as good in everything and better in something.

    Equal points beat none of each other, and are all in.
    """
    ahead = (points[:, None] <= points[None]).all(axis=2) & (points[:, None] < points[None]).any(axis=2)
    return np.asarray(~ahead.any(axis=0))


def hypervolume(points: Floats, reference: Floats) -> float:
    """Return the volume between the points and a reference that is worse in everything; exact.

    Slices along the last objective, each as high as the gap to the next point (Zitzler 1999, HSO). Points that are not
    better than the reference in everything add nothing.
    """
    inside = points[(points < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    if inside.shape[1] == 2:
        widths = reference[0] - np.minimum.accumulate(inside[:, 0])
        return float(widths @ np.diff(np.append(inside[:, 1], reference[1])))
    heights = np.diff(np.append(inside[:, -1], reference[-1]))
    return float(
        sum(
            height * hypervolume(inside[: count + 1, :-1], reference[:-1])
            for count, height in enumerate(heights.tolist())
            if height
        )
    )


def near_optimal(prices: Floats, feasible: Mask, share: float) -> Mask:
    """Return bool[n], the feasible designs whose cost is within `share` of the best feasible one's (0.1: 10 %)."""
    if not feasible.any():
        return np.zeros(len(prices), np.bool_)
    return np.asarray(feasible & (prices <= prices[feasible].min() * (1 + share)))
