"""Validation errors as one sentence: where, what was found, what was expected, and the nearest known word."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from sim.scenario.schema import schema

Node = Mapping[str, Any]
"""A place in the JSON Schema."""


def sentence(error: ValidationError, source: str, root: Node | None = None) -> str:
    """Say the first mistake of `error` in data that came from `source`, and how many more there are.

    Args:
        error: what pydantic found.
        source: begins the sentence.
        root: JSON Schema of the data; default that of a scenario file.
    """
    found = error.errors(include_url=False)
    # pydantic also faults a list for its faulty entries.
    roots = [a for a in found if not any(a["loc"] == b["loc"][: len(a["loc"])] != b["loc"] for b in found)]
    # A misspelt key is often a missing one too: the misspelling is the better thing to say.
    first = min(roots, key=lambda mistake: mistake["type"] != "extra_forbidden")
    more = len(roots) - 1
    text = f"{source}: {_mistake(root or schema(), first['type'], first['loc'], first['msg'], first['input'])}"
    return f"{text} (and {more} more)" if more else text


def suggest(word: str, known: Iterable[str], what: str) -> str:
    """Name the nearest known word, or all of them."""
    words = list(known)
    near = get_close_matches(word, words, n=1)
    return f"did you mean {near[0]}?" if near else f"{what}: {', '.join(words) or 'none'}"


def _mistake(root: Node, kind: str, loc: tuple[int | str, ...], message: str, found: object) -> str:
    if kind == "extra_forbidden":
        place, path = _walk(root, loc[:-1])
        key = str(loc[-1])
        return f"unknown key {'.'.join([*path, key])}, {suggest(key, place.get('properties', {}), 'known here')}"
    place, path = _walk(root, loc)
    where = ".".join(path) or "the file"
    match kind:
        case "missing":
            text = f"{where} is missing, expected {_describe(place)}"
        case "union_tag_not_found":
            text = f"{where}.{_tag(place)} is missing, expected one of {', '.join(_kinds(place))}"
        case "union_tag_invalid":
            tag = found[_tag(place)] if isinstance(found, Mapping) else found
            text = f"{where}.{_tag(place)}: found {show(tag)}, {suggest(str(tag), _kinds(place), 'expected one of')}"
        case "value_error":
            text = f"{where}: {message.removeprefix('Value error, ')}"
        case _:
            text = f"{where}: found {show(found)}, expected {_describe(place)}"
    return text


def show(value: object) -> str:
    """Show a value from a file in few characters."""
    if isinstance(value, Mapping):
        return "a block"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _walk(root: Node, loc: tuple[int | str, ...]) -> tuple[Node, list[str]]:
    """Follow an error's location; return the schema there and the path as the user wrote it (pydantic adds kinds)."""
    node = _resolve(root, root)
    path: list[str] = []
    for step in loc:
        if "discriminator" in node:
            node = _resolve(root, {"$ref": _kinds(node)[str(step)]})
            continue
        path.append(str(step))
        inner = node.get("properties", {}).get(step) or node.get("items") or node.get("additionalProperties")
        node = _resolve(root, inner) if isinstance(inner, Mapping) else {}
    return node, path


def _resolve(root: Node, node: Node) -> Node:
    """Follow references, and see through `X | None`."""
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolve(root, choice)
    if "$ref" not in node:
        return node
    return _resolve(root, root["$defs"][node["$ref"].removeprefix("#/$defs/")])


def _tag(node: Node) -> str:
    """The key by which a block's kind is told: kind, or policy."""
    name: str = node["discriminator"]["propertyName"]
    return name


def _kinds(node: Node) -> dict[str, str]:
    mapping: dict[str, str] = node["discriminator"]["mapping"]
    return mapping


_BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}
_TYPES = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list",
    "object": "a block of keys",
}


def _describe(node: Node) -> str:
    if "discriminator" in node:
        return f"a block with {_tag(node)}: {' or '.join(_kinds(node))}"
    if "enum" in node:
        return f"one of {', '.join(str(choice) for choice in node['enum'])}"
    if "const" in node:
        return str(node["const"])
    text = _TYPES.get(node.get("type", ""), "something else")
    bounds = [
        f"{word} {node[key]:{',' if isinstance(node[key], int) else ',.15g'}}"
        for key, word in _BOUNDS.items()
        if key in node
    ]
    if bounds:
        text += f" {' and '.join(bounds)}"
    if "pattern" in node:
        text += f" that matches {node['pattern']}"
    if "minItems" in node:
        text += f" of at least {node['minItems']}"
    return text
