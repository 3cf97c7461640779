"""Trace readers on small files in each format, and on the public traces where they are."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest

from tests.shared_data import DATA, needs_data
from tests.unit.workload_cases import replayed

CSV = "arrival_s,input_tokens,output_tokens\n"


def hashed(timestamp, tokens, ids, output=5, **more):
    row = {"timestamp": timestamp, "input_length": tokens, "output_length": output, "hash_ids": ids, **more}
    return json.dumps(row) + "\n"


def segments(requests, i):
    part = slice(requests.segment_offset[i], requests.segment_offset[i + 1])
    return list(zip(requests.segment_stream[part].tolist(), requests.segment_end[part].tolist(), strict=True))


def test_azure_2023_and_2024_timestamps(tmp_path):
    """100 ns digits are kept; 2024 has an offset and may lack the fraction; lines may end in CR LF."""
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbfTIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        b"2023-11-16 23:59:59.9999999,374,44\r\n2023-11-17 00:00:00.0000001,396,109\r\n"
    )
    assert replayed(tmp_path, path="a.csv", format="azure").arrival_ns.tolist() == [0, 200]
    (tmp_path / "b.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,10,6\n2024-05-10 00:00:01.5Z,10,6"
    )
    requests = replayed(tmp_path, path="b.csv", format="azure")
    assert requests.arrival_ns.tolist() == [0, 990_070_000, 1_490_070_000]
    assert requests.prompt_tokens.tolist() == [2162, 10, 10]
    assert requests.output_tokens.tolist() == [5, 6, 6]
    assert len(set(requests.own_stream)) == 3


def test_mooncake_blocks_become_shared_segments(tmp_path):
    lines = hashed(0, 1100, [7, 8, 9]) + hashed(27, 1536, [7, 8, 10]) + hashed(27, 600, [8, 9])
    (tmp_path / "m.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    requests = replayed(tmp_path, path="m.jsonl.gz", format="mooncake")
    assert requests.arrival_ns.tolist() == [0, 27_000_000, 27_000_000]
    one, two, three = (segments(requests, i) for i in range(3))
    assert [end for _, end in one] == [512, 1024, 1100]
    assert [end for _, end in two] == [512, 1024, 1536]
    assert one[:2] == two[:2]
    assert one[2][0] != two[2][0]
    # Ids 8 and 9 again, but after nothing: other content before them, so other streams.
    assert not {stream for stream, _ in three} & {stream for stream, _ in one + two}
    assert not set(requests.segment_stream) & set(requests.own_stream)


def test_qwen_bailian_is_sorted_and_classed_by_type(tmp_path):
    chat = {"chat_id": 2, "parent_chat_id": -1, "turn": 1}
    (tmp_path / "q.jsonl").write_text(
        hashed(61.114, 33, [1, 2, 3], type="text", **chat)
        + hashed(3.5, 20, [1, 4, 99], type="search", **chat)
        + hashed(70, 40, [1, 2], type="text", **chat)
    )
    requests = replayed(tmp_path, path="q.jsonl", format="qwen-bailian")
    assert requests.arrival_ns.tolist() == [3_500_000_000, 61_114_000_000, 70_000_000_000]
    assert [requests.classes[k] for k in requests.klass] == ["search", "text", "text"]
    assert [end for _, end in segments(requests, 0)] == [16, 20]  # the id beyond the prompt is padding
    assert [end for _, end in segments(requests, 1)] == [16, 32, 33]
    assert segments(requests, 2) == segments(requests, 1)[:2]


def test_burstgpt_leaves_out_failures_and_says_so(tmp_path):
    (tmp_path / "b.csv").write_text(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n118,GPT-4,417,505,922,API log\n45,ChatGPT,1087,0,1087,API log\n"
    )
    with pytest.warns(UserWarning, match="left out 1 failed"):
        requests = replayed(tmp_path, path="b.csv", format="burstgpt")
    assert requests.arrival_ns.tolist() == [5_000_000_000, 118_000_000_000]
    assert requests.classes == ("ChatGPT", "GPT-4")


def test_vllm_bench_result_without_its_failures(tmp_path):
    result = {
        "start_times": [10.5, 10.0, 11.0],
        "input_lens": [3, 4, 5],
        "output_lens": [6, 7, 0],
        "errors": ["", "", "x"],
    }
    (tmp_path / "r.json").write_text(json.dumps(result, indent=1))
    with pytest.warns(UserWarning, match="left out 1 failed"):
        requests = replayed(tmp_path, path="r.json", format="vllm-bench")
    assert requests.arrival_ns.tolist() == [0, 500_000_000]
    assert requests.prompt_tokens.tolist() == [4, 3]
    assert requests.output_tokens.tolist() == [7, 6]


def test_plain_csv_with_classes_and_sessions(tmp_path):
    (tmp_path / "t.csv").write_text(
        "session,output_tokens,arrival_s,class,input_tokens\nx,5,0.5,chat,10\n,5,1,,10\nx,5,1.25,chat,40\n,5,1.25,code,10\n"
    )
    requests = replayed(tmp_path, path="t.csv", format="csv", reasoning_share=0.4)
    assert requests.arrival_ns.tolist() == [500_000_000, 1_000_000_000, 1_250_000_000, 1_250_000_000]
    assert [requests.classes[k] for k in requests.klass] == ["chat", "default", "chat", "code"]
    own = requests.own_stream.tolist()
    assert own[0] == own[2]
    assert len(set(own)) == 3
    assert set(requests.after) == {-1}
    assert set(requests.reasoning_tokens) == {2}


def test_window_rate_and_count(tmp_path):
    (tmp_path / "t.csv").write_text(CSV + "".join(f"{t},{t + 1},1\n" for t in range(10)) + "this line is never read")
    requests = replayed(tmp_path, path="t.csv", format="csv", start_s=2.0, end_s=8.0, rate_scale=4.0)
    assert requests.prompt_tokens.tolist() == [3, 4, 5, 6, 7, 8]
    assert requests.arrival_ns.tolist() == [k * 250_000_000 for k in range(6)]
    few = replayed(tmp_path, path="t.csv", format="csv", start_s=2.0, max_requests=3)
    assert few.prompt_tokens.tolist() == [3, 4, 5]


def servegen_archive(path, folders=("deepseek-r1",)):
    """Two clients: one regular for 20 minutes, one bursty in the second window only; PDFs change after 10 minutes."""
    pdfs = {"input_tokens": "{10: 1.0}", "output_tokens": "{100: 0.5, 200: 0.5}", "reason_ratio": "{0.25: 1.0}"}
    empty = dict.fromkeys(pdfs, "{}")
    files = {
        "chunk-0-trace.csv": "0,2.0,1.0,Gamma,1.0,0.5\n600,1.0,1.0,Weibull,1.0,1.0\n1200,0,0,,0,0\n",
        "chunk-0-dataset.json": json.dumps(
            {"0": pdfs, "600": {**pdfs, "input_tokens": "{20: 0.3, 30: 0.1}"}, "1200": empty}
        ),
        "chunk-1-trace.csv": "0,0,0,,0,0\n600,0.5,4.0,Gamma,0.0625,32\n",
        "chunk-1-dataset.json": json.dumps({"0": {**pdfs, "input_tokens": "{77: 1.0}"}}),
    }
    with tarfile.open(path, "w:gz") as archive:
        for folder in folders:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"ServeGen-main/data/reason/{folder}/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))


def test_servegen_keeps_each_window_and_its_distributions(tmp_path):
    servegen_archive(tmp_path / "s.tar.gz", ("m-large", "deepseek-r1"))
    requests = replayed(tmp_path, path="s.tar.gz", format="servegen")
    first = requests.arrival_ns < 600 * 10**9
    assert len(requests) == 1200 + 600 + 300
    assert first.sum() == 1200
    assert requests.arrival_ns[-1] < 1200 * 10**9
    assert np.all(np.diff(requests.arrival_ns) >= 0)
    assert set(requests.prompt_tokens[first]) == {10}
    later = requests.prompt_tokens[~first]
    assert np.count_nonzero(later == 77) == 300
    assert np.count_nonzero(later == 20) == pytest.approx(450, abs=4 * (600 * 0.75 * 0.25) ** 0.5)
    assert np.count_nonzero(requests.output_tokens == 100) == pytest.approx(1050, abs=4 * (2100 * 0.25) ** 0.5)
    assert np.array_equal(requests.reasoning_tokens, requests.output_tokens // 4)
    burst = np.diff(requests.arrival_ns[~first][later == 77])
    assert burst.std() / burst.mean() > 2.5  # CV 4 in the pool


def test_servegen_is_drawn_anew_in_each_replication_and_recordings_are_not(tmp_path):
    servegen_archive(tmp_path / "s.tar.gz")
    (tmp_path / "t.csv").write_text(CSV + "0,5,5\n1,6,6\n")
    for name, form, same in (("s.tar.gz", "servegen", False), ("t.csv", "csv", True)):
        draws = [replayed(tmp_path, path=name, format=form, replication=r).arrival_ns.tobytes() for r in (0, 0, 1)]
        assert draws[0] == draws[1]
        assert (draws[0] == draws[2]) is same


def test_servegen_window_is_the_same_part_of_the_whole(tmp_path):
    servegen_archive(tmp_path / "s.tar.gz")
    whole = replayed(tmp_path, path="s.tar.gz", format="servegen")
    part = replayed(tmp_path, path="s.tar.gz", format="servegen", start_s=300.0, end_s=900.0)
    inside = (whole.arrival_ns >= 300 * 10**9) & (whole.arrival_ns < 900 * 10**9)
    assert np.array_equal(part.arrival_ns, whole.arrival_ns[inside] - 300 * 10**9)
    assert np.array_equal(part.output_tokens, whole.output_tokens[inside])


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setenv("TRILEMMA_DATA", str(DATA))


@needs_data
@pytest.mark.parametrize(
    ("trace", "count", "minutes", "prompt", "output", "cv"),
    [
        ("azure2023-conv", 19_366, 58.4, 1154.7, 211.1, None),
        ("azure2023-code", 8_819, 57.3, 2047.8, 27.9, 13),
    ],
)
def test_azure_2023(public, trace, count, minutes, prompt, output, cv):
    """Counts, means and burstiness as published with Splitwise and restated in the data's index."""
    requests = replayed(trace=trace)
    assert len(requests) == count
    assert requests.arrival_ns[0] == 0
    assert requests.arrival_ns[-1] / 60e9 == pytest.approx(minutes, abs=0.05)
    assert requests.prompt_tokens.mean() == pytest.approx(prompt, abs=0.1)
    assert requests.output_tokens.mean() == pytest.approx(output, abs=0.1)
    gaps = np.diff(requests.arrival_ns)
    assert cv is None or gaps.std() / gaps.mean() == pytest.approx(cv, abs=0.5)


