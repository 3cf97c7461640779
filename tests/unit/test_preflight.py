"""What `trilemma check` finds, held against the simulation itself."""

from pathlib import Path

import pytest

from sim.preflight import check
from sim.report import summarise
from sim.run import simulate
from sim.scenario.load import load

SCENARIO = """
schema_version: 1
name: preflight
model: {model}
workload:
  kind: synthetic
  num_prompts: {prompts}
  arrivals: {arrivals}
  lengths: {{kind: separate, input: {{kind: fixed, tokens: {input}}}, output: {{kind: fixed, tokens: {output}}}}}
engine: {{gpu_memory_utilization: 0.92}}
fleet: [{{pool: base, gpu: h100-sxm-80gb, tensor_parallel_size: {tp}}}]
step_time: {step_time}
run: {{replications: 1}}
"""
DEFAULTS = {
    "model": "deepseek-llm-67b",
    "prompts": 50,
    "arrivals": "{kind: poisson, request_rate: 1}",
    "input": 500,
    "output": 100,
    "tp": 4,
    "step_time": "{kind: roofline}",
}
TABLE = "kind,tokens,context,step_ms\nprefill,1,0,5\nprefill,8192,0,400\n" + "".join(
    f"decode,{seqs},{context},{10 + seqs / 100 + context / 1000}\n" for seqs in (1, 1024) for context in (16, 400)
)


def scenario(folder: Path, **changes: object) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO.format(**(DEFAULTS | changes)))
    return path


@pytest.mark.parametrize(
    ("model", "tp", "tokens_in", "tokens_out"),
    [("deepseek-llm-67b", 4, 500, 250), ("deepseek-llm-67b", 8, 2000, 100), ("deepseek-llm-7b", 1, 300, 300)],
)
def test_the_capacity_estimate_is_near_what_a_saturated_run_sustains(tmp_path, model, tp, tokens_in, tokens_out):
    lengths = {"model": model, "tp": tp, "input": tokens_in, "output": tokens_out}
    finding = next(one for one in check(load(scenario(tmp_path, **lengths))) if "offered on average" in one)
    estimate = float(finding.split(" the ")[1].split()[0])
    saturated = scenario(tmp_path, prompts=6000, arrivals="{kind: closed_loop, concurrency: 1500}", **lengths)
    sustained = summarise(simulate(load(saturated), progress=lambda *_: None))["request_throughput"].mean
    assert estimate == pytest.approx(sustained, rel=0.25)


def test_a_load_above_capacity_is_said(tmp_path):
    above = check(load(scenario(tmp_path, arrivals="{kind: constant, request_rate: 1000}")))
    assert any("above the" in one for one in above)
    below = check(load(scenario(tmp_path, arrivals="{kind: constant, request_rate: 0.1}")))
    assert any("below the" in one for one in below)


def test_rejections_are_foretold(tmp_path):
    findings = check(load(scenario(tmp_path, input=4090, output=10)))
    assert any(one.startswith("100.0% of the requests exceed max_model_len") for one in findings)


def test_what_is_rejected_is_no_load_and_pauses_stretch_a_session(tmp_path):
    long = "lengths: {kind: separate, input: {kind: fixed, tokens: 9000}, output: {kind: fixed, tokens: 9}}"
    mixed = f"[{{name: a, share: 1}}, {{name: b, share: 1, {long}}}]"
    findings = check(load(scenario(tmp_path, prompts=1000), [f"workload.classes={mixed}"]))
    offered = float(next(one for one in findings if "offered" in one).split(": ")[1].split()[0])
    assert offered == pytest.approx(0.5, rel=0.15)
    slow = check(load(scenario(tmp_path, prompts=400), ["workload.sessions={turns: 10, think_s: 600}"]))
    offered = float(next(one for one in slow if "offered" in one).split(": ")[1].split()[0])
    assert offered < 400 / 600


def test_contexts_beyond_what_was_measured_are_said_before_and_after(tmp_path):
    (tmp_path / "steps.csv").write_text(TABLE)
    loaded = load(scenario(tmp_path, step_time="{kind: table, path: steps.csv}"))
    assert any("contexts reach 600 tokens, but step times were measured up to 400" in one for one in check(loaded))
    warnings = summarise(simulate(loaded, progress=lambda *_: None)).warnings
    assert any("measured up to 400" in one for one in warnings)
    short = load(scenario(tmp_path, step_time="{kind: table, path: steps.csv}", input=200))
    assert not any("measured up to" in one for one in check(short))
