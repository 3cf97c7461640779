import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from sim.stats import Interval, WeightedValues, mser5, paired_difference, t_interval


def test_t_interval_is_scipys():
    values = [3.1, 2.7, 3.6, 2.2, 3.3]
    low, high = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    found = t_interval(values)
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 5)
    assert found.half_width == pytest.approx((high - low) / 2)


def test_unknown_is_never_zero():
    assert t_interval([4.0]) == Interval(4.0, None, None, 1)
    assert t_interval([None, None]) == Interval(None, None, None, 0)
    assert t_interval([None, 4.0]).half_width is None
    assert t_interval([None, 1.0, 3.0]).mean == 2.0


def test_equal_replications_have_an_interval_without_width():
    found = t_interval([0.1] * 3)  # a mean of tenths that is summed would not be 0.1
    assert found == Interval(0.1, 0.1, 0.1, 3)


def test_t_interval_covers_the_mean_of_normal_data_95_times_in_100():
    samples = np.random.default_rng(1).normal(10.0, 3.0, (4000, 5))
    hits = sum(one.low <= 10.0 <= one.high for one in map(t_interval, samples.tolist()))
    assert 0.94 < hits / len(samples) < 0.96  # three standard errors are 0.010


def test_common_random_numbers_narrow_the_difference():
    rng = np.random.default_rng(2)
    shared = rng.normal(0.0, 10.0, 20)
    a, b = shared + 1.0 + rng.normal(0, 0.1, 20), shared + rng.normal(0, 0.1, 20)
    found = paired_difference(a.tolist(), b.tolist())
    assert found.low < 1.0 < found.high
    assert found.half_width < 0.15 < t_interval(a.tolist()).half_width
    with pytest.raises(ValueError, match="argument"):
        paired_difference([1.0], [1.0, 2.0])


def brute_force_mser5(series):
    means = [np.mean(series[i : i + 5]) for i in range(0, len(series) - 4, 5)]
    errors = [np.sum((means[d:] - np.mean(means[d:])) ** 2) / (len(means) - d) ** 2 for d in range(len(means) // 2 + 1)]
    return 5 * int(np.argmin(errors))


@pytest.mark.parametrize("seed", range(5))
def test_mser5_finds_the_known_end_of_a_transient(seed):
    rng = np.random.default_rng(seed)
    series = rng.normal(100.0, 1.0, 2003)
    series[:300] += np.linspace(60.0, 0.0, 300)
    found = mser5(series)
    assert found.keep_from == brute_force_mser5(series)
    assert 250 <= found.keep_from <= 330
    assert found.converged


def test_mser5_keeps_a_series_without_transient_and_says_when_it_is_too_short():
    assert mser5(np.random.default_rng(0).normal(0, 1, 1000)).keep_from < 200
    assert mser5(np.full(100, 7.0)).keep_from == 0
    ramp = mser5(np.arange(1000.0))
    assert not ramp.converged
    assert mser5([1.0, 2.0]).keep_from == 0
    assert not mser5([1.0, 2.0]).converged


multisets = st.lists(st.tuples(st.integers(0, 2**45), st.integers(0, 40)), min_size=1, max_size=30).filter(
    lambda pairs: any(count for _, count in pairs)
)


@settings(max_examples=300, deadline=None)
@given(multisets, st.lists(st.floats(0, 100), min_size=1, max_size=6), st.booleans())
def test_weighted_quantiles_are_numpys_of_the_repeated_values_to_the_last_bit(pairs, percentages, wide):
    values = np.array([value for value, _ in pairs])
    counts = np.array([count for _, count in pairs])
    if wide:  # too wide to pack value and count into one word
        values[0], counts[0] = 2**61, 9
    repeated = np.repeat(values, counts)
    found = WeightedValues(values, counts)
    assert len(found) == len(repeated)
    assert found.quantiles(percentages).tolist() == np.percentile(repeated, percentages).tolist()
    mean, std = found.mean_std()
    assert mean == pytest.approx(repeated.mean(), rel=1e-12)
    assert std == pytest.approx(repeated.std(), rel=1e-9, abs=1e-3)


def test_weighted_values_take_the_engines_narrow_types():
    values, counts = np.array([4_000_000_000, 17, 4_000_000_000], np.uint32), np.array([65535, 65535, 1], np.uint16)
    repeated = np.repeat(values.astype(np.int64), counts)
    found = WeightedValues(values, counts)
    assert found.quantiles([1, 50, 50.0004, 99]).tolist() == np.percentile(repeated, [1, 50, 50.0004, 99]).tolist()
    assert found.mean_std() == pytest.approx((repeated.mean(), repeated.std()))


def test_no_values_have_no_quantiles():
    nothing = WeightedValues(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert len(nothing) == 0
    with pytest.raises(ValueError, match="no values"):
        nothing.quantiles([50])
    with pytest.raises(ValueError, match="no values"):
        nothing.mean_std()