def ideal_hits(requests):
    """With a cache that forgets nothing: hits over all blocks, and over all tokens; one request after another."""
    seen, hits, tokens = set(), 0, 0
    for i in range(len(requests)):
        part = segments(requests, i)
        known = 0
        while known < len(part) and part[known][0] in seen:
            known += 1
        hits += known
        tokens += part[known - 1][1] if known else 0
        seen.update(stream for stream, _ in part)
    return hits / len(requests.segment_stream), tokens / requests.prompt_tokens.sum(), len(seen)


@needs_data
@pytest.mark.parametrize(
    ("trace", "count", "by_block", "by_token", "ids"),
    [
        ("mooncake-conversation", 12_031, 0.366, 0.374, 182_790),
        ("mooncake-synthetic", 3_993, 0.640, 0.651, 43_924),
    ],
)
def test_mooncake(public, trace, count, by_block, by_token, ids):
    """The published ideal hit rate of 36.6 % counts blocks. As many streams as ids: an id fixes what is before it."""
    requests = replayed(trace=trace)
    assert len(requests) == count
    blocks, tokens, streams = ideal_hits(requests)
    assert blocks == pytest.approx(by_block, abs=0.0005)
    assert tokens == pytest.approx(by_token, abs=0.0005)
    assert streams == ids


