"""Study files: which designs they mean, and what is said of mistakes."""

import json
from itertools import product

import jsonschema
import pytest
import yaml

from sim.errors import InputError
from sim.scenario.load import load
from sim.scenario.overrides import set_values
from sim.shipped import FOLDER, shipped_scenario
from sim.study.study import as_text, find_study, read_study, schema_json
from sim.study.variations import short_keys, variations
from tests.unit.study_files import STUDY, write


def expand(folder, text=STUDY):
    path = write(folder, text)
    return variations(read_study(path), path)


def edited(old, new):
    assert old in STUDY
    return STUDY.replace(old, new)


def test_designs_are_crossed_with_the_grid(tmp_path):
    found = expand(tmp_path)
    places = [(one.name, one.point["fleet.0.replicas"], one.point["workload.arrivals.request_rate"]) for one in found]
    assert places == list(product(["h100", "a100"], [1, 2], [20, 40]))
    assert {one.design.source for one in found} == {str(tmp_path / "small.yaml")}
    assert found[5].label == "a100, replicas=1, request_rate=40"
    scenario = load(found[5].design.source, found[5].design.settings).scenario
    assert (scenario.fleet[0].gpu, scenario.fleet[0].replicas) == ("a100-sxm-80gb", 1)
    assert scenario.workload.arrivals.request_rate == 40


def test_what_a_baseline_leaves_open_is_as_in_the_design(tmp_path):
    assert [one.baseline for one in expand(tmp_path)] == [None] * 4 + [0, 1, 2, 3]
    partly = edited("{name: h100}", "{set: {fleet.0.replicas: 2}}")
    assert [one.baseline for one in expand(tmp_path, partly)] == [2, 3, None, None, 6, 7, None, None]
    whole = "{name: a100, set: {workload.arrivals.request_rate: 40, fleet.0.replicas: 2}}"
    assert [one.baseline for one in expand(tmp_path, edited("{name: h100}", whole))] == [7] * 7 + [None]
    assert {one.baseline for one in expand(tmp_path, edited("baseline: {name: h100}", ""))} == {None}


def test_what_is_said_of_fewer_designs_prevails(tmp_path):
    text = STUDY + "replications: 2\nseed: 7\nset: {fleet.0.gpu: l40s-48gb, run.seed: 8, fleet.0.pool: x}\n"
    (*_, last) = expand(tmp_path, text)
    scenario = load(last.design.source, last.design.settings).scenario
    assert (scenario.run.replications, scenario.run.seed) == (2, 8)
    assert (scenario.fleet[0].pool, scenario.fleet[0].gpu) == ("x", "a100-sxm-80gb")


def test_a_study_may_be_one_design(tmp_path):
    (only,) = expand(tmp_path, "schema_version: 1\nname: one\nscenario: quickstart\n")
    assert only.label == "the scenario"
    assert only.design.source == str(shipped_scenario("quickstart"))
    assert only.design.settings == ()


def test_a_scenario_beside_the_study_comes_before_a_shipped_one(tmp_path):
    (tmp_path / "quickstart").write_text("{}")
    (only,) = expand(tmp_path, "schema_version: 1\nname: one\nscenario: quickstart\n")
    assert only.design.source == str(tmp_path / "quickstart")


def test_blocks_and_lists_are_values_too(tmp_path):
    text = edited("fleet.0.replicas: [1, 2]", "router: [{kind: round_robin}, {kind: least_outstanding}]")
    found = expand(tmp_path, text)
    kinds = [load(one.design.source, one.design.settings).scenario.router.kind for one in found]
    assert kinds == ["round_robin", "round_robin", "least_outstanding", "least_outstanding"] * 2


@pytest.mark.parametrize(
    "value", [3, -0.5, 1e-7, 2**62, True, None, "a-b.c/d", "true", "Null", "3", "1e3", "", "é: {", "a\nb", [1, "x"], {}]
)
def test_settings_are_read_back_as_they_were(value):
    assert set_values({"a": 0}, [f"a={as_text(value)}"]) == {"a": value}


def test_keys_are_shortened_to_what_tells_them_apart():
    assert short_keys(["fleet.0.replicas", "run.seed"]) == {"fleet.0.replicas": "replicas", "run.seed": "seed"}
    assert list(short_keys(["fleet.0.gpu", "fleet.1.gpu"]).values()) == ["0.gpu", "1.gpu"]
    assert list(short_keys(["gpu", "fleet.0.gpu", "model"]).values()) == ["gpu", "0.gpu", "model"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("name: small", "", "name is missing, expected a text that matches"),
        ("name: small", "name: a/b", 'name: found "a/b", expected a text that matches'),
        ("schema_version: 1", "schema_version: true", "schema_version: expected a number, not true"),
        ("grid:", "gird:", "unknown key gird, did you mean grid?"),
        ("baseline: {name: h100}", "replications: 0", "replications: found 0, expected an integer at least 1"),
        ("baseline: {name: h100}", "seed: -1", "seed: found -1, expected an integer at least 0"),
        ("{name: h100}", "{name: h10}", 'baseline.name: found "h10", did you mean h100?'),
        ("{name: h100}", "{set: {run.seed: 1}}", "baseline.set: found run.seed, keys of the grid: fleet.0.replicas"),
        (
            "{name: h100}",
            "{set: {fleet.0.replicas: 3}}",
            "baseline.set.fleet.0.replicas: found 3, expected one of 1, 2",
        ),
        ("[1, 2]", "[]", "grid.fleet.0.replicas: found a list of 0, expected a list of at least 1"),
        ("[1, 2]", "3", "grid.fleet.0.replicas: found 3, expected a list of at least 1"),
        ("[1, 2]", "[1, 2, 1]", "grid.fleet.0.replicas: found 1 twice"),
        ("name: a100", "name: h100", "designs.1.name: found h100 again"),
        ("set: {fleet.0.gpu: a100", "set: {fleet.0.replicas: 2, fleet.0.gpu: a100", "designs.1.set: found fleet.0.rep"),
        ("[1, 2]", f"{list(range(1, 2502))}", "found 10,004 designs, expected at most 10,000"),
        ("small.yaml", "quickstrt", "quickstrt: no such file or shipped scenario, did you mean quickstart?"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, old, new, sentence):
    with pytest.raises(InputError) as error:
        expand(tmp_path, edited(old, new))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_grid_that_explodes_is_refused_at_once(tmp_path):
    grid = "\n".join(f"  key{i}: {list(range(100))}" for i in range(300))
    with pytest.raises(InputError, match="found a billion or more designs, expected at most 10,000"):
        expand(tmp_path, edited("grid:", f"grid:\n{grid}"))


@pytest.mark.parametrize("text", ["", "[]", "3"])
def test_what_is_no_study(tmp_path, text):
    with pytest.raises(InputError, match="expected the keys of a study"):
        expand(tmp_path, text)


def test_unknown_names():
    with pytest.raises(InputError, match=r"chat-gpu: no such file or shipped study, did you mean chat-gpus\?"):
        find_study("chat-gpu")


@pytest.mark.parametrize("name", ["chat-gpus", "batching"])
def test_shipped_studies_can_be_simulated(name):
    path = find_study(name)
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(schema_json()))
    for one in variations(read_study(path), path):
        load(one.design.source, one.design.settings)


def test_the_schema_is_the_one_that_is_kept():
    assert (FOLDER / "studies" / "schema.json").read_text() == schema_json()
