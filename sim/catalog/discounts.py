"""Spot discounts as a distribution over zones."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median, quantiles

from sim.catalog.types import SpotDiscounts

PLACEHOLDERS = (0.0, 90.0)
"""Discounts in per cent that stand for no price; see discounts.yaml."""
_ROUNDING = 0.05
"""Per cent; the catalogue's values have one decimal."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Discounts of the zones that quote a price, in per cent, and those set aside."""

    percent: tuple[float, ...]
    """Rising."""
    flagged: Mapping[str, float]
    """By zone: exactly 0 or 90 per cent."""

    @property
    def n(self) -> int:
        """Zones that count."""
        return len(self.percent)

    @property
    def mean(self) -> float:
        """Arithmetic mean, in per cent."""
        return fmean(self.percent)

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """First quartile, median and third quartile, interpolated between zones (numpy's default)."""
        if self.n < 2:
            return (median(self.percent),) * 3
        low, middle, high = quantiles(self.percent, n=4, method="inclusive")
        return low, middle, high

    def at_least(self, percent: float) -> int:
        """Zones whose discount is so large or larger."""
        return sum(one >= percent for one in self.percent)


def distribution(discounts: SpotDiscounts) -> Distribution:
    """Return the distribution of an instance's discounts over zones, with placeholders set aside."""
    flagged = {
        zone: percent
        for zone, percent in discounts.percent_by_zone.items()
        if any(abs(percent - one) < _ROUNDING for one in PLACEHOLDERS)
    }
    kept = (percent for zone, percent in discounts.percent_by_zone.items() if zone not in flagged)
    return Distribution(tuple(sorted(kept)), flagged)
