"""Searches: the file, what is tried and kept, what happens when one is killed; against enumeration by hand."""

import json
import re
import sys

import jsonschema
import pyarrow.parquet as pq
import pytest
import yaml

from sim.errors import InputError
from sim.scenario.load import load
from sim.shipped import FOLDER
from sim.study.executor import LocalExecutor, attempt
from sim.study.found import maximise
from sim.study.frontier import costs, pareto
from sim.study.search import prepare, run
from sim.study.space import Space, find_search, read_search, schema_json, search_names
from tests.unit.study_cases import design
from ui.cli import main
from ui.console_search import render

PAIR = {"interactivity": "maximise", "usd_per_1k_good_requests": "minimise"}
SPACE = {
    "fleet.0.gpu": {"choices": ["h100-sxm-80gb", "a100-sxm-80gb"]},
    "fleet.0.replicas": {"low": 1, "high": 3},
}


class Here:
    """Runs tasks in this process, and counts them; Ctrl-C after `stop` of them."""

    def __init__(self, stop=None):
        self.simulated, self.stop = [], stop

    def run(self, work, tasks):
        for number in range(len(tasks)):
            task = tasks[number]
            if len(self.simulated) == self.stop:
                raise KeyboardInterrupt
            if task is not None:
                self.simulated.append(task.design.settings)
            yield number, attempt(work, task)


def study(folder, **more):
    design(folder, 60, 50.0, slo={"e2el_ms": 2000})
    about = {"schema_version": 1, "name": "s", "scenario": "case.yaml", "space": SPACE, "objectives": PAIR}
    path = folder / "search.yaml"
    path.write_text(json.dumps(about | more))
    return prepare(read_search(path), path)


def go(case, out, executor=None, **more):
    executor = executor or Here()
    return run(case, out, executor, lambda done, of: None, **more), executor.simulated


def test_a_small_space_is_tried_whole_and_none_twice(tmp_path):
    case = study(tmp_path)
    found, simulated = go(case, tmp_path / "out", trials=100)
    assert len(simulated) == len(set(simulated)) == 6
    assert {one.point for one in found.tried} == set(case.space.all())
    wanted = pareto(costs(found.objectives, maximise(case.search))) & found.feasible
    assert found.frontier.tolist() == wanted.tolist()
    cheapest = min(range(6), key=found.price)
    assert found.near[cheapest]
    table = pq.read_table(tmp_path / "out" / "results.parquet").to_pydict()
    assert table["number"] == [0, 1, 2, 3, 4, 5]
    assert table["fleet.0.replicas"] == [one.point[1] for one in found.tried]
    assert table["interactivity"] == pytest.approx(found.objectives[:, 0].tolist())
    for mean, replications in zip(table["interactivity"], table["interactivity_replications"], strict=True):
        assert mean == pytest.approx(sum(replications) / 2)
    assert table["frontier"] == found.frontier.tolist()


def test_it_goes_on_where_it_stopped(tmp_path):
    case = study(tmp_path)
    whole, _ = go(case, tmp_path / "whole", trials=6)
    _, first = go(case, tmp_path / "out", trials=2)
    rest, then = go(case, tmp_path / "out", trials=6)
    assert (len(first), len(then)) == (2, 4)
    assert [one.point for one in rest.tried] == [one.point for one in whole.tried]
    assert go(case, tmp_path / "out", trials=6)[1] == []
    one, other = ((tmp_path / name / "results.parquet").read_bytes() for name in ("whole", "out"))
    assert one == other


def test_a_killed_one_goes_on(tmp_path):
    case = study(tmp_path)
    killed = Here(stop=3)
    with pytest.raises(KeyboardInterrupt):
        go(case, tmp_path / "out", killed)
    found, simulated = go(case, tmp_path / "out", trials=6)
    assert len(simulated) == 3
    assert {one.point for one in found.tried} == set(case.space.all())


def test_designs_that_cannot_be_built_are_said_and_the_others_go_on(tmp_path):
    case = study(tmp_path, space=SPACE | {"model": {"choices": ["deepseek-llm-7b", "deepseek-v3"]}})
    found, simulated = go(case, tmp_path / "out", trials=12)
    assert len(found.tried) == len(simulated) == 12
    failed = {one.point[2] for one in found.tried if one.failure}
    assert failed == {"deepseek-v3"}
    assert all("fit" in one.failure and "--set" not in one.failure for one in found.tried if one.failure)
    assert not any(found.frontier[index] for index, one in enumerate(found.tried) if one.failure)


def test_none_can_be_built(tmp_path):
    case = study(tmp_path, set={"model": "deepseek-v3"})
    with pytest.raises(InputError, match=r"fit.* \(no design of 6 can be built\)"):
        go(case, tmp_path / "out", trials=6)


