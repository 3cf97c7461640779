"""Bad traces: one sentence each, that names the file and, where there is one, the line."""

import gzip
import io
import json
import tarfile

import pytest

from sim.errors import InputError
from tests.unit.test_traces import hashed, servegen_archive
from tests.unit.workload_cases import replayed

CSV = "arrival_s,input_tokens,output_tokens\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
T = "2023-11-16 18:15:46.6805900"
BENCH = {"start_times": [1.0], "input_lens": [3], "output_lens": [6], "errors": [""]}


def bench(**change):
    return json.dumps(BENCH | change)


@pytest.mark.parametrize(
    ("form", "content", "fault"),
    [
        ("csv", "", "header"),
        ("csv", CSV, "no requests"),
        ("csv", "arrival_s,input_tokens\n0,1\n", "header"),
        ("csv", "arrival_s,arrival_s,input_tokens,output_tokens\n0,0,1,1\n", "header"),
        ("csv", CSV + "0,1\n", "line 2: found 2 fields"),
        ("csv", CSV + "0,1,1,1\n", "line 2: found 4 fields"),
        ("csv", CSV + "0,1,1\n\n1,x,1\n", "line 4: input_tokens is 'x'"),
        ("csv", CSV + "0,1.5,1\n", "line 2: input_tokens"),
        ("csv", CSV + "0,-1,1\n", "line 2: input_tokens"),
        ("csv", CSV + "0,1,10000001\n", "line 2: output_tokens"),
        ("csv", CSV + "0,1,0\n", "line 2"),
        ("csv", CSV + "nan,1,1\n", "line 2: arrival_s is 'nan'"),
        ("csv", CSV + "inf,1,1\n", "line 2: arrival_s"),
        ("csv", CSV + "-1,1,1\n", "line 2: arrival_s"),
        ("csv", CSV + ",1,1\n", "line 2: arrival_s"),
        ("csv", CSV + "1e300,1,1\n", "line 2: arrival_s"),
        ("csv", CSV + "2,1,1\n1,1,1\n", "line 3: .*rising"),
        ("csv", CSV + '0,1,"1', "line 2: not CSV"),
        ("csv", CSV + "0,1," + "9" * 200_000 + "\n", "line 2: not CSV"),
        ("csv", CSV.strip() + ",class\n" + "".join(f"{k},1,1,c{k}\n" for k in range(1002)), "line 1002: found class"),
        ("csv", b"\xff\xfe\x00", "line 1: .*UTF-8"),
        ("csv", CSV.encode() + b"0,1,\xc3", "line 2: .*UTF-8"),
        ("csv", gzip.compress((CSV + "0,1,1\n" * 9999).encode())[:-30], "damaged or truncated"),
        ("csv", b"\x1f\x8bnot gzip at all", "damaged or truncated"),
        ("azure", AZURE, "no requests"),
        ("azure", "TIMESTAMP,ContextTokens\n", "header"),
        ("azure", AZURE + f"{T},5,x\n", "line 2: GeneratedTokens"),
        ("azure", AZURE + "yesterday,5,5\n", "line 2: TIMESTAMP"),
        ("azure", AZURE + "NaT,5,5\n", "line 2: TIMESTAMP"),
        ("azure", AZURE + "2023-02-30 18:15:46,5,5\n", "line 2: TIMESTAMP"),
        ("azure", AZURE + "2023-11-16 18:15:46+02:00,5,5\n", "line 2: TIMESTAMP"),
        ("azure", AZURE + f"{T},5,5\n2023-11-16 18:15:46.6805899,5,5\n", "line 3: .*rising"),
        ("burstgpt", BURST + "5,ChatGPT,NaN,18,490,API log\n", "line 2: Request tokens"),
        ("burstgpt", BURST + "5,ChatGPT,7,0,490,API log\n", "no requests"),
        ("mooncake", "", "no requests"),
        ("mooncake", "[1, 2]\n", "line 1: found a JSON list"),
        ("mooncake", hashed(0, 5, [1]) + '{"timestamp": 1, "input_len', "line 2: not a whole JSON object"),
        ("mooncake", "[" * 100_000, "line 1: not a whole JSON object"),
        ("mooncake", '{"timestamp": 0, "input_length": 5, "output_length": 5}\n', "line 1: found no key 'hash_ids'"),
        ("mooncake", hashed(0, 5, [1, 2]), "line 1: found 2 hash_ids for 5 tokens"),
        ("mooncake", hashed(0, 5, "12"), "line 1: hash_ids"),
        ("mooncake", hashed(0, 5, [True]), "line 1: hash_ids"),
        ("mooncake", hashed(0, 5, [2**64]), "line 1: hash_ids"),
        ("mooncake", hashed(0, 5.5, [1]), "line 1: input_length"),
        ("mooncake", hashed(0, True, [1]), "line 1: input_length"),
        ("mooncake", hashed(0, "5 tokens", [1]), "line 1: input_length"),
        ("mooncake", hashed(float("nan"), 5, [1]), "line 1: timestamp"),
        ("mooncake", hashed(10**400, 5, [1]), "line 1: timestamp"),
        ("mooncake", hashed(5, 5, [1]) + hashed(4, 5, [1]), "line 2: .*rising"),
        ("qwen-bailian", hashed(0, 5, [1]), "line 1: found no key 'type'"),
        ("qwen-bailian", hashed(None, 5, [1], type="text"), "line 1: timestamp"),
        ("vllm-bench", "", "line 1: not a whole JSON object"),
        ("vllm-bench", bench()[:-4], "line 1: not a whole JSON object"),
        ("vllm-bench", '{"completed": 5}', "--save-detailed"),
        ("vllm-bench", bench(input_lens=[3, 4]), "equally many"),
        ("vllm-bench", bench(start_times=["soon"]), "line 1: start_times"),
        ("vllm-bench", bench(errors=["timed out"]), "no requests"),
        ("servegen", "not a tar", "tar.gz"),
        ("servegen", "", "tar.gz"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*left out")
def test_bad_content(tmp_path, form, content, fault):
    name = "bad trace"
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=rf"^[^\n]*bad trace[^\n]*{fault}[^\n]*$") as caught:
        replayed(tmp_path, path=name, format=form)
    assert "\n" not in str(caught.value)


FORMS = ["azure", "mooncake", "burstgpt", "servegen", "qwen-bailian", "vllm-bench", "csv"]


@pytest.mark.parametrize("form", FORMS)
def test_directory_or_nothing_in_place_of_a_file(tmp_path, form):
    with pytest.raises(InputError, match="found a directory, expected a file"):
        replayed(tmp_path, path=".", format=form)
    with pytest.raises(InputError, match="No such file"):
        replayed(tmp_path, path="absent", format=form)


def test_nothing_in_the_window(tmp_path):
    (tmp_path / "t.csv").write_text(CSV + "0,1,1\n9,1,1\n")
    with pytest.raises(InputError, match=r"found no requests sent in \[2, 5\) s"):
        replayed(tmp_path, path="t.csv", format="csv", start_s=2.0, end_s=5.0)
    with pytest.raises(InputError, match="found no requests sent at 1e\\+12 s or later"):
        replayed(tmp_path, path="t.csv", format="csv", start_s=1e12)


def test_a_pace_that_the_clock_cannot_hold(tmp_path):
    (tmp_path / "t.csv").write_text(CSV + "0,1,1\n90000,1,1\n")
    with pytest.raises(InputError, match="rate_scale"):
        replayed(tmp_path, path="t.csv", format="csv", rate_scale=1e-6)


def test_lines_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("sim.workload.files.MAX_LINE", 1000)
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"x" * 100_000))
    with pytest.raises(InputError, match="line 1: larger than a trace may be"):
        replayed(tmp_path, path="t.gz", format="csv")