@needs_data
def test_servegen_day_of_deepseek_r1(public):
    """The pool's aggregates, added up from it independently: 10-minute rates and the PDFs of the whole day."""
    requests = replayed(trace="servegen-deepseek-r1")

    def aggregate(name):
        return np.loadtxt(DATA / f"traces/servegen/reason_deepseek-r1_{name}.csv", delimiter=",", skiprows=1).T

    starts, rates = aggregate("rate_10min")
    assert np.array_equal(starts, np.arange(144) * 600)
    counts = np.bincount(requests.arrival_ns // (600 * 10**9))
    assert counts == pytest.approx(rates * 600, rel=1e-4)  # the file has six digits
    for name, column in (
        ("input_tokens", requests.prompt_tokens),
        ("output_tokens", requests.output_tokens),
        ("reason_ratio", requests.reasoning_tokens / requests.output_tokens),
    ):
        values, shares = aggregate(f"{name}_pdf")
        assert column.mean() == pytest.approx((values * shares).sum(), rel=0.005)
        assert np.median(column) == pytest.approx(values[np.searchsorted(np.cumsum(shares), 0.5)], rel=0.02)


@needs_data
def test_the_real_bench_result_replays_at_the_rate_that_it_was_sent(tmp_path):
    path = DATA / "vllm/bench_serve_sample.json"
    requests = replayed(path=str(path), format="vllm-bench")
    result = json.loads(path.read_text())
    assert len(requests) == result["completed"]
    assert requests.prompt_tokens.sum() == result["total_input_tokens"]
    assert requests.output_tokens.sum() == result["total_output_tokens"]
    # vLLM sends the last of n at n / rate after the start, the first after a gap; this counts from the first.
    assert requests.arrival_ns[-1] / 1e9 == pytest.approx(50 / result["request_rate"], rel=0.1)
