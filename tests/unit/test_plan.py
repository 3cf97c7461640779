"""Plans against enumeration: every fleet of a small space simulated, priced by the catalogue, the cheapest picked."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
import yaml

from sim import catalog
from sim.errors import InputError
from sim.scenario.load import load
from sim.study.evaluation import Design, evaluate
from sim.study.plan import KEPT, TOO_DEAR, plan
from tests.unit.small_fleet import ENGINE, SMALL, lengths

GPUS = ("a100-sxm-80gb", "h100-sxm-80gb", "h200-sxm-141gb", "l40s-48gb")
SIZES = (1, 2)
MOST = 6
NODE = 8
"""GPUs of a node, of all these."""


def in_turn(designs):
    """Evaluate here, in this process."""
    return [evaluate(one) for one in designs]


def document(**blocks):
    """A scenario file of little traffic for DeepSeek-LLM-7B with a small KV cache."""
    base = {
        "schema_version": 1,
        "name": "small",
        "model": SMALL,
        "workload": {
            "kind": "synthetic",
            "num_prompts": 80,
            "arrivals": {"kind": "poisson", "request_rate": 60.0},
            "lengths": lengths(150, 60, 0.5),
        },
        "engine": ENGINE,
        "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb"}],
        "slo": {"ttft_ms": 200.0, "tpot_ms": 30.0, "percentile": 80.0},
        "run": {"replications": 2},
    }
    return base | blocks


def written(folder, **blocks):
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(document(**blocks)))
    return path


def drawn(seed, folder):
    """A space of two GPUs, with traffic and limits such that some fleets keep the SLO and some do not."""
    rng = np.random.default_rng(seed)
    workload = document()["workload"] | {
        "arrivals": {"kind": "poisson", "request_rate": float(rng.uniform(20, 200))},
        "lengths": lengths(int(rng.integers(50, 250)), int(rng.integers(10, 100)), 0.5),
    }
    slo = {
        "ttft_ms": float(rng.uniform(60, 400)),
        "tpot_ms": float(rng.uniform(8, 40)),
        "percentile": float(rng.choice([70, 80, 90])),
    }
    run = {"replications": int(rng.integers(1, 4)), "seed": seed}
    return written(folder, workload=workload, slo=slo, run=run), tuple(rng.choice(GPUS, 2, replace=False).tolist())


def price(gpu, size, market, needed):
    """USD an hour, by the median of the catalogue; on spot with one node's worth of replicas to spare."""
    listed = catalog.price(gpu, market)
    spare = NODE // size if market == "spot" else 0
    return inf if listed is None else (needed + spare) * size * listed.usd_per_gpu_hour


def enumerated(path, gpus):
    """The fewest replicas of each kind that keep the SLO, as `trilemma run` says; inf where MOST are too few."""
    fewest = {}
    for gpu in gpus:
        for size in SIZES:
            verdicts = [
                evaluate(
                    Design(
                        str(path),
                        (f"fleet=[{{pool: a, gpu: {gpu}, tensor_parallel_size: {size}, replicas: {number}}}]",),
                    )
                ).summary["verdict"]
                for number in range(1, MOST + 1)
            ]
            met = [number for number, one in enumerate(verdicts, start=1) if one == "met"]
            assert met == list(range(min(met, default=MOST + 1), MOST + 1)), "more replicas are never worse here"
            fewest[gpu, size] = min(met, default=inf)
    return fewest


def check_space(seed, folder):
    path, gpus = drawn(seed, folder)
    fewest = enumerated(path, gpus)
    found = plan(path, (), None, in_turn, gpus=gpus, sizes=SIZES, most=MOST)
    assert not found.missed
    answers = {}
    for market in ("on_demand", "spot"):
        costs = {kind: price(*kind, market, needed) for kind, needed in fewest.items() if needed < inf}
        priced = sorted(usd for usd in costs.values() if usd < inf)
        for kind, usd in costs.items():
            of_gpu = min(other for (gpu, _), other in costs.items() if gpu == kind[0])
            if usd < inf and usd <= min(max([*priced, inf][:KEPT][-1], of_gpu), TOO_DEAR * priced[0]):
                answers[*kind, market] = (fewest[kind], pytest.approx(usd))
    assert {
        (one.kind.gpu, one.kind.tensor_parallel_size, one.offer.market): (one.needed, one.usd_per_hour)
        for one in found.fleets
    } == answers
    assert [one.usd_per_hour for one in found.fleets] == sorted(one.usd_per_hour for one in found.fleets)
    for one in found.beaten:
        kind = one.kind.gpu, one.kind.tensor_parallel_size
        assert one.at_least <= fewest[kind]
        assert one.usd_per_hour <= price(*kind, one.offer.market, fewest[kind])
    for kind in found.hopeless:
        assert fewest[kind.gpu, kind.tensor_parallel_size] == inf
    for kind, _ in found.too_small:
        assert fewest[kind.gpu, kind.tensor_parallel_size] == inf


