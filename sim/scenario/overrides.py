"""Overrides merged over a base, and single values set by dotted path (Calliope's idea, with plain rules).

Mappings merge key by key, everything else (lists too) is replaced whole, and so is a mapping whose `kind` changes.
A key may be dotted: `fleet.0.replicas`.
"""

from collections.abc import Mapping, Sequence

from sim.errors import InputError
from sim.scenario.reading import read_text


def merge(base: object, patch: object, where: str) -> object:
    """Return `base` with `patch` merged over it; neither is changed.

    Raises:
        InputError: a dotted key leads nowhere; the message begins with `where`.
    """
    if not isinstance(patch, Mapping):
        return patch
    keep = isinstance(base, Mapping) and patch.get("kind", base.get("kind")) == base.get("kind")
    merged: object = base if keep else {}
    for key, value in patch.items():
        merged = _put(merged, key.split("."), value, f"{where}: {key}")
    return merged


def set_values(data: object, sets: Sequence[str]) -> object:
    """Apply `key.path=value` settings in turn; the value is YAML.

    Raises:
        InputError: malformed setting, or a path that leads nowhere.
    """
    for setting in sets:
        key, equals, text = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError(f"--set {setting}: expected key.path=value, for example fleet.0.replicas=3")
        data = _put(data, key.split("."), read_text(text, f"--set {setting}"), f"--set {setting}")
    return data


def _put(data: object, path: list[str], value: object, where: str) -> object:
    """Return `data` with `value` merged in at `path`; blocks that are absent are created."""
    if not path:
        return merge(data, value, where)
    key, rest = path[0], path[1:]
    if isinstance(data, list):
        if not (key.isdecimal() and key.isascii() and len(key) < 10 and int(key) < len(data)):
            raise InputError(f"{where}: found {key!r}, expected an index into a list of {len(data)}")
        index = int(key)
        return [*data[:index], _put(data[index], rest, value, where), *data[index + 1 :]]
    if data is not None and not isinstance(data, Mapping):
        raise InputError(f"{where}: {key!r} leads into {data!r:.40}, which is no block")
    block = data or {}
    return {**block, key: _put(block.get(key), rest, value, where)}
