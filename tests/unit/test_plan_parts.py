"""The search for the smallest number that is enough, the bound by idle replicas, and scenarios written to files."""

import dataclasses

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sim.deployment import deploy
from sim.report.objective import class_objectives
from sim.scenario.load import load
from sim.scenario.writing import to_yaml
from sim.study.alone import alone
from sim.study.bracket import Bracket
from sim.workload.draw import draw
from tests.unit.small_fleet import ENGINE, lengths, run
from tests.unit.test_plan import document, written

NS_PER_MS = 10**6


@given(
    truth=st.integers(1, 300),
    guess=st.integers(-5, 400),
    most=st.integers(1, 256),
    hints=st.lists(st.integers(0, 400), max_size=20),
)
def test_bracket_finds_the_smallest_number_that_is_enough(truth, guess, most, hints):
    bracket, tried = Bracket(guess, most), []
    while not bracket.settled:
        number = bracket.next()
        assert bracket.too_few < number < (bracket.enough or most + 1)
        tried.append(number)
        hint = hints[len(tried) - 1] if len(tried) <= len(hints) else 0
        bracket.learn(number, enough=number >= truth, hint=hint)
    assert bracket.enough == (truth if truth <= most else None)
    assert len(tried) <= 2 * most.bit_length() + 2
    if truth <= most and guess == truth:
        assert len(tried) <= 2 + most.bit_length()


def idle(tmp_path, slo, **blocks):
    """Requests 20 s apart, so that none meets another; what `alone` says of them, and the run."""
    traffic = document()["workload"] | {"num_prompts": 40, "arrivals": {"kind": "constant", "request_rate": 0.05}}
    path = written(tmp_path, workload=traffic | {"lengths": lengths(200, 60, 0.9)}, slo=slo, run={"replications": 1})
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | blocks))
    loaded = load(path)
    requests = draw(loaded.scenario, 0, 0, tmp_path)
    aims = class_objectives(loaded.scenario.model_dump(mode="json"), requests.classes)
    return alone(deploy(loaded.scenario, tmp_path)[0], [requests], aims), run(loaded.scenario).replications[0]


@pytest.mark.parametrize("budget", [64, 512])
def test_an_idle_replica_takes_what_alone_says(tmp_path, budget):
    """The limit that 90 % keep alone is the simulated 36th smallest of 40, also where prompts take several steps."""
    engine = ENGINE | {"max_num_batched_tokens": budget}
    bound, served = idle(tmp_path, {"ttft_ms": 1.0, "percentile": 90.0}, engine=engine)
    ttft = np.sort(served.first_token_ns - served.sent_ns)
    assert bound.needed_ms[0]["ttft"] * NS_PER_MS == pytest.approx(int(ttft[35]), rel=1e-9)
    assert bound.good == (0.0,)


@pytest.mark.parametrize("slo", [{"ttft_ms": 12.0}, {"tpot_ms": 5.5}, {"ttft_ms": 14.0, "e2el_ms": 250.0}])
def test_no_more_is_good_than_alone_says(tmp_path, slo):
    bound, served = idle(tmp_path, slo)
    ttft = (served.first_token_ns - served.sent_ns) / NS_PER_MS
    whole = (served.last_token_ns - served.sent_ns) / NS_PER_MS
    outputs = served.requests.output_tokens
    took = {"ttft_ms": ttft, "e2el_ms": whole, "tpot_ms": (whole - ttft) / np.maximum(outputs - 1, 1)}
    good = float(np.mean(np.all([took[name] <= limit for name, limit in slo.items()], axis=0)))
    assert good <= bound.good[0] <= good + 0.1


def test_prompts_that_are_too_long_are_never_good(tmp_path):
    bound, served = idle(tmp_path, {"ttft_ms": 1e6}, engine=ENGINE | {"max_model_len": 250})
    too_long = served.requests.prompt_tokens + served.requests.max_tokens > 250
    assert bound.rejected == pytest.approx(too_long.mean())
    assert 0 < bound.rejected < 1
    assert bound.good == (pytest.approx(1 - too_long.mean()),)
    assert bound.needed_ms == ({},), "no limit is high enough for 99 %"


def test_shared_prefixes_may_be_cached(tmp_path):
    traffic = document()["workload"] | {"shared_prefix": {"tokens": 200, "prompts": 1}}
    bound, _ = idle(tmp_path, {"ttft_ms": 1.0}, workload=traffic)
    assert bound.good == (1.0,)


@pytest.mark.parametrize("name", ["plain", "1e3", "null", "0x10", "on", "12:30", "1_000", ".5", "~x"])
def test_written_scenario_reads_back(tmp_path, name):
    settings = [f'description="{name}: # a {name}"', f'name="{name.strip("~").replace(":", "-")}"', "run.seed=7"]
    loaded = load(written(tmp_path), settings)
    path = tmp_path / "copy.yaml"
    path.write_text(to_yaml(loaded, "a comment\non two lines"))
    copy = load(path)
    assert copy.scenario == loaded.scenario
    assert copy.sha256 == loaded.sha256
    assert path.read_text().startswith("# a comment\n# on two lines\n")
    assert "scheduling_policy" not in path.read_text(), "defaults stay vLLM's own"


def test_written_scenario_finds_its_files_from_anywhere(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "trace.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n1,20,5\n")
    path = written(here, workload={"kind": "trace", "path": "trace.csv", "format": "csv"})
    loaded = load(path)
    (there / "copy.yaml").write_text(to_yaml(loaded))
    copy = load(there / "copy.yaml")
    requests = [draw(one.scenario, 0, 0, one.base_dir) for one in (loaded, copy)]
    for column in dataclasses.fields(requests[0]):
        np.testing.assert_array_equal(*(getattr(one, column.name) for one in requests))
