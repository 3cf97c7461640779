"""A valid scenario, and ways to spoil it."""

import copy
import json

from ui.cli import main

BASE = {
    "schema_version": 1,
    "name": "case",
    "model": "deepseek-llm-67b",
    "workload": {
        "kind": "synthetic",
        "num_prompts": 20,
        "arrivals": {"kind": "poisson", "request_rate": 2.0},
        "lengths": {
            "kind": "separate",
            "input": {"kind": "fixed", "tokens": 100},
            "output": {"kind": "uniform", "tokens": 20, "range_ratio": 0.5},
        },
    },
    "engine": {"gpu_memory_utilization": 0.9},
    "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 4}],
    "router": {"kind": "least_outstanding"},
    "step_time": {"kind": "roofline"},
    "slo": {"ttft_ms": 1000},
    "run": {"seed": 0, "replications": 1},
}
GONE = object()
"""Spoils by absence."""


def spoilt(path, value, base=BASE):
    """Return the base with the value at a dotted path replaced, added, or gone."""
    data = copy.deepcopy(base)
    *blocks, last = (int(key) if key.isdigit() else key for key in path.split("."))
    place = data
    for key in blocks:
        place = place[key]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return data


def write(folder, data):
    """Write a scenario file (JSON is YAML) and return its path."""
    path = folder / "case.yaml"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def complaint(argv, capsys):
    """Run the command line on bad input: exit 2, nothing on stdout, one sentence on stderr, which is returned."""
    code = main([str(word) for word in argv])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert err.startswith("trilemma: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    return err
