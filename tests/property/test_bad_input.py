"""Malformed scenarios and traces through the command line: one sentence that names key or file, and exit 2."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.scenario.reading import MAX_BYTES
from tests.property.bad_input import BASE, GONE, complaint, spoilt, write
from tests.property.from_schema import scenarios
from ui.cli import main

FIXED = {"kind": "fixed", "tokens": 10}
ARRIVALS = "workload.arrivals"
LENGTHS = "workload.lengths"

KEYS = [
    # wrong types
    ("schema_version", "1"),
    ("schema_version", 2),
    ("name", 3),
    ("name", "two words"),
    ("name", ""),
    ("name", "../../etc/passwd"),
    ("description", ["a"]),
    ("model", None),
    ("model", 67),
    ("workload", []),
    ("workload", "azure2023-conv"),
    ("workload.num_prompts", "20"),
    ("workload.num_prompts", 1.5),
    ("workload.num_prompts", True),
    ("workload.classes", {}),
    ("engine", None),
    ("engine", "fast"),
    ("engine.dtype", 16),
    ("engine.enforce_eager", "yes"),
    ("engine.enable_prefix_caching", 1),
    ("fleet", {}),
    ("fleet", []),
    ("fleet", [[]]),
    ("fleet.0.tensor_parallel_size", "four"),
    ("fleet.0.replicas", 2.0),
    ("fleet.0.engine", []),
    ("router", "random"),
    ("slo", 99),
    ("slo.ttft_ms", "1s"),
    ("slo.ttft_ms", [1]),
    ("run.seed", 0.5),
    ("run.seed", None),
    # missing and unknown keys, unknown kinds
    ("model", GONE),
    ("schema_version", GONE),
    ("fleet.0.gpu", GONE),
    ("workload.kind", GONE),
    (ARRIVALS, GONE),
    (f"{ARRIVALS}.kind", GONE),
    (f"{ARRIVALS}.request_rate", GONE),
    ("replicas", 3),
    ("engine.max_num_sequences", 3),
    ("fleet.0.tp", 4),
    ("slo.p99_ttft_ms", 500),
    (f"{ARRIVALS}.burstiness", 1.0),
    (f"{ARRIVALS}.kind", "uniform"),
    (f"{ARRIVALS}.kind", ["poisson"]),
    (f"{ARRIVALS}.kind", None),
    (f"{LENGTHS}.kind", "normal"),
    ("router.kind", "fastest"),
    ("step_time.kind", "guess"),
    ("workload.kind", "trace"),
    # out of range
    (f"{ARRIVALS}.request_rate", 0),
    (f"{ARRIVALS}.request_rate", -1.5),
    ("workload.num_prompts", 0),
    ("workload.num_prompts", 10**12),
    ("workload.reasoning_share", 1.1),
    (f"{LENGTHS}.input.tokens", 0),
    (f"{LENGTHS}.input.tokens", 10**9),
    (f"{LENGTHS}.output.range_ratio", 1.0),
    ("engine.gpu_memory_utilization", 0),
    ("engine.gpu_memory_utilization", 92),
    ("engine.block_size", 17),
    ("engine.max_num_seqs", 0),
    ("engine.watermark", 1.0),
    ("fleet.0.tensor_parallel_size", 0),
    ("fleet.0.replicas", -2),
    ("fleet.0.usd_per_gpu_hour", -1),
    ("fleet.0.market", "stolen"),
    ("router.staleness_ms", -5),
    ("slo.ttft_ms", 0),
    ("slo.percentile", 101),
    ("run.seed", -1),
    ("run.replications", 0),
    ("run.replications", 1001),
    ("run.max_time_s", 0),
    ("run.max_time_s", 1e300),
    ("run.max_time_s", 1e-300),
    ("fleet.0.usd_per_gpu_hour", 1e308),
    ("workload.classes", [{"name": "a", "share": 1, "priority": 2**31}]),
    # parts that contradict each other
    ("workload", {"kind": "trace"}),
    ("workload", {"kind": "trace", "path": "x.csv"}),
    ("workload", {"kind": "trace", "trace": "azure2023-conv", "path": "x.csv", "format": "csv"}),
    ("workload", {"kind": "trace", "trace": "azure2023-conv", "start_s": 10, "end_s": 5}),
    ("overrides", {"a": 3}),
    ("scenarios", {"a": ["nope"]}),
]


@pytest.mark.parametrize(("path", "value"), KEYS)
def test_bad_keys(tmp_path, capsys, path, value):
    file = write(tmp_path, spoilt(path, value))
    said = complaint(["run", file], capsys)
    assert str(file) in said
    assert path.split(".")[-1] in said.removeprefix(f"trilemma: {file}")


TEXTS = [
    ("", "null"),
    ("- a\n- b\n", "list"),
    ("just words", "just words"),
    ("a: [1, 2", "line 1"),
    ("a: 1\n b: 2\n", "line 2"),
    ("a: 'never closed\n", "not valid YAML"),
    ("name: a\nname: b\n", "line 2: the key 'name' is given twice"),
    ("fleet: [{gpu: a, gpu: b}]", "'gpu' is given twice"),
    ("a: 1\n---\nb: 2\n", "second document"),
    ("run: {seed: .nan}", "finite"),
    ("run: {max_time_s: .inf}", "finite"),
    ("run: {max_time_s: 1e400}", "finite"),
    ("run: {seed: 123456789012345678901234567890}", "64 bits"),
    ("run: {seed: " + "7" * 100_000 + "}", "64 bits"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n", "anchor or alias 'a'"),
    ("<<: *base\n", "alias"),
    ("a: !!python/object/apply:os.system ['true']\n", "tag"),
    ("a: !include secrets.yaml\n", "tag"),
    ("[" * 5000, "deep"),
    ("a: {" * 5000, "deep"),
    ("? {a: b}\n: c\n", "key"),
    ("a: \x07\n", "not a text file"),
    ('model: "a\\0b.json"\n', "NUL"),
    ("%YAML 9.9\n---\na: 1\n", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "fault"), TEXTS)
def test_bad_yaml(tmp_path, capsys, text, fault):
    file = write(tmp_path, text)
    said = complaint(["check", file], capsys)
    assert f"{file}" in said
    assert fault in said


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01\x02",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\x7fELF\x02\x01",
        gzip.compress(b"a: 1", mtime=0),
        b"\xff\xfea\x00",
        b"a: \xc3(",
    ],
)
def test_binary_files(tmp_path, capsys, content):
    file = tmp_path / "case.yaml"
    file.write_bytes(content)
    assert str(file) in complaint(["run", file], capsys)


def test_files_that_are_none(tmp_path, capsys):
    assert "found a folder" in complaint(["run", tmp_path], capsys)
    assert "found none" in complaint(["run", tmp_path / "no.yaml"], capsys)
    assert "found a device" in complaint(["run", "/dev/null"], capsys)
    assert "too long" in complaint(["run", f"{'x' * 300}.yaml"], capsys)
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert "big.yaml" in complaint(["run", tmp_path / "big.yaml"], capsys)
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "pipe.yaml" in complaint(["run", tmp_path / "pipe.yaml"], capsys)
    (tmp_path / "new\nline.yaml").write_text("[")
    complaint(["run", tmp_path / "new\nline.yaml"], capsys)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert "loop.yaml" in complaint(["run", tmp_path / "loop.yaml"], capsys)


UNBUILDABLE = [
    ("workload.classes", [{"name": "a", "share": 1}, {"name": "a", "share": 2}], "class names must differ"),
    ("fleet", [{"pool": "a", "gpu": "h100-sxm-80gb"}] * 2, "pool names must differ"),
    # what the schema alone cannot tell: the sentence names the pool or the thing
    ("model", "deepseek-llm-68b", "deepseek-llm-68b"),
    ("model", "no/such/config.json", "config.json"),
    ("model", "case.yaml", "case.yaml"),
    ("model", "bad.json", "bad.json"),
    ("model", "list.json", "list.json"),
    ("fleet.0.gpu", "h100", "h100"),
    ("fleet.0.tensor_parallel_size", 3, "tensor_parallel_size"),
    ("fleet.0.tensor_parallel_size", 128, "tensor_parallel_size"),
    ("fleet.0.tensor_parallel_size", 2**62, "tensor_parallel_size"),
    ("fleet.0.pipeline_parallel_size", 1000, "pipeline_parallel_size"),
    ("fleet.0.tensor_parallel_size", 1, "fleet.0"),
    ("engine.gpu_memory_utilization", 0.01, "does not fit"),
    ("engine.max_model_len", 10**9, "max_model_len"),
    ("engine.max_num_batched_tokens", 10**15, "fleet.0"),
    ("engine.max_num_seqs", 10**15, "max_num_seqs"),
    ("engine.kv_cache_memory_bytes", 1, "fleet.0"),
    ("engine.num_gpu_blocks_override", 2, "fleet.0"),
    ("engine.kv_cache_dtype", "fp8_ds_mla", "kv_cache_dtype"),
    ("engine", {"gpu_memory_utilization": 0.9, "max_num_seqs": 512, "max_num_batched_tokens": 256}, "max_num_"),
    ("step_time", {"kind": "table", "path": "no.csv"}, "no.csv"),
    ("step_time", {"kind": "table", "path": "bad.json"}, "bad.json"),
    ("step_time", {"kind": "table", "path": "."}, "fleet.0"),
    (LENGTHS, {"kind": "empirical", "table": "azure2022"}, "azure2022"),
    (LENGTHS, {"kind": "empirical", "table": "bad.json"}, "bad.json"),
    ("workload", {"kind": "trace", "trace": "azure2022"}, "azure2022"),
    ("workload", {"kind": "trace", "trace": "azure2023-conv"}, "azure2023-conv"),
    ("workload", {"kind": "trace", "path": "no.csv", "format": "csv"}, "no.csv"),
    ("workload", {"kind": "trace", "path": ".", "format": "azure"}, "directory"),
    ("fleet", [{"pool": "a", "gpu": "h200-sxm-141gb", "tensor_parallel_size": 8, "model": "r1"}], "'r1'"),
    ("workload.classes", [{"name": "a", "share": 1, "model": "deepseek-r1"}], "deepseek-r1"),
]


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(("path", "value", "named"), UNBUILDABLE)
def test_scenarios_that_cannot_be_built(tmp_path, capsys, monkeypatch, command, path, value, named):
    monkeypatch.delenv("TRILEMMA_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "bad.json").write_text('{"layers": ')
    (tmp_path / "list.json").write_text("[1, 2]")
    file = write(tmp_path, spoilt(path, value))
    said = complaint([command, file], capsys)
    assert str(file) in said
    assert named in said.removeprefix(f"trilemma: {file}")


CSV = "arrival_s,input_tokens,output_tokens\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
TRACES = [
    ("csv", "", "trace"),
    ("csv", CSV, "trace"),
    ("csv", "time,in,out\n0,1,1\n", "arrival_s"),
    ("csv", CSV + "0,100\n", "line 2"),
    ("csv", CSV + "0,100,10\n1,ten,10\n", "line 3"),
    ("csv", CSV + "0,-5,10\n", "line 2"),
    ("csv", CSV + "nan,5,10\n", "line 2"),
    ("csv", CSV + "-1,5,10\n", "line 2"),
    ("csv", CSV + "5,100,10\n4,100,10\n", "line 3"),
    ("csv", CSV + f"0,{10**30},10\n", "line 2"),
    ("csv", b"\x89PNG\r\n\x1a\n\x00", "trace"),
    ("csv", gzip.compress((CSV + "0,100,10\n" * 5000).encode())[:-20], "truncated"),
    ("azure", AZURE + "2023-11-16 18:15:4", "line 3"),
    ("azure", AZURE + "2023-11-16 18:15:40.0,10,10\n", "line 3"),
    ("azure", CSV + "0,1,1\n", "header"),
    ("mooncake", '{"timestamp": 0, "input_length": 512', "line 1"),
    ("mooncake", '{"timestamp": 0}\n', "line 1"),
    ("mooncake", "[]\n", "line 1"),
    ("vllm-bench", '{"start_times": [0.0]}', "input_lens"),
    ("servegen", "not an archive", "trace"),
    ("qwen-bailian", "{}\n", "line 1"),
    ("burstgpt", "Timestamp,Model\n1,ChatGPT\n", "header"),
]


@pytest.mark.parametrize(("form", "content", "named"), TRACES)
def test_bad_traces(tmp_path, capsys, form, content, named):
    (tmp_path / "trace").write_bytes(content if isinstance(content, bytes) else content.encode())
    file = write(tmp_path, spoilt("workload", {"kind": "trace", "path": "trace", "format": form}))
    said = complaint(["run", file], capsys)
    assert str(tmp_path / "trace") in said
    assert named in said


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["run", "no-such-scenario"], "no-such-scenario"),
        (["run", "{bomb}"], "alias"),
        (["check", "{folder}"], "folder"),
        (["check", "{bad}"], "replicas"),
        (["run", "{bad}", "--json", "-"], "replicas"),
        (["data", "get", "nothing"], "nothing"),
    ],
)
def test_as_real_processes(tmp_path, argv, named):
    (tmp_path / "bomb.yaml").write_text(
        "a: &a [x, x, x]\n"
        + "".join(f"{c}: &{c} [{f'*{b}, ' * 9}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True))
    )
    (tmp_path / "bad.yaml").write_text(json.dumps(spoilt("fleet.0.replicas", -3)))
    places = {"bomb": tmp_path / "bomb.yaml", "bad": tmp_path / "bad.yaml", "folder": tmp_path}
    command = [sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, *(word.format(**places) for word in argv)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("trilemma: ")
    assert named in done.stderr


def test_there_are_enough_of_them():
    assert len(KEYS) + len(TEXTS) + len(UNBUILDABLE) + len(TRACES) >= 60


# --- the property: whatever is done to a valid scenario, `check` says ok or one sentence

RICH = spoilt(
    "workload.classes", [{"name": "a", "share": 1, "sessions": {"turns": 2, "think_s": 1}}, {"name": "b", "share": 2}]
)
RICH["engine"] |= {"max_num_batched_tokens": 2048, "max_num_seqs": 64, "max_model_len": 2048}
RICH |= {"overrides": {"more": {"fleet.0.replicas": 3, "run": {"seed": 1}}}, "scenarios": {"busy": ["more"]}}
TRACED = spoilt("workload", {"kind": "trace", "path": "trace.csv", "format": "csv", "end_s": 60})

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["poisson", "gamma", "deepseek-r1", "h200-sxm-141gb", "fp8", "a.b", "0", "kind", "1e3"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
known_words = sorted({word for word in json.dumps([RICH, TRACED]).replace('"', " ").split() if word.isidentifier()})


def places(data):
    """Yield every (container, key) in the data."""
    pairs = list(data.items()) if isinstance(data, dict) else list(enumerate(data)) if isinstance(data, list) else []
    for key, value in pairs:
        yield data, key
        yield from places(value)


@st.composite
def mutants(draw):
    data = json.loads(json.dumps(draw(st.sampled_from([BASE, RICH, TRACED]))))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(data))
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        what = draw(st.sampled_from(["replace", "delete", "rename", "insert", "nudge", "wrap"]))
        if what == "replace":
            holder[key] = draw(anything)
        elif what == "delete":
            del holder[key]
        elif what == "wrap":
            holder[key] = [holder[key]]
        elif what == "nudge" and isinstance(holder[key], int | float):
            holder[key] = holder[key] * draw(st.sampled_from([-1, 0, 0.5, 3, 1000, 10**9]))
        elif isinstance(holder, dict):
            name = draw(st.sampled_from(known_words) | st.text(max_size=6))
            holder[name] = holder.pop(key) if what == "rename" else draw(anything)
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mutants")
    (path / "trace.csv").write_text(CSV + "0,100,10\n2,50,5\n")
    return path


@given(mutants())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutants_are_ok_or_one_sentence(folder, capsys, data):
    # json writes NaN and Infinity as bare words, which YAML reads as texts: as bad as any other.
    file = write(folder, data)
    code = main(["check", str(file)])
    out, err = capsys.readouterr()
    assert code in (0, 2)
    assert (out != "") == (code == 0) or "--scenario" in err
    assert len(err.splitlines()) == (1 if code == 2 else 0)
    if code == 2:
        assert err.startswith(f"trilemma: {file}")


@given(scenarios())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_schema_allows_runs_or_is_one_sentence(folder, capsys, data):
    """Whole runs of random scenarios, numbers at the edges of their ranges included."""
    file = write(folder, data)
    code = main(["run", str(file), "--quiet", "--out", str(folder / "out")])
    err = capsys.readouterr().err
    shutil.rmtree(folder / "out", ignore_errors=True)
    assert code in (0, 2)
    assert len(err.splitlines()) == (1 if code == 2 else 0)


@given(st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_corrupted_bytes_are_ok_or_one_sentence(folder, capsys, chance: random.Random):
    """Bytes of a valid file flipped, cut, doubled or moved."""
    content = bytearray(json.dumps(RICH, indent=1).encode())
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(content)), chance.randint(1, 20)
        piece = content[at : at + length]
        content[at : at + length] = chance.choice([b"", bytes(chance.randbytes(length)), piece * 2, piece[::-1]])
    (folder / "case.yaml").write_bytes(content)
    code = main(["check", str(folder / "case.yaml")])
    err = capsys.readouterr().err
    assert code in (0, 2)
    assert len(err.splitlines()) == (1 if code == 2 else 0)
