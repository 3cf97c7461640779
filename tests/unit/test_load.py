"""Scenario files: YAML read strictly, overrides merged, mistakes said in one sentence, the schema kept."""

import json
import re
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.scenario.load import load
from sim.scenario.overrides import merge, set_values
from sim.scenario.reading import MAX_BYTES, read_text
from sim.scenario.schema import schema, schema_json
from sim.scenario.sentences import show
from sim.shipped import FOLDER, find_scenario, scenario_names, shipped_scenario

BASE = {
    "schema_version": 1,
    "name": "case",
    "model": "deepseek-llm-7b",
    "workload": {
        "kind": "synthetic",
        "num_prompts": 10,
        "arrivals": {"kind": "poisson", "request_rate": 1},
        "lengths": {"input": {"kind": "fixed", "tokens": 10}, "output": {"kind": "fixed", "tokens": 5}}
        | {"kind": "separate"},
    },
    "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb"}, {"pool": "b", "gpu": "h100-sxm-80gb", "replicas": 2}],
}


@pytest.fixture
def write(tmp_path):
    def file(**change):
        path = tmp_path / "case.yaml"
        path.write_text(json.dumps(BASE | change))
        return path

    return file


# --- reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("-2.5e+4", -25000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),  # YAML 1.1 says 15
        ("1_000", "1_000"),  # YAML 1.1 says 1000
        ("12:30:45", "12:30:45"),  # YAML 1.1 says 45045
        ("2023-11-16", "2023-11-16"),  # YAML 1.1 says a date
        *((word, word) for word in ("on", "off", "yes", "no", "y", "n", "On", "NO")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("{a: [1, x], 3: y}", {"a": [1, "x"], "3": "y"}),
        ("- 1\n- [2, {b: }]\n", [1, [2, {"b": None}]]),
        ("[" * 32 + "]" * 32, json.loads("[" * 32 + "]" * 32)),
        ("# only a comment\n", None),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_yaml_1_2_core_schema(text, value):
    found = read_text(text, "here")
    assert found == value
    assert type(found) is type(value)


json_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", min_codepoint=1, max_codepoint=0xFFFF)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc.019", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(json_data)
def test_reads_json_as_json_does(data):
    """JSON is a subset of YAML 1.2: Python's own reader is the oracle."""
    text = json.dumps(data)
    assert read_text(text, "here") == json.loads(text)


@given(
    st.text(st.sampled_from(" \n\t:-?[]{},&*!|>'\"%@`#a1.~\\<=+é\u2028\x00\ud800"), max_size=40) | st.text(max_size=60)
)
def test_any_text_gives_data_or_one_sentence(text):
    with suppress(InputError):
        read_text(text, "here")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: &x 1\nb: *x", "line 1: .*anchor or alias 'x'"),
        ("a: 1\nb: *x", "line 2: .*anchor or alias 'x'"),
        ("a: !!python/object/apply:os.system [ls]", "tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: !!str 3", "tag"),
        ("!!set {a, b}", "tag"),
        ("a: 1\n---\nb: 2", "second document"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice"),
        ("x: {a: 1, 'a': 2}", "the key 'a' is given twice"),
        ("? [1, 2]\n: 3", "key"),
        ("a: .nan", "finite"),
        ("a: -.inf", "finite"),
        ("a: 1e999", "finite"),
        ("a: 9223372036854775808", "64 bits"),
        ("a: " + "9" * 5000, "64 bits"),
        ("[" * 33 + "]" * 33, "32 deep"),
        ("[" * 100_000, "deep"),
        ("a: {" * 1000, "deep"),
        ("a: 'x", "not valid YAML"),
        ("a: b: c", "line 1: not valid YAML"),
        ("\ta: 1", "not valid YAML"),
        ('"\\UFFFFFFFF"', "not valid YAML"),
        ("a: \x00", "not a text file"),
        ('a: "\\0"', "line 1: found a text with a NUL character"),
    ],
)
def test_refused_yaml(text, fault):
    with pytest.raises(InputError, match=f"^here.*{fault}") as caught:
        read_text(text, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "found null, expected the keys of a scenario"),
        (b"- 1\n", "found a list of 1"),
        (b"hello", 'found "hello"'),
        (b"a: \xff\xfe", "not a UTF-8 text file"),
        (b"\x7fELF\x02\x01\x01\x00", "not a text file"),
        ("a: 1".encode("utf-16"), "UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger than 1,000,000 bytes"),
    ],
)
def test_files_that_are_no_scenario(tmp_path, content, fault):
    path = tmp_path / "case.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}.*{fault}"):
        load(path)