@pytest.mark.parametrize(
    ("trace", "data"),
    [
        ("0,2.0,1.0,Gamma\n", None),
        ("0,nan,1.0,Gamma,1.0,0.5\n", None),
        ("0,2.0,1.0,Cauchy,1.0,0.5\n", None),
        ("0,2.0,1.0,Gamma,-1.0,0.5\n", None),
        ("x,2.0,1.0,Gamma,1.0,0.5\n", None),
        (None, "{"),
        (None, '{"0": {}}'),
        (None, '{"0": {"input_tokens": "{}"}}'),
        (None, '{"0": {"input_tokens": "{5: x}", "output_tokens": "{}", "reason_ratio": "{}"}}'),
        (None, '{"0": {"input_tokens": 5, "output_tokens": "{}", "reason_ratio": "{}"}}'),
        (None, "[]"),
    ],
)
def test_bad_servegen_client(tmp_path, trace, data):
    good = {"input_tokens": "{5: 1.0}", "output_tokens": "{5: 1.0}", "reason_ratio": "{0: 1.0}"}
    files = {
        "pool/chunk-0-trace.csv": trace or "0,2.0,1.0,Gamma,1.0,0.5\n",
        "pool/chunk-0-dataset.json": data or json.dumps({"0": good}),
    }
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    with pytest.raises(InputError, match=r"^[^\n]*s\.tar\.gz: client chunk-0 [^\n]*$"):
        replayed(tmp_path, path="s.tar.gz", format="servegen")


def test_servegen_archives_that_hold_no_single_pool(tmp_path):
    servegen_archive(tmp_path / "two.tar.gz", ("m-large", "m-small"))
    with pytest.raises(InputError, match="found pools"):
        replayed(tmp_path, path="two.tar.gz", format="servegen")
    servegen_archive(tmp_path / "none.tar.gz", ())
    with pytest.raises(InputError, match="found pools"):
        replayed(tmp_path, path="none.tar.gz", format="servegen")
    servegen_archive(tmp_path / "whole.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:200])
    with pytest.raises(InputError, match="damaged"):
        replayed(tmp_path, path="cut.tar.gz", format="servegen")
