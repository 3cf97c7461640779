"""`trilemma calibrate` and `trilemma card` as a user types them."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sim.calibration import load
from sim.run import simulate
from sim.scenario.load import load as load_scenario
from sim.steptime.efficiency import PRIOR
from tests.unit.measured import TRUTH, scenario, served, write_bench, write_profile, write_run
from ui.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return write_profile(tmp_path_factory.mktemp("cli") / "profile")


def save(path: Path, case) -> Path:
    path.write_text(yaml.safe_dump(case.model_dump(mode="json")))
    return path


def test_a_profile_becomes_a_calibration_that_a_scenario_uses(folder, profile, capsys):
    assert main(["calibrate", str(profile), "--out", "cpu.yaml"]) == 0
    printed = capsys.readouterr().out
    for words in ("gemm_16bit", "95 % interval", "step time", "Saved in cpu.yaml", "calibration: cpu.yaml"):
        assert words in printed
    assert load("cpu.yaml", folder).engine == "vLLM 0.32.0"
    case = scenario(2.0, 60, 20, model=str(profile / "config.json"), fleet=[{"pool": "a", "gpu": "cpu-x86-2core"}])
    engine = {"dtype": "float32", "enforce_eager": True, "kv_cache_memory_bytes": 1 << 30, "async_scheduling": False}
    block = {"step_time": {"kind": "calibrated", "calibration": "cpu.yaml", "draws": 0}, "engine": engine}
    path = save(folder / "scenario.yaml", case)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | block))
    run = simulate(load_scenario(path), progress=lambda done, total: None)
    one = run.replications[0]
    means = served(load_scenario(path).scenario, TRUTH, path)
    tpot = ((one.last_token_ns - one.first_token_ns) / (one.requests.output_tokens - 1) / 1e6).mean()
    assert tpot == pytest.approx(means["tpot"], rel=0.05)


def test_bench_results_with_their_scenario(folder, capsys):
    save(folder / "served.yaml", scenario(1.0))
    files = [str(write_bench(folder / f"{rate}.json", scenario(rate), PRIOR)) for rate in (2.0, 20.0)]
    command = ["calibrate", *files, "--scenario", "served.yaml", "--out", "fit.yaml", "--name", "mine"]
    assert main(command) == 2
    assert "--engine is missing" in capsys.readouterr().err
    assert not (folder / "fit.yaml").exists()
    assert main([*command, "--engine", "vLLM 0.32.0", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    found = load("fit.yaml", folder)
    assert (found.name, found.engine) == ("mine", "vLLM 0.32.0")
    assert found.parameters["memory"] == pytest.approx(PRIOR.memory, rel=0.03)


def test_a_run_may_be_kept_from_the_fit_and_scored(folder, profile, capsys):
    blocks = {"model": str(profile / "config.json"), "fleet": [{"pool": "a", "gpu": "cpu-x86-2core"}]}
    engine = {"dtype": "float32", "enforce_eager": True, "kv_cache_memory_bytes": 1 << 30, "async_scheduling": False}
    seen, unseen = (
        write_run(folder / name, scenario(rate, 60, 20, 30, engine=engine, **blocks), TRUTH)
        for name, rate in (("seen", 1.0), ("unseen", 4.0))
    )
    assert main(["calibrate", str(profile), str(seen), "--holdout", str(unseen), "--out", "cpu.yaml", "--quiet"]) == 0
    assert "unseen runs" in capsys.readouterr().out
    assert {one.metric for one in load("cpu.yaml", folder).card} >= {"step", "tpot", "ttft", "e2el"}
    assert main(["calibrate", str(seen), "--holdout", str(profile), "--out", "other.yaml"]) == 2
    assert "--holdout: found a step profile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--out", "a.yaml"], "nowhere: found no such file, expected what `trilemma profile`"),
        (["profile", "--out", "a.json"], "--out a.json: expected a file whose name ends in .yaml"),
        (["profile", "--out", "nowhere/a.yaml"], "in a folder that exists"),
        (["profile", "--where", "backend=vllm", "--out", "a.yaml"], "expected a CSV table"),
        (["table.csv", "--out", "a.yaml"], "--engine is missing"),
        (
            ["table.csv", "--engine", "x", "--where", "backend", "--out", "a.yaml"],
            "--where backend: expected KEY=VALUE",
        ),
        (["table.csv", "profile", "--engine", "x", "--out", "a.yaml"], "is calibrated alone"),
        (["profile", "--prior", "nosuch", "--out", "a.yaml"], "found 'nosuch', neither a file nor shipped"),
        (["empty", "--out", "a.yaml"], "found no requests.parquet"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(folder, profile, capsys, arguments, says):
    (folder / "profile").symlink_to(profile)
    (folder / "empty").mkdir()
    (folder / "table.csv").write_text("backend\n")
    assert main(["calibrate", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.strip().splitlines()) == 1
    assert not list(folder.glob("**/a.*"))


def test_progress_goes_to_stderr_and_the_card_to_stdout(folder):
    save(folder / "served.yaml", scenario(1.0))
    file = write_bench(folder / "one.json", scenario(5.0), PRIOR)
    command = [sys.executable, "-c", "import sys; from ui.cli import main; sys.exit(main())", "calibrate", str(file)]
    command += ["--scenario", "served.yaml", "--engine", "vLLM", "--out", "fit.yaml"]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "calibrating: " in done.stderr
    assert "calibrating: " not in done.stdout
    assert "\x1b" not in done.stdout
    assert "too few measurements to hold any out" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["fit.yaml", "one.json", "served.yaml"]
