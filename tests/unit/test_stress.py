"""The stress set as settings: every kind of traffic and fleet, against arithmetic by hand."""

import numpy as np
import pytest

from sim.scenario.load import load
from sim.study.stress import NAMES, stresses
from sim.workload.draw import draw
from tests.unit.study_cases import design

ARRIVALS = [
    {"kind": "poisson", "request_rate": 10.0},
    {"kind": "gamma", "request_rate": 10.0, "burstiness": 0.5},
    {"kind": "constant", "request_rate": 10.0},
    {"kind": "ramp", "start_rate": 5.0, "end_rate": 15.0, "duration_s": 50.0},
    {"kind": "diurnal", "mean_rate": 10.0, "period_s": 100.0, "peak_at_s": 50.0},
    {"kind": "on_off", "on_rate": 20.0, "off_rate": 5.0, "mean_on_s": 5.0, "mean_off_s": 10.0},
]


def by_name(one, second_model=None):
    return {stress.name: stress for stress in stresses(one, second_model)}


def resolved(one):
    return load(one.source, one.settings, one.variant)


def drawn(one):
    loaded = resolved(one)
    return draw(loaded.scenario, 0, 0, loaded.base_dir)


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=lambda one: one["kind"])
def test_load_is_more_requests_in_the_same_time(tmp_path, arrivals):
    one = design(tmp_path, 4000, 1.0, {"arrivals": arrivals})
    usual, found = drawn(one), by_name(one)
    for name, factor in (("load x1.5", 1.5), ("load x2", 2.0)):
        more = drawn(found[name].design)
        assert len(more) == factor * 4000
        assert more.arrival_ns[-1] == pytest.approx(usual.arrival_ns[-1], rel=0.1)
        assert np.array_equal(more.prompt_tokens[:4000], usual.prompt_tokens), "common random numbers"


def test_load_of_a_closed_loop_is_more_in_flight(tmp_path):
    one = design(tmp_path, 100, 1.0, {"arrivals": {"kind": "closed_loop", "concurrency": 5}})
    found = by_name(one)
    assert drawn(found["load x1.5"].design).concurrency == 8
    assert found["burst"].design is None
    assert "closed loop" in found["burst"].why_not


def test_a_burst_keeps_the_mean_and_its_requests(tmp_path):
    one = design(tmp_path, 4000, 10.0)
    usual, bursty = drawn(one), drawn(by_name(one)["burst"].design)
    assert np.array_equal(bursty.prompt_tokens, usual.prompt_tokens)
    assert bursty.arrival_ns[-1] == pytest.approx(usual.arrival_ns[-1], rel=0.01)
    span = usual.arrival_ns[-1] / 2
    inside = np.abs(bursty.arrival_ns % span / span - 0.5) < 0.05
    assert inside.mean() == pytest.approx(0.4, abs=0.03), "four times the rate for a tenth of the time"


def test_long_prompts_stay_within_the_context(tmp_path):
    one = design(tmp_path, 2000, 10.0)
    long = drawn(by_name(one)["long context"].design)
    assert set((long.prompt_tokens + long.max_tokens).tolist()) == {150, 512}
    assert (long.prompt_tokens > 100).mean() == pytest.approx(0.2, abs=0.03)


def test_no_room_for_longer_prompts_is_said(tmp_path):
    one = design(tmp_path, 20, 10.0, engine={"max_model_len": 150})
    assert "no room" in by_name(one)["long context"].why_not


def test_the_fullest_node_falls_after_a_third(tmp_path):
    pools = [
        {"pool": "small", "gpu": "h100-sxm-80gb", "replicas": 2},
        {"pool": "large", "gpu": "h100-sxm-80gb", "replicas": 12},
    ]
    before = {"kind": "drill", "at_s": 1.0, "of": "replica"}
    one = design(tmp_path, 1000, 10.0, fleet=pools, failures=[before])
    failures = resolved(by_name(one)["node lost"].design).scenario.failures
    assert failures[0].of == "replica", "what the scenario has stays"
    assert (failures[1].of, failures[1].index) == ("node", 1), "the first of two nodes of the second pool"
    assert failures[1].at_s == pytest.approx(drawn(one).arrival_ns[-1] / 1e9 / 3)


def test_a_third_of_the_spot_nodes_gets_the_markets_notice(tmp_path):
    spot = {"reclaims": {"kind": "hazard", "mean_life_hours": 1e6}, "notice_s": 30.0, "over_provision": 1}
    pools = [
        {"pool": "base", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 8, "replicas": 5},
        {"pool": "spot", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 8, "replicas": 3, "market": "spot"},
    ]
    pools[1]["spot"] = spot
    one = design(tmp_path, 100, 10.0, fleet=pools)
    failures = resolved(by_name(one)["spot reclaim"].design).scenario.failures
    assert [(one.index, one.notice_s) for one in failures] == [(0, 30.0), (0, 30.0)], "two of 3 + 1 nodes"


def test_what_does_not_apply_says_why(tmp_path):
    found = by_name(design(tmp_path, 20, 10.0))
    assert tuple(found) == NAMES
    silent = {name: one.why_not for name, one in found.items() if one.design is None}
    assert silent == {"spot reclaim": "The fleet has no spot nodes.", "second model": "No second model is named."}


def test_a_recording_comes_faster(tmp_path):
    rows = "".join(f"{i},100,50\n" for i in range(30))
    (tmp_path / "t.csv").write_text("arrival_s,input_tokens,output_tokens\n" + rows)
    text = """
schema_version: 1
name: t
model: deepseek-llm-7b
workload: {kind: trace, path: t.csv, format: csv, rate_scale: 2}
fleet: [{pool: a, gpu: h100-sxm-80gb}]
"""
    (tmp_path / "s.yaml").write_text(text)
    found = by_name(type(design(tmp_path, 1, 1.0))(str(tmp_path / "s.yaml")))
    assert drawn(found["load x1.5"].design).arrival_ns[-1] == pytest.approx(29e9 / 3)
    assert drawn(found["burst"].design).arrival_ns[-1] == pytest.approx(29e9 / 2)
    assert drawn(found["long context"].design).prompt_tokens.max() == 4046