# --- merging and setting


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"x": 1, "y": 2}}, {"a.y": 3}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b.c": 3}}, {"a": {"b": {"c": 3, "d": 2}}}),
        ({"a": [1, 2, 3]}, {"a": [4]}, {"a": [4]}),
        ({"a": [{"x": 1, "y": 1}, {"x": 2}]}, {"a.0.x": 9}, {"a": [{"x": 9, "y": 1}, {"x": 2}]}),
        ({"a": {"kind": "p", "x": 1}}, {"a": {"kind": "q"}}, {"a": {"kind": "q"}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": {"kind": "p", "y": 2}}, {"a": {"kind": "p", "x": 1, "y": 2}}),
        ({"a": {"kind": "p", "x": 1}}, {"a": {"x": 2}}, {"a": {"kind": "p", "x": 2}}),
        ({"a": {"kind": "p", "x": 1}}, {"a.kind": "q"}, {"a": {"kind": "q", "x": 1}}),
        ({}, {"a.b.c": 1}, {"a": {"b": {"c": 1}}}),
        ({"a": None}, {"a.b": 1}, {"a": {"b": 1}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
    ],
)
def test_merge(base, patch, merged):
    before = json.dumps(base)
    assert merge(base, patch, "here") == merged
    assert json.dumps(base) == before


def test_set_values_are_yaml_and_apply_in_order():
    data = {"run": {"seed": 0}, "fleet": [{"replicas": 1}]}
    sets = ["run.seed=1", "run.seed=2", "fleet.0.replicas=1e1", "slo={ttft_ms: 5}", "slo.tpot_ms=0.5", "name=a=b", "x="]
    assert set_values(data, sets) == {
        "run": {"seed": 2},
        "fleet": [{"replicas": 10.0}],
        "slo": {"ttft_ms": 5, "tpot_ms": 0.5},
        "name": "a=b",
        "x": None,
    }


@pytest.mark.parametrize(
    "setting",
    ["run.seed", "=3", "a..b=3", "fleet.2.replicas=3", "fleet.-1.replicas=3", "fleet.x=3", "name.x=3", "fleet.²=1"],
)
def test_settings_that_lead_nowhere(write, setting):
    with pytest.raises(InputError, match=f"^--set {re.escape(setting)}: "):
        load(write(), [setting])


# --- loading


def test_defaults_and_provenance(write):
    path = write()
    loaded = load(path)
    assert loaded.scenario.engine.gpu_memory_utilization == 0.92
    assert (loaded.source, loaded.base_dir, loaded.variants) == (path, path.parent, ())


def test_the_hash_is_of_what_is_meant(write, tmp_path):
    plain = load(write()).sha256
    assert load(write(router={"kind": "least_outstanding"}, run={"seed": 0})).sha256 == plain
    assert load(write(run={"seed": 1})).sha256 != plain
    assert load(write(), ["run.seed=1"]).sha256 == load(write(run={"seed": 1})).sha256
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(dict(reversed(BASE.items()))))
    assert load(path).sha256 == plain


def test_scenarios_apply_override_groups_in_order(write):
    path = write(
        overrides={
            "busy": {"workload.arrivals.request_rate": 9, "run": {"seed": 3}},
            "big": {"fleet.1.replicas": 7, "run.seed": 4},
            "ramp": {"workload": {"arrivals": {"kind": "ramp", "start_rate": 0, "end_rate": 2, "duration_s": 60}}},
        },
        scenarios={"both": ["busy", "big"], "back": ["big", "busy"], "ramp": ["ramp"]},
    )
    both = load(path, scenario="both").scenario
    assert (both.workload.arrivals.request_rate, both.fleet[1].replicas, both.run.seed) == (9, 7, 4)
    assert load(path, scenario="back").scenario.run.seed == 3
    assert load(path, ["run.seed=5"], scenario="both").scenario.run.seed == 5
    assert load(path, scenario="ramp").scenario.workload.arrivals.end_rate == 2
    assert load(path).scenario.run.seed == 0
    assert load(path).variants == ("both", "back", "ramp")


@pytest.mark.parametrize(
    ("change", "chosen", "fault"),
    [
        ({"scenarios": {"x": ["nope"]}}, None, 'scenarios.x: no override group "nope", overrides here: none'),
        ({"overrides": {"busy": {}}, "scenarios": {"x": ["bussy"]}}, None, "did you mean busy?"),
        ({"scenarios": {"x": "busy"}}, None, 'scenarios.x: found "busy", expected a list'),
        ({"scenarios": ["x"]}, None, "scenarios: found a list of 1, expected a block"),
        ({"overrides": {"busy": 3}}, None, "overrides.busy: found 3, expected a block"),
        ({"scenarios": {"busy": []}}, "bussy", 'no scenario named "bussy", did you mean busy?'),
        (
            {"overrides": {"o": {"fleet.5.replicas": 1}}, "scenarios": {"x": ["o"]}},
            "x",
            "overrides.o: fleet.5.replicas",
        ),
        ({"overrides": {"o": {"run.sed": 1}}, "scenarios": {"x": ["o"]}}, "x", "--scenario x: unknown key run.sed"),
    ],
)
def test_bad_variants(write, change, chosen, fault):
    path = write(**change)
    with pytest.raises(InputError) as caught:
        load(path, scenario=chosen)
    assert str(caught.value).startswith(str(path))
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("run.sed=1", "unknown key run.sed, did you mean seed?"),
        ("engine.max-num-seqs=3", "unknown key engine.max-num-seqs, did you mean max_num_seqs?"),
        ("run.zzz=1", "unknown key run.zzz, known here: seed, replications, max_time_s, state"),
        ("workload.arrivals.burstines=1", "unknown key workload.arrivals.burstines, known here: kind, request_rate"),
        (
            "fleet.1.tensor_paralel_size=4",
            "unknown key fleet.1.tensor_paralel_size, did you mean tensor_parallel_size?",
        ),
        (
            "fleet.1.tensor_parallel_size=four",
            'fleet.1.tensor_parallel_size: found "four", expected an integer at least 1',
        ),
        ("fleet.0.replicas=-1", "fleet.0.replicas: found -1, expected an integer at least 0 and at most 10,000"),
        (
            "fleet.0.replicas=0",
            "the file: fleet.0.replicas: found 0, expected at least 1 where no autoscaler or fallback_for adds any",
        ),
        ("fleet.0.engine={dtype: int7}", 'fleet.0.engine.dtype: found "int7", expected one of auto, bfloat16, float16'),
        ("fleet=[]", "fleet: found a list of 0, expected a list of at least 1"),
        ("run.seed=1.5", "run.seed: found 1.5, expected an integer at least 0"),
        ("run.seed=true", "run.seed: found true, expected an integer at least 0"),
        ("engine.enforce_eager=yes", 'engine.enforce_eager: found "yes", expected true or false'),
        ("engine.enforce_eager=1", "engine.enforce_eager: found 1, expected true or false"),
        ("engine.block_size=17", "engine.block_size: found 17, expected one of 1, 2, 4, 8"),
        (
            "engine.gpu_memory_utilization=0",
            "engine.gpu_memory_utilization: found 0, expected a number above 0 and at most 1",
        ),
        ("slo.ttft_ms='500'", 'slo.ttft_ms: found "500", expected a number at least 1e-09'),
        ("name=a b", 'name: found "a b", expected a text that matches'),
        ("model=3", "model: found 3, expected a text"),
        ("slo=null", "slo: found null, expected a block of keys"),
        ("workload.arrivals=3", "workload.arrivals: found 3, expected a block with kind: closed_loop or"),
        ("workload.arrivals.kind=poison", 'workload.arrivals.kind: found "poison", did you mean poisson?'),
        ("workload.arrivals.kind=3", "workload.arrivals.kind: found 3, expected one of"),
        ("engine.batching.policy=statik", 'engine.batching.policy: found "statik", did you mean static?'),
        (
            "engine.batching={batch_size: 3}",
            "engine.batching.policy is missing, expected one of static, timer, two_level",
        ),
        ("engine.batching=3", "engine.batching: found 3, expected a block with policy: static or timer or two_level"),
        ("router={staleness_ms: 3}", "router.kind is missing, expected one of kv_aware, least_outstanding"),
        (
            "workload.arrivals={kind: gamma}",
            "workload.arrivals.request_rate is missing, expected a number at least 1e-09 and",
        ),
        ("workload={kind: trace}", "workload: give either trace (a named public trace) or path and format"),
        (
            "workload={kind: trace, trace: a, end_s: 0.5, start_s: 1}",
            "workload: end_s (0.5) must be after start_s (1.0)",
        ),
        ("fleet.1.pool=a", "the file: pool names must differ, found ['a', 'a']"),
        ("schema_version=2", "schema_version: found 2, expected 1"),
        ("description=[1, 2]", "description: found a list of 2, expected a text"),
        ("model={}", "model: found a block, expected a text"),
    ],
)
def test_mistakes_are_sentences(write, setting, sentence):
    path = write()
    with pytest.raises(InputError) as caught:
        load(path, [setting])
    text = str(caught.value)
    assert text.startswith(f"{path} --set {setting}: {sentence}")
    assert "more)" not in text


