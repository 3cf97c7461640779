"""The search against exhaustive enumeration: 144 designs of a small fleet, all simulated; 36 of them may be tried."""

import numpy as np
import pytest

from sim.study.assess import Task, assess
from sim.study.evaluation import Design
from sim.study.found import found
from sim.study.propose import Proposer
from sim.study.space import Search, Space
from sim.study.trials import Tried
from tests.unit.study_cases import design

SPACE = {
    "fleet.0.gpu": {"choices": ["h100-sxm-80gb", "a100-sxm-80gb", "l40s-48gb"]},
    "fleet.0.tensor_parallel_size": {"choices": [1, 2]},
    "fleet.0.replicas": {"low": 1, "high": 6},
    "engine.max_num_seqs": {"choices": [4, 8, 16, 32]},
}
PAIR = {"interactivity": "maximise", "usd_per_1k_good_requests": "minimise"}
SEEDS = 20


def search(objectives, seed=0):
    about = {"schema_version": 1, "name": "s", "scenario": "s.yaml", "space": SPACE, "objectives": objectives}
    return Search.model_validate(about | {"search_seed": seed})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Every design of the space, simulated: what it came to by its point, for three objectives."""
    traffic = {"output": {"kind": "uniform", "tokens": 30, "range_ratio": 0.5}}
    traffic["input"] = {"kind": "uniform", "tokens": 300, "range_ratio": 0.5}
    base = design(
        tmp_path_factory.mktemp("search"),
        150,
        100.0,
        {"lengths": {"kind": "separate", **traffic}},
        engine={"max_model_len": 1024, "max_num_batched_tokens": 1024},
        slo={"ttft_ms": 200, "tpot_ms": 30, "percentile": 90},
    )
    objectives = PAIR | {"p99_ttft_ms": "minimise"}
    space = Space(search(objectives))
    rows = {}
    for number, point in enumerate(space.all()):
        told = assess(Task(Design(base.source, space.settings(point)), tuple(objectives), None)).told
        rows[point] = Tried(number, point, str(number), told, None)
    return rows


def restricted(one, objectives):
    told = one.told | {"objectives": {key: one.told["objectives"][key] for key in objectives}}
    return Tried(one.number, one.point, one.key, told, None)


def searched(rows, objectives, seed, trials):
    """What the search tries, and nothing else decides: one design after the other."""
    case = search(objectives, seed)
    proposer, tried = Proposer(case, Space(case)), []
    while len(tried) < trials:
        point = proposer.propose(tried, {one.point for one in tried})
        tried.append(rows[point])
    return found(case, tried)


def volume(result, worst):
    """The hypervolume of what keeps the SLO, cell by cell of the grid that the points span, by its definition alone."""
    signs = np.where([way == "maximise" for way in result.search.objectives.values()], -1, 1)
    told = [one.told for one in result.tried if one.told["verdict"] == "met"]
    points = signs * [[np.mean(values) for values in one["objectives"].values()] for one in told]
    points = points[(points < worst).all(axis=1)]
    points = points[[not ((points <= one).all(axis=1) & (points < one).any(axis=1)).any() for one in points]]
    edges = [np.append(np.unique(column), bound) for column, bound in zip(points.T, worst, strict=True)]
    corners = np.stack(np.meshgrid(*(one[:-1] for one in edges), indexing="ij"), axis=-1)
    sizes = np.stack(np.meshgrid(*map(np.diff, edges), indexing="ij"), axis=-1).prod(axis=-1)
    return sizes[(points <= corners[..., None, :]).all(axis=-1).any(axis=-1)].sum()


@pytest.mark.parametrize("objectives", [PAIR, PAIR | {"p99_ttft_ms": "minimise"}], ids=["two", "three"])
def test_a_quarter_of_the_evaluations_finds_95_percent_of_the_hypervolume(table, objectives):
    rows = {point: restricted(one, objectives) for point, one in table.items()}
    whole = found(search(objectives), list(rows.values()))
    assert len(rows) == 144
    assert 30 < whole.feasible.sum() < 120, "the SLO cuts the space"
    signs = np.where([way == "maximise" for way in objectives.values()], -1, 1)
    worst = (whole.objectives[whole.feasible] * signs).max(axis=0)
    true = volume(whole, worst)
    assert whole.hypervolume(worst) == pytest.approx(true)
    shares, by_chance = [], []
    for seed in range(SEEDS):
        shares.append(volume(searched(rows, objectives, seed, 36), worst) / true)
        drawn = np.random.default_rng(seed).permutation(len(rows))[:36]
        by_chance.append(volume(found(search(objectives), [list(rows.values())[i] for i in drawn]), worst) / true)
    print(f"search {np.mean(shares):.3f} (least {min(shares):.3f}), by chance {np.mean(by_chance):.3f}")
    assert np.mean(shares) >= 0.95
    assert np.mean(by_chance) < 0.93, "the space is no easy one"


def test_what_is_tried_is_decided_by_the_seed(table):
    rows = {point: restricted(one, PAIR) for point, one in table.items()}
    one, same, other = (searched(rows, PAIR, seed, 16).tried for seed in (3, 3, 4))
    assert one == same != other
