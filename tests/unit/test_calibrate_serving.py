"""Public serving points: what is counted twice or impossible is dropped with the reason, the rest becomes scenarios."""

import csv

import numpy as np
import pytest

from calibrate import serving
from sim.errors import InputError
from sim.workload.draw import draw
from tests.shared_data import DATA, needs_data

ROW = {
    "backend": "vllm", "backend_version": "0.12.0", "model_path": "meta-llama/Llama-3.1-70B", "system": "h200_sxm",
    "mode": "agg", "isl": "1024", "osl": "1024", "batch_size": "4", "tp_size": "2", "pp_size": "1",
    "attention_dp_size": "1", "moe_ep_size": "1", "silicon_ttft_ms": "100.5", "silicon_tpot_ms": "10.25",
}  # fmt: skip


def table(folder, *rows):
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ROW)
        writer.writeheader()
        writer.writerows(ROW | row for row in rows)
    return path


def test_a_row_becomes_the_measurement_protocol(tmp_path):
    (point,) = serving.read(table(tmp_path, {}), {}).points
    assert point.measured == {"ttft": 100.5, "tpot": 10.25}
    assert point.groups == {"concurrency": "4", "tensor_parallel_size": "2", "gpu": "h200-sxm-141gb"}
    requests = draw(point.loaded.scenario, 0, 0, tmp_path)
    assert len(requests) == 40  # ten times the concurrency
    assert requests.concurrency == 4
    for lengths in (requests.prompt_tokens, requests.output_tokens):
        assert 819 <= lengths.min() < 870
        assert 975 < lengths.max() <= 1024
    engine = point.loaded.scenario.engine
    assert (engine.max_num_batched_tokens, engine.quantization, engine.kv_cache_dtype) == (8192, "fp8", "fp8")


def test_the_same_result_under_other_labels_counts_once(tmp_path):
    read = serving.read(table(tmp_path, {}, {"backend_version": "0.13"}, {"silicon_tpot_ms": "11"}), {})
    assert len(read.points) == 2
    assert [sentence for sentence in read.dropped if sentence.startswith("1 rows: the same result")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"tp_size": "64"}, "impossible layout"),
        ({"attention_dp_size": "64", "tp_size": "1"}, "impossible layout"),
        ({"attention_dp_size": "8", "tp_size": "1"}, "data-parallel attention"),
        ({"mode": "disagg"}, "separate engines"),
        ({"system": "gb300"}, "catalogue"),
    ],
)
def test_what_cannot_be_used_is_dropped_with_its_reason(tmp_path, row, reason):
    read = serving.read(table(tmp_path, {}, row | {"silicon_tpot_ms": "99"}), {})
    assert len(read.points) == 1
    (sentence,) = read.dropped
    assert sentence.startswith("1 rows: ")
    assert reason in sentence


@pytest.mark.parametrize(
    ("where", "said"),
    [({"model": "gpt"}, "found no usable row for model=gpt"), ({"colour": "red"}, "has no such column")],
)
def test_a_choice_that_leaves_nothing_is_one_sentence(tmp_path, where, said):
    with pytest.raises(InputError, match=said):
        serving.read(table(tmp_path, {}), where)


def test_a_table_without_its_columns_is_one_sentence(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="found no attention_dp_size, backend, "):
        serving.read(tmp_path / "table.csv", {})
    with pytest.raises(InputError, match="expected a readable CSV"):
        serving.read(tmp_path / "none.csv", {})


@needs_data
def test_no_result_of_the_public_table_is_used_twice():
    read = serving.read(DATA / "measured" / "serving_1k1k_hopper.csv", {})
    results = np.array([[point.measured["ttft"], point.measured["tpot"]] for point in read.points])
    assert len(np.unique(results.round(4), axis=0)) == len(results) == 65
    assert {point.loaded.scenario.fleet[0].tensor_parallel_size for point in read.points} == {1, 2, 4, 8}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"silicon_ttft_ms": ""}, "line 3: silicon_ttft_ms: found ''"),
        ({"silicon_tpot_ms": "nan"}, "line 3: silicon_tpot_ms: found 'nan'"),
        ({"silicon_tpot_ms": "-1"}, "line 3: silicon_tpot_ms: found '-1'"),
        ({"tp_size": "x"}, "line 3: tp_size: found 'x'"),
        ({"batch_size": "4.0"}, "line 3: batch_size: found '4.0'"),
        ({"batch_size": "0"}, "line 3: batch_size: found '0'"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_line(tmp_path, row, said):
    with pytest.raises(InputError, match=said):
        serving.read(table(tmp_path, {}, row), {})