def test_several_mistakes_say_the_first_and_how_many_more(write):
    path = write(fleet=[{"pool": "a", "gpu": 3, "replicas": -1}], modle="x")
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: unknown key modle, did you mean model? (and 2 more)"


@given(json_data)
def test_found_values_are_shown_in_one_short_line(data):
    text = show(data)
    assert len(text) <= 60
    assert text.isprintable()


# --- schema and shipped files


def test_kept_schema_is_current():
    assert (FOLDER / "schema.json").read_text() == schema_json(), "run: trilemma schema > scenarios/schema.json"


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenarios(name):
    path = shipped_scenario(name)
    assert path.read_text().startswith("# yaml-language-server: $schema=./schema.json\n")
    # PyYAML's own reader, so that ours is not its own witness; nothing shipped differs between YAML 1.1 and 1.2.
    data = yaml.safe_load(path.read_text())
    jsonschema.Draft202012Validator(schema()).validate(data)
    assert "gpu_memory_utilization" in data["engine"]
    loaded = load(path)
    assert loaded.scenario.name == name
    for variant in loaded.variants:
        assert load(path, scenario=variant).sha256 != loaded.sha256


def test_schema_refuses_what_the_loader_refuses():
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid(BASE)
    for bad in (
        {"modle": "x"},
        {"fleet": []},
        {"run": {"seed": -1}},
        {"scenarios": {"x": "y"}},
        {"router": {"kind": "z"}},
    ):
        assert not validator.is_valid(BASE | bad)


def test_names_of_scenarios(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"quickstart", "azure-conv", "azure-code", "mooncake"} <= set(scenario_names())
    assert find_scenario("quickstart") == FOLDER / "quickstart.yaml"
    assert find_scenario("quickstart.yaml") == Path("quickstart.yaml")
    assert find_scenario("./quickstart") == Path("./quickstart")
    with pytest.raises(InputError, match="quickstrt: no such file or shipped scenario, did you mean quickstart"):
        find_scenario("quickstrt")
    (tmp_path / "quickstart").mkdir()  # a folder shadows nothing
    assert find_scenario("quickstart") == FOLDER / "quickstart.yaml"
    (tmp_path / "mooncake").write_text("mine")
    assert find_scenario("mooncake") == Path("mooncake")
