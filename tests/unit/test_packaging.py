"""The wheel stands alone: it brings its data, its licence and its command, and needs nothing heavy."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = ["aiconfigurator_core", "aiohttp", "pandas", "plotly", "prometheus_client", "streamlit", "torch", "vllm"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (file,) = folder.glob("trilemma-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--target", str(folder), str(wheel))
    return folder


def pip(command, *arguments):
    subprocess.run([sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments], check=True)


@pytest.fixture
def outside(installed, tmp_path):
    """Run Python in an empty folder, where only the installed wheel provides our packages."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import sim, ui; print(sim.__file__)").strip() == str(installed / "sim" / "__init__.py")
    return run


def test_every_file_of_the_packages_ships(wheel):
    shipped = set(zipfile.ZipFile(wheel).namelist())
    kept = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "sim", "calibrate", "harness", "ui"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert any(name.endswith(".yaml") for name in kept)
    assert any(name.endswith(".csv") for name in kept)
    assert set(kept) <= shipped
    assert {f"sim/shipped/{file.name}" for file in (ROOT / "scenarios").glob("*.yaml")} <= shipped
    assert any(name.endswith("licenses/LICENSE") for name in shipped)
    assert not [name for name in shipped if name.startswith(("tests", "scripts"))]


def test_the_command_runs_outside_the_checkout(installed, outside, tmp_path):
    command = str(installed / "bin" / "trilemma")
    assert "Usage: trilemma" in outside(command, "--help")
    assert outside(command, "schema") == (ROOT / "scenarios" / "schema.json").read_text()
    checked = outside(command, "check", "quickstart")
    assert checked.startswith(str(installed / "sim" / "shipped" / "quickstart.yaml"))
    assert ": ok" in checked
    few = ("--set", "workload.num_prompts=50", "--replications", "2")
    report = outside(command, "run", "quickstart", *few, "--quiet", "--json", "-", "--out", "here")
    assert 0 < json.loads(report)["completed"] <= 50
    assert any((tmp_path / "here").iterdir())


def test_every_module_imports_without_the_optional_packages(outside):
    outside(
        "-c",
        f"""
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import calibrate, harness, sim, ui
for package in (calibrate, harness, sim, ui):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith("ui.app."):  # which is the browser app itself
            importlib.import_module(module.name)
""",
    )


def test_locks_pin_versions_and_name_no_host():
    for name in ("requirements.lock", "requirements-engine.lock"):
        lines = (ROOT / name).read_text().splitlines()
        assert lines
        assert all("==" in line and "://" not in line for line in lines)
