"""Length distributions, and the shipped tables against the traces that they come from."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from sim.scenario.workload import EmpiricalLengths, FixedLength, LognormalLength, SeparateLengths, UniformLength
from sim.workload.lengths import draw_lengths
from tests.shared_data import DATA, needs_data
from tests.unit.workload_cases import streams

N = 100_000
TABLE = "input_low,input_high,output_low,output_high,weight\n"


def drawn(lengths, count=N, base_dir=Path(), seed=0):
    pair = draw_lengths(lengths, count, streams(seed), "default", base_dir)
    for side in pair:
        assert side.dtype == np.int32
        assert len(side) == count
        assert side.min(initial=1) >= 1
    return pair


def one(length, count=N):
    return drawn(SeparateLengths(kind="separate", input=length, output=FixedLength(kind="fixed", tokens=1)), count)[0]


def test_fixed():
    sent, got = drawn(
        SeparateLengths(
            kind="separate", input=FixedLength(kind="fixed", tokens=7), output=UniformLength(kind="uniform", tokens=9)
        )
    )
    assert set(sent) == {7}
    assert set(got) == {9}


@pytest.mark.parametrize(
    ("tokens", "ratio", "low", "high"),
    [(128, 0.5, 64, 192), (5, 0.5, 2, 8), (100, 0.0, 100, 100), (1, 0.9, 1, 2), (3, 0.25, 2, 4)],
)
def test_uniform_has_the_bounds_of_vllm_bench(tokens, ratio, low, high):
    """floor(tokens * (1 - ratio)) to ceil(tokens * (1 + ratio)), at least 1, both included, all equally likely."""
    values, counts = np.unique(one(UniformLength(kind="uniform", tokens=tokens, range_ratio=ratio)), return_counts=True)
    assert values.tolist() == list(range(low, high + 1))
    assert len(values) == 1 or stats.chisquare(counts).pvalue > 0.001


def test_lognormal_has_the_mean_and_deviation_of_its_own():
    sample = one(LognormalLength(kind="lognormal", mean_tokens=2000, std_tokens=1500))
    log_sd = math.sqrt(math.log(1 + 0.75**2))
    law = stats.lognorm(log_sd, scale=2000 / math.sqrt(1 + 0.75**2))
    assert law.mean() == pytest.approx(2000)
    assert law.std() == pytest.approx(1500)
    assert sample.mean() == pytest.approx(2000, abs=4 * 1500 / math.sqrt(N))
    smooth = sample + np.random.default_rng(1).uniform(-0.5, 0.5, N)
    assert stats.kstest(smooth, law.cdf).pvalue > 0.001


def test_lognormal_is_clipped_at_both_ends():
    sample = one(LognormalLength(kind="lognormal", mean_tokens=100, std_tokens=200, min_tokens=20, max_tokens=300))
    assert (sample.min(), sample.max()) == (20, 300)
    assert (sample == 20).mean() > 0.05


def test_lognormal_of_absurd_spread_stays_within_bounds():
    sample = one(LognormalLength(kind="lognormal", mean_tokens=1e12, std_tokens=1e12))
    assert set(sample) == {1_000_000}
    assert set(one(LognormalLength(kind="lognormal", mean_tokens=1e-9, std_tokens=1e12))) <= {*range(1, 1_000_001)}
    with pytest.raises(InputError, match="min_tokens"):
        one(LognormalLength(kind="lognormal", mean_tokens=5, std_tokens=5, min_tokens=9, max_tokens=8))


def test_empirical_draws_rows_by_weight_and_evenly_within_them(tmp_path):
    (tmp_path / "mine.csv").write_text("# by hand\n" + TABLE + "1,4,10,10,3\n100,101,20,29,1\n7,7,7,7,0\n")
    sent, got = drawn(EmpiricalLengths(kind="empirical", table="mine.csv"), base_dir=tmp_path)
    cells = [np.count_nonzero(sent == k) for k in (1, 2, 3, 4, 100, 101)]
    assert stats.chisquare(cells, np.array([3, 3, 3, 3, 2, 2]) / 16 * N).pvalue > 0.001
    assert set(got[sent <= 4]) == {10}
    tail, counts = np.unique(got[sent >= 100], return_counts=True)
    assert tail.tolist() == list(range(20, 30))
    assert stats.chisquare(counts).pvalue > 0.001
    assert 7 not in sent


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "header"),
        ("a,b\n", "header"),
        (TABLE, "weight sums to 0"),
        (TABLE + "1,2,3,4,0\n", "weight sums to 0"),
        (TABLE + "1,2,3,4\n", "line 2"),
        (TABLE + "1,2,3,4,nan\n", "line 2"),
        (TABLE + "1,2,3,4,-1\n", "line 2"),
        (TABLE + "1,2,3,4,x\n", "line 2"),
        (TABLE + "1,2,3,4,5\n2,1,3,4,5\n", "line 3"),
        (TABLE + "0,1,3,4,5\n", "line 2"),
        (TABLE + "1.5,2,3,4,5\n", "line 2"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, text, fault):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=rf"^[^\n]*bad\.csv[^\n]*{fault}[^\n]*$"):
        drawn(EmpiricalLengths(kind="empirical", table="bad.csv"), base_dir=tmp_path)


def test_a_missing_table_names_those_that_ship(tmp_path):
    with pytest.raises(InputError, match="azure2023-code, azure2023-conv"):
        drawn(EmpiricalLengths(kind="empirical", table="azure2024"), base_dir=tmp_path)


@needs_data
@pytest.mark.parametrize("kind", ["conv", "code"])
def test_shipped_tables_draw_like_their_traces(kind):
    """Within 4 % or 2 tokens for mean, P50, P90, P99 of both columns, and 0.02 for the correlation."""
    with (DATA / f"traces/azure2023/AzureLLMInferenceTrace_{kind}.csv").open() as file:
        trace = np.array([(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)])
    table = np.stack(drawn(EmpiricalLengths(kind="empirical", table=f"azure2023-{kind}"), 400_000), axis=1)
    for real, ours in zip(trace.T, table.T, strict=True):
        assert ours.mean() == pytest.approx(real.mean(), rel=0.04)
        assert np.percentile(ours, [50, 90, 99]) == pytest.approx(np.percentile(real, [50, 90, 99]), rel=0.04, abs=2)
    assert np.corrcoef(table.T)[0, 1] == pytest.approx(np.corrcoef(trace.T)[0, 1], abs=0.02)
