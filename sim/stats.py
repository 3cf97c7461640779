"""Output analysis: intervals over replications, warm-up truncation, exact quantiles of weighted values."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
_CHUNK = 1 << 18
_BIN_BITS = 18


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over independent replications with its confidence interval (95 %), in the unit of the values.

    With one value the interval is unknown (None), with none the mean is unknown too; neither is ever a zero.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    calibration_low: float | None = None
    """95 % range that the calibration of the step times leaves to the number; None where nothing is known of it."""
    calibration_high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, or None where it is unknown."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def calibration_half_width(self) -> float | None:
        """How far the calibration's range reaches from the mean, on its longer side; None where it is unknown."""
        if self.mean is None or self.calibration_low is None or self.calibration_high is None:
            return None
        return max(self.mean - self.calibration_low, self.calibration_high - self.mean)

    @property
    def combined(self) -> tuple[float, float] | None:
        """Bounds that respect both sampling and calibration, or the one of them that is known.

        The two are independent, so what they add on each side of the mean adds up as a root sum of squares (JCGM
        100:2008, 5.1.2); a range that leaves the mean on one side adds nothing on the other.
        """
        sampling = None if self.low is None or self.high is None else (self.low, self.high)
        if self.mean is None or self.calibration_low is None or self.calibration_high is None:
            return sampling
        low, high = sampling or (self.mean, self.mean)
        below = math.hypot(self.mean - low, max(self.mean - self.calibration_low, 0.0))
        above = math.hypot(high - self.mean, max(self.calibration_high - self.mean, 0.0))
        return self.mean - below, self.mean + above

    def scaled(self, factor: float) -> "Interval":
        """The same in another unit; `factor` > 0."""
        bounds = (self.mean, self.low, self.high, self.calibration_low, self.calibration_high)
        mean, low, high, below, above = (None if part is None else factor * part for part in bounds)
        return Interval(mean, low, high, self.n, below, above)


def t_interval(values: Iterable[float | None], confidence: float = CONFIDENCE) -> Interval:
    """Return the Student-t interval of the mean of independent values; None values are left out."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    n = len(known)
    if n == 0:
        return Interval(None, None, None, 0)
    mean = float(known.mean())
    if n == 1:
        return Interval(mean, None, None, 1)
    if (known == known[0]).all():  # the mean of equal values may differ from them in the last bit
        return Interval(float(known[0]), float(known[0]), float(known[0]), n)
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * known.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Return the interval of mean(a - b) of two designs that served the same replications (common random numbers).

    Raises:
        ValueError: if the two differ in length.
    """
    return t_interval(x - y for x, y in zip(a, b, strict=True))


def clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share, given independent trials (Clopper & Pearson, Biometrika 26, 1934)."""
    tail = (1 - CONFIDENCE) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def next_value(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the range that holds one more independent value of the same kind in 95 of 100 cases; None below two.

    From 39 values on by their order statistics, whatever their distribution: the k-th of n smallest has on average a
    share of k / (n + 1) below it (Hyndman & Fan 1996, definition 6). Fewer do not reach far enough into the tails:
    then it is the prediction interval of normal values (Hahn & Meeker, Statistical Intervals, 1991, chapter 4), whose
    coverage allows for how few they are.
    """
    n = len(values)
    if n < 2:
        return None
    if n + 1 >= 2 / (1 - CONFIDENCE):
        low, high = np.percentile(values, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], method="weibull")
        return float(low), float(high)
    known = np.asarray(values, dtype=np.float64)
    half = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * known.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(known.mean() - half), float(known.mean() + half)


@dataclass(frozen=True, slots=True)
class Truncation:
    """How much of a series is warm-up."""

    keep_from: int
    """Index of the first value to keep."""
    converged: bool
    """False if the best point is the last one allowed (half of the series): the series is too short."""