def test_values_that_are_no_scenario_are_said(tmp_path):
    case = study(tmp_path, space={"fleet.0.replicas": {"choices": [1, -3]}})
    found, simulated = go(case, tmp_path / "out")
    assert len(simulated) == 1
    (said,) = [one.failure for one in found.tried if one.failure]
    assert said.endswith("case.yaml: fleet.0.replicas: found -3, expected an integer at least 0 and at most 10,000")


def test_what_comes_to_the_same_scenario_is_simulated_once(tmp_path):
    names = [{"name": "plain"}, {"name": "said", "set": {"fleet.0.market": "on_demand"}}]
    found, simulated = go(study(tmp_path, designs=names), tmp_path / "out", trials=12)
    assert len(simulated) == 6
    assert len(found.tried) == 12
    assert sorted({one.point[0] for one in found.tried}) == ["plain", "said"]


def test_machines_share_a_storage(tmp_path):
    case = study(tmp_path)
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    go(case, tmp_path / "here", trials=4, storage=storage)
    found, simulated = go(case, tmp_path / "there", trials=6, storage=storage)
    assert len(simulated) == 2
    assert len(found.tried) == 6
    assert pq.read_table(tmp_path / "there" / "results.parquet").num_rows == 6


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_optunas_samplers_try_none_twice_either(tmp_path, sampler):
    found, simulated = go(study(tmp_path, sampler=sampler), tmp_path / "out", trials=6)
    assert len(simulated) == len({one.point for one in found.tried}) == 6


def test_in_processes_with_flexibility(tmp_path):
    objectives = PAIR | {"flexibility": "maximise"}
    case = study(tmp_path, objectives=objectives, space={"fleet.0.replicas": {"low": 1, "high": 4}})
    found = run(case, tmp_path / "out", LocalExecutor(2), lambda done, of: None)
    kept = [found.interval(index, "flexibility").mean for index in range(4)]
    by_replicas = [share for _, share in sorted(zip([one.point[0] for one in found.tried], kept, strict=True))]
    assert by_replicas == sorted(by_replicas), "more replicas keep more"
    assert found.triangle.answer(10.0).verdict == "yes"
    page = render(case, found, tmp_path / "out").plain
    assert re.search(r"kept % +min to recover +design\n", page)
    assert re.search(
        r"One design within .*\n +(Yes|No|The replications do not decide it)\. Design \d comes nearest", page
    )
    assert go(case, tmp_path / "out")[1] == []


def test_large_and_real_valued_spaces(tmp_path):
    space = {
        "engine.gpu_memory_utilization": {"low": 0.5, "high": 0.95},
        "engine.max_num_batched_tokens": {"low": 128, "high": 16384, "log": True},
        "fleet.0.replicas": {"low": 1, "high": 9, "step": 2},
    }
    case = study(tmp_path, space=space)
    found, simulated = go(case, tmp_path / "out", trials=12)
    assert len(set(simulated)) == 12
    assert case.space.size is None
    for memory, tokens, replicas in (one.point for one in found.tried):
        assert 0.5 <= memory <= 0.95
        assert 128 <= tokens <= 16384
        assert replicas in (1, 3, 5, 7, 9)


def test_mistakes_are_sentences(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"objectives: found interactivty, did you mean interactivity\?"):
        go(study(tmp_path, objectives={"interactivty": "maximise"}), tmp_path / "a", trials=1)
    with pytest.raises(InputError, match=r"--storage nonsense: cannot be used"):
        go(study(tmp_path), tmp_path / "b", storage="nonsense")
    with pytest.raises(InputError, match=r"unknown key space\.x\.lo, did you mean low"):
        study(tmp_path, space={"x": {"lo": 1}})
    with pytest.raises(InputError, match="did you mean autoscaler"):
        find_search("autoscalr")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install \"trilemma\[search\]\""):
        go(study(tmp_path), tmp_path / "c")


def test_the_command(tmp_path, capsys):
    study(tmp_path)
    where = ["search", str(tmp_path / "search.yaml"), "--out", str(tmp_path / "out"), "--workers", "2", "--quiet"]
    assert main([*where, "--trials", "6"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("6 designs tried of 6: ")
    assert "Within 10 % of the best cost" in said
    assert "±: 95 % interval of the mean over the replications" in said
    assert "min to recover" not in said
    assert main([*where, "--trials", "6", "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["tried"] == 6
    assert set(data["frontier"][0]["objectives"]) == set(PAIR)
    assert main([*where, "--trials", "0"]) == 2
    assert capsys.readouterr().err == "trilemma: --trials 0: expected at least 1\n"


@pytest.mark.parametrize("name", search_names())
def test_shipped_searches_can_be_run(name):
    path = find_search(name)
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(schema_json()))
    case = prepare(read_search(path), path)
    space = Space(case.search)
    for unit in (0.0, 0.5, 0.999):
        load(case.source, space.settings(space.at([unit] * len(space.keys))))


def test_the_schema_is_the_one_that_is_kept():
    assert (FOLDER / "searches" / "schema.json").read_text() == schema_json()
