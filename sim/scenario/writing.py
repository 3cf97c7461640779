"""A scenario as a file that reads back as the same scenario."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sim.errors import InputError
from sim.scenario.load import Loaded
from sim.scenario.reading import read_text

_PATHS = {"calibration", "measured", "model", "path", "table"}
"""Keys whose value may be a path, relative to the scenario's folder."""


def to_yaml(loaded: Loaded, comment: str = "") -> str:
    """Write the resolved scenario, overrides and settings included, with what it states and no defaults.

    Files that it names are named by absolute paths, so that it may lie anywhere.

    Args:
        loaded: the scenario and its folder.
        comment: written at the top.
    """
    stated = _anchored(loaded.scenario.model_dump(mode="json", exclude_unset=True), loaded.base_dir)
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    body = yaml.dump(stated, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "\n".join([*lines, body])


class _Dumper(yaml.SafeDumper):
    """Writes YAML 1.2: PyYAML leaves texts bare that only YAML 1.1 reads as texts, as 1e3."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        bare = read_text(text, "") == text
    except InputError:
        bare = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if bare else '"')


_Dumper.add_representer(str, _text)


def _anchored(data: Any, base_dir: Path, key: str = "") -> Any:  # noqa: ANN401 (JSON)
    if isinstance(data, Mapping):
        return {name: _anchored(part, base_dir, name) for name, part in data.items()}
    if isinstance(data, list):
        return [_anchored(part, base_dir, key) for part in data]
    if isinstance(data, str) and key in _PATHS and (base_dir / data).is_file():
        return str((base_dir / data).resolve())
    return data
