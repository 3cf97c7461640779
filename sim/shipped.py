"""The scenarios that ship with the package, known by name."""

from pathlib import Path

from sim.errors import InputError
from sim.scenario.sentences import suggest

_HERE = Path(__file__).parent
# In a wheel they lie beside this file (pyproject.toml force-includes them), in a checkout at its root.
FOLDER = _HERE / "shipped" if (_HERE / "shipped").is_dir() else _HERE.parent / "scenarios"


def scenario_names() -> list[str]:
    """Names of the shipped scenarios."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def shipped_scenario(name: str) -> Path:
    """Return the file of a shipped scenario.

    Raises:
        InputError: there is none of that name.
    """
    if name not in scenario_names():
        raise InputError(f"{name}: no such file or shipped scenario, {suggest(name, scenario_names(), 'shipped are')}")
    return FOLDER / f"{name}.yaml"


def find_scenario(name: str) -> Path:
    """Return the file that `name` means: a path, or a bare name of a shipped scenario."""
    path = Path(name)
    bare = path.name == name and not path.suffix
    return shipped_scenario(name) if bare and not path.is_file() else path
