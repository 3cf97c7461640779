"""Which design to try next: spread out at first, then where hypervolume is to be gained; none twice."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import qmc

from sim.stats import Floats
from sim.study.found import found, maximise
from sim.study.frontier import costs
from sim.study.space import Point, Search, Space
from sim.study.surrogate import choose
from sim.study.trials import Tried

COUNTABLE = 5000
"""Up to this size every design of a space is a candidate; of larger ones as many at random, and neighbours of good
ones."""
_SPREAD = 1 << 12


class Proposer:
    """Proposes designs of one space."""

    def __init__(self, search: Search, space: Space) -> None:
        self._space = space
        self._search = search
        self._seed = search.search_seed
        self._all = space.all() if space.size is not None and space.size <= COUNTABLE else None
        self._start = 2 * len(space.dimensions)
        """Designs that are spread out: two a dimension."""

    def propose(self, tried: Sequence[Tried], taken: set[Point]) -> Point | None:
        """Return a design that is not taken; None if all are.

        Args:
            tried: what is known.
            taken: designs that were tried, or are being tried.
        """
        if len(taken) < self._start and (spread := self._spread(taken)) is not None:
            return spread
        candidates = [one for one in self._candidates(tried, len(taken)) if one not in taken]
        if not candidates or not tried:
            return candidates[0] if candidates else None
        return candidates[
            choose(self._inputs([one.point for one in tried]), *self._known(tried), self._inputs(candidates))
        ]

    def _spread(self, taken: set[Point]) -> Point | None:
        """The first design of a scrambled Sobol sequence that is not taken."""
        sobol = qmc.Sobol(len(self._space.dimensions), rng=self._seed)
        points = (self._space.at(row.tolist()) for row in sobol.random(_SPREAD))
        return next((one for one in points if one not in taken), None)

    def _candidates(self, tried: Sequence[Tried], count: int) -> list[Point]:
        if self._all is not None:
            return self._all
        rng = np.random.default_rng((self._seed, count))
        drawn = [self._space.at(row.tolist()) for row in rng.random((COUNTABLE, len(self._space.dimensions)))]
        front = found(self._search, tried).frontier
        good = [one.point for one, first in zip(tried, front, strict=True) if first]
        units = rng.random((20 * len(good), len(self._space.dimensions)))
        for number, row in enumerate(units):
            fresh, old = self._space.at(row.tolist()), good[number // 20]
            moved = int(rng.integers(len(old)))
            drawn.append((*old[:moved], fresh[moved], *old[moved + 1 :]))
        return list(dict.fromkeys(drawn))

    def _known(self, tried: Sequence[Tried]) -> tuple[Floats, Floats]:
        """Objectives to be minimised, nan where unknown; and by how much each design misses the SLO."""
        margins = np.array([np.inf if one.told is None else one.told["margin"] for one in tried])
        return costs(found(self._search, tried).objectives, maximise(self._search)), margins

    def _inputs(self, points: Sequence[Point]) -> Floats:
        return np.array([self._space.features(one) for one in points])