def mser5(series: ArrayLike) -> Truncation:
    """Return the warm-up of a series by MSER-5 (White 1997; Spratt 1998).

    Of all points in the first half, it keeps what lies behind the one that minimises the squared standard error
    sum((y - mean)^2) / m^2 of the m means of five values that remain.
    """
    values = np.asarray(series, dtype=np.float64)
    count = len(values) // 5
    if count < 2:
        return Truncation(0, converged=False)
    means = values[: 5 * count].reshape(count, 5).mean(axis=1)
    means -= means.mean()  # keeps the difference of squares below well conditioned
    left = np.arange(count, 0, -1)
    total = means[::-1].cumsum()[::-1]
    squares = (means * means)[::-1].cumsum()[::-1]
    error = (squares - total * total / left) / (left * left)
    last = count // 2
    best = int(error[: last + 1].argmin())
    return Truncation(5 * best, converged=best < last)


class WeightedValues:
    """Values that each occur a number of times, as if repeated (numpy.repeat) but never laid out, copied or sorted."""

    def __init__(self, values: NDArray[np.integer], counts: NDArray[np.integer]) -> None:
        """Take values >= 0 and how often each occurs; entries with a count of zero may occur."""
        self._values, self._counts = values, counts
        self._size = int(counts.sum(dtype=np.int64))

    def __len__(self) -> int:
        """Number of values with their multiplicity."""
        return self._size

    def quantiles(self, percentages: Sequence[float]) -> Floats:
        """Return percentiles, equal to numpy.percentile(numpy.repeat(values, counts), percentages) to the last bit.

        The linear definition (Hyndman & Fan type 7) and its interpolation as in numpy/lib/_function_base_impl.py.

        Raises:
            ValueError: if there are no values.
        """
        if not len(self):
            raise ValueError("no values")
        position = (len(self) - 1) * (np.asarray(percentages, dtype=np.float64) / 100)
        below = np.floor(position).astype(np.int64)
        share = position - below
        a, b = self._at(np.stack([below, np.minimum(below + 1, len(self) - 1)]))
        gap = b - a
        found: Floats = np.where(share >= 0.5, b - gap * (1 - share), a + gap * share)
        return found

    def mean_std(self) -> tuple[float, float]:
        """Return the mean and the population standard deviation (numpy.std).

        Raises:
            ValueError: if there are no values.
        """
        if not len(self):
            raise ValueError("no values")
        mean = sum(float(values.astype(np.float64) @ counts) for values, counts in self._chunks()) / len(self)
        square = sum(float((values - mean) ** 2 @ counts) for values, counts in self._chunks())
        return mean, float(np.sqrt(square / len(self)))

    def _chunks(self) -> Iterator[tuple[NDArray[np.integer], NDArray[np.integer]]]:
        """Pieces small enough that temporaries do not count."""
        for start in range(0, len(self._values), _CHUNK):
            yield self._values[start : start + _CHUNK], self._counts[start : start + _CHUNK]

    def _at(self, ranks: NDArray[np.int64]) -> Floats:
        """Return the values at 0-based ranks of the repeated, sorted list.

        A histogram finds the bin of each rank; only the values in those bins are sorted.
        """
        shift = max(int(self._values.max()).bit_length() - _BIN_BITS, 0)
        upto = np.zeros(1 << _BIN_BITS, np.int64)
        for values, counts in self._chunks():
            bins = (values >> shift).astype(np.intp)
            upto += np.bincount(bins, counts, minlength=len(upto)).astype(np.int64)  # exact below 2**53
        upto = upto.cumsum()
        wanted = np.zeros(len(upto), np.bool_)
        wanted[np.searchsorted(upto, ranks, side="right")] = True
        picked = [
            (values[chosen], counts[chosen])
            for values, counts in self._chunks()
            for chosen in [wanted[(values >> shift).astype(np.intp)]]
        ]
        values = np.concatenate([part for part, _ in picked])
        counts = np.concatenate([part for _, part in picked]).astype(np.int64)
        order = np.argsort(values)
        values, before = values[order], counts[order].cumsum()
        # ranks within the picked values: less all that lies in other bins before them
        held = np.bincount((values >> shift).astype(np.intp), counts[order], minlength=len(upto)).astype(np.int64)
        elsewhere = (upto - held.cumsum())[np.searchsorted(upto, ranks, side="right")]
        found: Floats = values[np.searchsorted(before, ranks - elsewhere, side="right")].astype(np.float64)
        return found
