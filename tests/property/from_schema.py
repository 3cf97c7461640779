"""Random scenarios that the JSON Schema allows, extreme values included: what the loader must then let through."""

from hypothesis import strategies as st

from sim.scenario.schema import schema

WORDS = {
    "model": ["deepseek-llm-7b", "deepseek-v2-lite"],
    "gpu": ["h100-sxm-80gb", "h200-sxm-141gb"],
    "table": ["azure2023-conv"],
    "tensor_parallel_size": [1, 2, 4],
    "pipeline_parallel_size": [1, 2],
    "replicas": [1, 2, 3],
    "num_prompts": [1, 2, 50],
    "replications": [1, 2],
}
"""By key, so that what is built often fits and soon ends; `trace` and `table` steps need files."""


def scenarios():
    """Return a strategy for whole scenarios whose names differ where they must."""
    return valid(schema()).map(_tidy)


def _tidy(data):
    for number, pool in enumerate(data["fleet"]):
        pool["pool"] = f"p{number}"
    for number, klass in enumerate(data["workload"].get("classes", ())):
        klass["name"] = f"c{number}"
    if data["workload"]["kind"] == "trace":
        data["workload"] |= {"trace": None, "path": "trace.csv", "format": "csv"}
    return data


def valid(node, name=""):
    """Return a strategy for data that `node` of the scenario schema allows."""
    if "$ref" in node:
        return st.deferred(lambda: valid(schema()["$defs"][node["$ref"].removeprefix("#/$defs/")]))
    for union in ("anyOf", "oneOf"):
        if union in node:
            return st.one_of([valid(choice, name) for choice in node[union]])
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"])
    return KINDS[node["type"]](node, name)


def _block(node, _name):
    inner = node.get("properties", {})
    must = set(node.get("required", ())) | ({"kind"} & set(inner))
    parts = {key: valid(part, key) for key, part in inner.items() if key not in ("overrides", "scenarios")}
    return st.fixed_dictionaries(
        {key: part for key, part in parts.items() if key in must},
        optional={key: part for key, part in parts.items() if key not in must},
    )


def _integer(node, _name):
    low = node.get("minimum", node.get("exclusiveMinimum", -1001) + 1)
    high = node.get("maximum", node.get("exclusiveMaximum", 2**63) - 1)
    usual = st.integers(low, min(high, low + 300))
    return usual | usual | usual | st.integers(low, high)


def _number(node, _name):
    low = node.get("minimum", node.get("exclusiveMinimum", -1e308))
    high = node.get("maximum", node.get("exclusiveMaximum", 1e308))
    edges = {"exclude_min": "exclusiveMinimum" in node, "exclude_max": "exclusiveMaximum" in node}
    # Ordinary sizes first: an extreme in every field would never get past the first check.
    near = min(high, low + 100)
    usual = st.floats(low, near, exclude_min=edges["exclude_min"], exclude_max=near == high and edges["exclude_max"])
    return usual | usual | usual | st.floats(low, high, **edges)


def _text(_node, _name):
    return st.sampled_from(["a", "b", "c"])


KINDS = {
    "object": _block,
    "integer": _integer,
    "number": _number,
    "string": _text,
    "boolean": lambda _node, _name: st.booleans(),
    "null": lambda _node, _name: st.none(),
    "array": lambda node, _name: st.lists(valid(node["items"]), min_size=node.get("minItems", 0), max_size=2),
}