@pytest.mark.parametrize("seed", range(24))
def test_plan_is_what_enumeration_finds(seed, tmp_path):
    check_space(seed, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(24, 120))
def test_plan_is_what_enumeration_finds_in_many_spaces(seed, tmp_path):
    check_space(seed, tmp_path)


def test_dear_kinds_are_given_up_early(tmp_path):
    path = written(tmp_path, slo={"ttft_ms": 100.0, "percentile": 80.0})
    calls = []

    def counting(designs):
        calls.extend(designs)
        return in_turn(designs)

    found = plan(path, (), None, counting, gpus=GPUS, sizes=(1, 2, 4), markets=("on_demand",), most=128)
    assert found.beaten
    assert len(calls) == len(set(calls)) == found.simulations
    assert found.simulations <= 4 * (len(found.fleets) + len(found.beaten))


def test_own_pool_gives_price_and_reclaims(tmp_path):
    spot = {"reclaims": {"kind": "hazard", "mean_life_hours": 5.0}, "over_provision": 1}
    fleet = [
        {"pool": "a", "gpu": "h100-sxm-80gb", "usd_per_gpu_hour": 2.0},
        {"pool": "b", "gpu": "h100-sxm-80gb", "market": "spot", "usd_per_gpu_hour": 1.5, "spot": spot},
    ]
    found = plan(written(tmp_path, fleet=fleet), (), None, in_turn, gpus=["h100-sxm-80gb"], sizes=[1])
    costs = {one.offer.market: (one.needed, one.usd_per_hour, one.replicas) for one in found.fleets}
    assert costs == {"on_demand": (2, 4.0, 2), "spot": (2, 4.5, 3)}
    assert found.unpriced == (("reserved", ("h100-sxm-80gb",)),)
    bought = next(one for one in found.fleets if one.offer.reclaimed).evaluation.design
    pool = load(Path(bought.source), bought.settings).scenario.fleet[0]
    assert (pool.market, pool.replicas, pool.spot.over_provision) == ("spot", 2, 1)


def test_reclaims_that_break_the_slo_make_it_no_answer(tmp_path):
    """Every node is taken after a second or so, and none is sold for an hour."""
    spot = {
        "reclaims": {"kind": "hazard", "mean_life_hours": 1 / 3600, "mean_outage_s": 3600.0},
        "notice_s": 0.0,
        "over_provision": 0,
    }
    fleet = [{"pool": "a", "gpu": "h100-sxm-80gb", "market": "spot", "spot": spot}]
    path = written(tmp_path, fleet=fleet, run={"replications": 2, "max_time_s": 100.0}, clients={"timeout_s": 20.0})
    found = plan(path, (), None, in_turn, gpus=["h100-sxm-80gb"], sizes=[1], markets=["spot", "on_demand"])
    assert [one.offer.market for one in found.fleets] == ["on_demand"]
    assert [one.offer.market for one in found.missed] == ["spot"]


def test_whole_nodes_are_priced_where_they_are_billed(tmp_path):
    path = written(tmp_path, cost={"billed_by": "node"})
    found = plan(path, (), None, in_turn, gpus=["h100-sxm-80gb"], sizes=[1], markets=["on_demand"])
    (only,) = found.fleets
    usd = catalog.price("h100-sxm-80gb", "on_demand").usd_per_gpu_hour
    assert only.usd_per_hour == pytest.approx(NODE * usd)
    assert only.evaluation.summary["values"]["usd_per_hour"]["mean"] == pytest.approx(NODE * usd)


def test_confidence_asks_for_more(tmp_path):
    """Two replications that lie apart keep an SLO with little confidence, and not with much."""
    path = written(tmp_path, run={"replications": 2, "seed": 3})
    sure = [
        plan(path, (), None, in_turn, gpus=["l40s-48gb"], sizes=[1], markets=["on_demand"], confidence=confidence)
        for confidence in (0.5, 0.9999)
    ]
    assert sure[0].fleets[0].needed < sure[1].fleets[0].needed


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"gpus": ["h100"]}, "--gpu h100: no such GPU"),
        ({"markets": ["spott"]}, "--market spott: no such market, did you mean spot?"),
    ],
)
def test_unknown_candidates_are_one_sentence(tmp_path, asked, sentence):
    with pytest.raises(InputError, match=sentence):
        plan(written(tmp_path), (), None, in_turn, **asked)


def test_without_an_slo_there_is_nothing_to_plan(tmp_path):
    with pytest.raises(InputError, match="slo: found no limit"):
        plan(written(tmp_path, slo={}), (), None, in_turn)
