"""Random fleets under fire, run end to end: every request, KV block and GPU-hour is accounted for, and every USD."""

from collections import Counter
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from sim.result import Cause, Ending, Outcome, Replication, State
from tests.property.accounts import account_for
from tests.property.fire import fleet_under_fire
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


def fates(case: dict, one: Replication) -> dict[str, bool]:
    """What a fleet may see, and whether it has."""
    lines = one.timeline
    causes = set(lines.cause[(lines.time_ns > 0)].tolist())
    endings, outcomes = set(one.tries.ending.tolist()), set(one.outcome.tolist())
    tries = np.bincount(one.tries.request) if len(one.tries) else np.zeros(1)
    hedged = "hedge" in case["clients"]
    saw = {
        "crashes and hangs": causes & {Cause.CRASH, Cause.HANG},
        "GPU failures": causes & {Cause.GPU},
        "node and zone failures": causes & {Cause.NODE, Cause.ZONE},
        "reclaims": causes & {Cause.SPOT},
        "scaling": causes & {Cause.SCALING},
        "recovery": one.timeline.time_ns[lines.state == State.READY].any(),
        "retries": tries.max() > 1 + hedged,
        "hedges": hedged and tries.max() > 1,
        "lost tries": endings & {Ending.LOST},
        "cancelled tries": endings & {Ending.CANCELLED},
        "abandoned tries": endings & {Ending.ABANDONED},
        "preemptions": one.preemptions.any(),
        "answers": outcomes & {Outcome.FINISHED},
        "failed requests": outcomes & {Outcome.FAILED},
        "shed requests": outcomes & {Outcome.SHED},
        "timed-out requests": outcomes & {Outcome.TIMED_OUT},
        "requests in flight at the end": outcomes & {Outcome.IN_FLIGHT},
    }
    return {fate: bool(seen) for fate, seen in saw.items()}


def account(folder, fleets: range) -> None:
    """Account for each of these fleets; tells what they saw, and fails if too few saw anything."""
    saw: Counter[str] = Counter()
    for seed in fleets:
        case = fleet_under_fire(seed)
        try:
            seen = serve(case, folder)
            account_for(case, seen)
        except BaseException as error:
            error.add_note(f"in fleet_under_fire({seed})")
            raise
        saw.update(fates(case, seen.one))
    print(f"of {len(fleets)} fleets saw", ", ".join(f"{what} {count}" for what, count in saw.most_common()))
    dull = [what for what, count in saw.items() if count < len(fleets) / 30]
    assert not dull, f"of {len(fleets)} fleets less than one in thirty saw {dull}"


def test_everything_is_accounted_for(folder):
    account(folder, range(60))


@pytest.mark.full
def test_everything_is_accounted_for_in_a_thousand_fleets(folder):
    account(folder, range(1000))


@pytest.mark.parametrize("seed", range(1000, 1015))
def test_the_same_scenario_and_seed_give_the_same_bytes(folder, seed):
    first, again = (flat(serve(fleet_under_fire(seed), folder).one) for _ in range(2))
    assert first == again


def flat(value) -> list[bytes]:
    """All that a replication recorded."""
    if isinstance(value, np.ndarray):
        return [value.tobytes()]
    if is_dataclass(value):
        return [part for field in fields(value) for part in flat(getattr(value, field.name))]
    return [repr(value).encode()]
