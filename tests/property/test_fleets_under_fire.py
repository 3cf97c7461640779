"""Random fleets under fire, run end to end: every request, KV block and GPU-hour is accounted for, and every USD."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.property.accounts import account_for
from tests.property.fire import fleets
from tests.property.test_fleets import OTHER
from tests.unit.calibrated import written
from tests.unit.small_fleet import SMALL, scenario
from tests.unit.under_fire import Watched, watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fire")
    (path / "failures.csv").write_text(
        "time_s,of,index,hang,for_s\n1,replica,0,1,\n1.5,gpu,1,,\n2,node,0,,1.25\n2.1,replica,0,0,\n4,zone,0,,\n4,zone,1,,2\n"
    )
    (path / "market.csv").write_text("time_s,nodes\n0,3\n2,1\n3,4\n5,0\n6,2\n7.5,4\n8,4\n")
    hull = {"tensor_parallel_sizes": (1, 2, 4, 8), "models": (SMALL, OTHER)}
    (path / "frontend.yaml").write_text((path / written(path, {"frontend_s": 0.05}, **hull)["calibration"]).read_text())
    return path


def serve(case: dict, folder) -> Watched:
    blocks = {key: value for key, value in case.items() if key not in ("workload", "frontend")}
    if case["frontend"]:
        blocks["step_time"] = {"kind": "calibrated", "calibration": "frontend.yaml"}
    return watch(scenario(case["workload"], **blocks), folder)


@settings(max_examples=60, deadline=None)
@given(case=fleets())
def test_everything_is_accounted_for(folder, case):
    account_for(case, serve(case, folder))


@pytest.mark.full
@settings(max_examples=1000, deadline=None)
@given(case=fleets())
def test_everything_is_accounted_for_in_a_thousand_fleets(folder, case):
    account_for(case, serve(case, folder))


@settings(max_examples=15, deadline=None)
@given(case=fleets())
def test_the_same_scenario_and_seed_give_the_same_bytes(folder, case):
    first, again = (flat(serve(case, folder).one) for _ in range(2))
    assert first == again


def flat(one) -> dict[str, bytes]:
    found = {}
    for name in one.__slots__:
        value = getattr(one, name)
        if isinstance(value, np.ndarray):
            found[name] = value.tobytes()
        elif name not in ("requests", "end_ns"):
            found |= {f"{name}.{inner}": getattr(value, inner).tobytes() for inner in value.__slots__}
    return found | {"end_ns": one.end_ns}
