"""`trilemma plan` as a user meets it: what it prints and writes, and what it says where there is no plan."""

import json
import re
from pathlib import Path

import pytest

from harness.flags import serve_flags
from sim.scenario.load import load
from tests.unit.test_plan import document, written
from ui.cli import main

ONE = ("--gpu", "l40s-48gb", "--tp", "2", "--market", "on_demand", "--workers", "1", "--quiet")


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(written(tmp_path))


def planned(capsys, *argv):
    """Run with `--json -`: stdout is JSON and nothing else."""
    code = main(["plan", *argv, "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_written_scenarios_give_the_numbers_of_the_plan(small, tmp_path, capsys):
    code, found = planned(capsys, small, *ONE, "--market", "spot", "--gpu", "h100-sxm-80gb", "--out", "plans")
    assert code == 0
    assert len(found["fleets"]) == 3
    for one in found["fleets"]:
        assert load(one["scenario_file"]).sha256 == one["scenario_sha256"]
        assert main(["run", one["scenario_file"], "--quiet", "--out", str(tmp_path / one["fleet"])]) == 0
        capsys.readouterr()
        ran = json.loads((tmp_path / one["fleet"] / "summary.json").read_text())
        assert {key: ran["values"][key] for key in one["values"]} == one["values"]
        assert ran["verdict"] == "met"


def test_report_tells_what_is_in_the_json(small, capsys):
    assert main(["plan", small, *ONE, "--out", "plans", "--json", "plan.json"]) == 0
    out = capsys.readouterr().out
    found = json.loads(Path("plan.json").read_text())
    (fleet,) = found["fleets"]
    words = " ".join(out.split())
    assert found["headline"] in words
    assert found["headline"].startswith(fleet["fleet"])
    assert all(move["sentence"] in words for move in found["moves"])
    assert found["bottleneck"] in words
    assert fleet["vllm_serve"] in out
    assert fleet["scenario_file"] in out
    assert f"{fleet['values']['usd_per_hour']['mean']:.2f}" in out
    assert re.search(r"P99 TTFT \d+ ± \d+ ms", words)
    allowed = [line for line in out.splitlines() if len(line) > 80]
    assert all("vllm serve" in line for line in allowed)
    assert "\x1b" not in out


def test_moves_say_what_a_replica_more_or_less_does(small, capsys):
    _, found = planned(capsys, small, *ONE)
    more, fewer = found["moves"]
    fleet = found["fleets"][0]
    price = fleet["list_usd_per_hour"] / fleet["replicas"]
    assert (more["change"], more["usd_per_hour"]) == ("One replica more", pytest.approx(price))
    assert (fewer["change"], fewer["usd_per_hour"]) == ("One replica fewer", pytest.approx(-price))
    assert re.match(r"but then [\d.]+ (± [\d.]+ )?% are good \(80 % asked for\)", fewer["buys"])
    for change, move in ((1, more), (-1, fewer)):
        setting = f"fleet.0.replicas={fleet['replicas'] + change}"
        main(["run", fleet["scenario_file"], "--set", setting, "--quiet", "--out", f"{change}"])
        capsys.readouterr()
        ran = json.loads(Path(f"{change}/summary.json").read_text())
        good = 100 * ran["classes"][0]["values"]["good_share"]["mean"]
        shown = f"{ran['values']['p99_ttft_ms']['mean']:,.0f}" if change > 0 else f"{good:.1f} "
        assert shown in move["buys"]


def test_vllm_serve_line_has_the_flags_of_the_engine(small, capsys):
    _, found = planned(capsys, small, *ONE)
    fleet = found["fleets"][0]
    loaded = load(fleet["scenario_file"], ["fleet.0.replicas=1"])
    _, model, *flags = serve_flags(loaded.scenario, loaded.base_dir)
    assert fleet["vllm_serve"] == " ".join(["vllm", "serve", model, *flags])
    assert "--tensor-parallel-size 2" in fleet["vllm_serve"]


@pytest.mark.parametrize(
    ("sets", "options", "sentence"),
    [
        (["slo.ttft_ms=1"], (), r"Even idle replicas are too slow. On 2 x l40s-48gb, .* prefill alone takes \d+ ms"),
        (["slo.tpot_ms=1"], (), r"one decode step takes \d+ ms .*tpot_ms is 1"),
        (["engine.max_model_len=200"], (), r"exceed max_model_len .* A slo.percentile of at most \d"),
        (
            [],
            ("--max-replicas", "1"),
            r"1 x 2 l40s-48gb are not enough: \d+\.\d (± \d+\.\d )?% are good",
        ),
        (["model=deepseek-v3"], (), r"None of the GPUs asked for fits the model"),
        ([], ("--market", "reserved"), None),
    ],
)
def test_no_plan_is_explained(small, capsys, sets, options, sentence):
    argv = [part for setting in sets for part in ("--set", setting)]
    code = main(["plan", small, *ONE, *argv, *options])
    out = " ".join(capsys.readouterr().out.split())
    assert code == (0 if sentence is None else 3)
    if sentence is None:
        assert "No price reserved, in the scenario or the catalogue: l40s-48gb." in out
    else:
        assert out.startswith("No fleet keeps the SLO.")
        assert re.search(sentence, out)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--gpu", "h100"), "--gpu h100: no such GPU"),
        (("--market", "sppot"), "--market sppot: no such market, did you mean spot?"),
        (("--tp", "0"), "--tp 0: expected at least 1"),
        (("--tp", "two"), "Invalid value for '--tp'"),
        (("--max-replicas", "0"), "--max-replicas 0: expected 1 to 10000"),
        (("--confidence", "95"), "--confidence 95: expected a share"),
        (("--workers", "0"), "--workers 0: expected at least 1"),
        (("--out", "small.yaml"), "--out small.yaml: found a file, expected a folder"),
        (("--json", "none/plan.json"), "--json none/plan.json: expected a file in a folder that exists"),
        (("--set", "slo.ttft_ms=null", "--set", "slo.tpot_ms=null"), "slo: found no limit"),
    ],
)
def test_mistakes_are_one_sentence(small, capsys, options, sentence):
    assert main(["plan", small, *options, "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("trilemma: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_recording_is_one_sample_path(tmp_path, capsys):
    rows = "".join(f"{i / 40},150,60\n" for i in range(80))
    (tmp_path / "trace.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    traffic = {"kind": "trace", "path": "trace.csv", "format": "csv"}
    path = written(tmp_path, workload=traffic, run={"replications": 1})
    code, found = planned(capsys, str(path), *ONE, "--out", str(tmp_path / "plans"))
    assert code == 0
    assert any("one sample path" in note for note in found["notes"])
    assert load(found["fleets"][0]["scenario_file"]).scenario.workload.path == str(tmp_path / "trace.csv")


def test_limits_of_classes_are_told_by_class(tmp_path, capsys):
    """A class with limits of its own, of which the scenario's SLO knows nothing."""
    chat = {"name": "chat", "share": 1, "slo": {"ttft_ms": 1.0, "percentile": 90}}
    traffic = document()["workload"] | {"classes": [chat, {"name": "batch", "share": 1}]}
    path = written(tmp_path, workload=traffic, slo={"e2el_ms": 9e5})
    assert main(["plan", str(path), *ONE]) == 3
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"prefill alone takes \d+ ms for enough requests of class chat to be good \(ttft_ms is 1\)", out)
