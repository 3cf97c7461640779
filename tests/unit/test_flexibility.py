"""How much goodput a fleet keeps under stress: closed cases, order, and coverage of the interval."""

import numpy as np
import pytest

from sim.study.evaluation import evaluate
from sim.study.flexibility import flexibility, judge
from sim.study.stress import Stress
from tests.unit.study_cases import CAPACITY, design, evaluation

FULL = 2 * CAPACITY
"""What the two replicas can serve, requests a second."""
NODES = [{"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": 8, "replicas": 2}]
AT_ONCE = {"health": {"period_s": 0.01}}
STARTS = {stage: {"kind": "fixed", "s": 10} for stage in ("process", "compile", "warm")}
FAST_LINKS = {"store_gb_per_s": 1e5, "node_gb_per_s": 1e5}


def kept(one, second_model=None):
    return {each.stress: each for each in flexibility(one, second_model).kept}


def test_spare_capacity_keeps_everything_and_a_full_fleet_cannot(tmp_path):
    spare, full = (kept(design(tmp_path, 1000, share * FULL)) for share in (0.4, 0.9))
    assert spare["load x2"].share.mean == pytest.approx(1.0, abs=0.01)
    assert full["load x1.5"].share.mean < 0.25
    assert full["load x2"].share.mean <= full["load x1.5"].share.mean
    assert full["load x2"].share.mean < spare["load x2"].share.mean


def test_an_overload_by_the_fluid_limit(tmp_path):
    """Request n waits n / capacity - n / rate; what fits in the SLO's second beside 50 steps is good."""
    rate = 0.9 * FULL
    found = kept(design(tmp_path, 2000, rate))["load x2"].share.mean
    good = (1 - 50 * 6.2e-3) / (1 / FULL - 1 / (2 * rate))
    assert found == pytest.approx(good / 4000, rel=0.3)


def test_one_of_two_nodes_lost_with_a_short_queue_keeps_a_third_and_what_one_can_serve(tmp_path):
    """Nobody notices within these 25 s; eight wait at a replica at most, the rest is turned away."""
    short = {"engine": {"max_model_len": 512, "max_num_seqs": 8, "max_num_queued_reqs": 16}}
    probe = design(tmp_path, 2000, 1000.0, fleet=[NODES[0] | {"replicas": 1}], slo={"e2el_ms": 3000}, **short)
    capacity = evaluate(probe).summary["values"]["request_throughput"]["mean"]
    rate = 0.9 * 2 * capacity
    one = design(tmp_path, round(25 * rate), rate, fleet=NODES, slo={"e2el_ms": 3000}, **short)
    found = kept(one)["node lost"]
    assert found.share.mean == pytest.approx(1 / 3 + 2 / 3 * 0.5 / 0.9, abs=0.04)


def test_a_spot_reclaim_that_the_rest_can_carry_costs_nothing(tmp_path):
    spot = [NODES[0] | {"replicas": 3, "market": "spot"}]
    assert kept(design(tmp_path, 1000, 20.0, fleet=spot))["spot reclaim"].share.mean == pytest.approx(1.0, abs=0.01)


def test_a_restart_costs_the_time_that_it_takes(tmp_path):
    """30 s of about 100 s of traffic."""
    one = design(tmp_path, 2000, 20.0, startup=STARTS | FAST_LINKS, recovery=AT_ONCE, run={"replications": 3})
    found = kept(one, "deepseek-moe-16b")["second model"]
    assert found.share.mean == pytest.approx(0.7, abs=0.03)
    assert found.recovered


def test_a_model_that_does_not_fit_keeps_nothing_and_says_so(tmp_path):
    found = kept(design(tmp_path, 50, 20.0), "deepseek-v3")["second model"]
    assert found.share.mean == 0
    assert "fit" in found.remark


def test_an_autoscaler_counts(tmp_path):
    scaler = {
        "kind": "target_tracking",
        "pool": "a",
        "metric": "outstanding",
        "target": 5.0,
        "min_replicas": 2,
        "max_replicas": 6,
        "interval_s": 1.0,
    }
    quick = {stage: {"kind": "fixed", "s": 0} for stage in ("provision", "boot", "image", *STARTS)} | FAST_LINKS
    fixed = kept(design(tmp_path, 3000, 0.8 * FULL, startup=quick, recovery=AT_ONCE))
    scaled = kept(design(tmp_path, 3000, 0.8 * FULL, startup=quick, recovery=AT_ONCE, autoscalers=[scaler]))
    assert scaled["load x2"].share.mean > 0.8
    assert fixed["load x2"].share.mean < 0.3


def test_the_mean_is_over_what_applies():
    usual = evaluation([100, 80], 100)
    found = judge(
        usual,
        [
            (Stress("a", usual.design), evaluation([50, 80], 100)),
            (Stress("b", usual.design), evaluation([150, 200], 200)),
            (Stress("c", None, "Why."), None),
            (Stress("d", usual.design), "It does not fit."),
        ],
    )
    assert [one.by_replication for one in found.kept] == [(0.5, 1.0), (0.75, 1.0), (), (0.0, 0.0)]
    assert found.by_replication == pytest.approx((1.25 / 3, 2 / 3))
    assert found.mean.low == 0.0, "shares do not leave 0 to 1"
    assert found.not_recovered == ("d",)
    assert found.minutes_to_recover is None


def test_the_interval_of_the_mean_covers_what_is_true():
    """400 studies of five replications: shares of 0.6 and 0.9 of 400 requests are kept, so 0.75 is true."""
    rng = np.random.default_rng(5)
    usual = evaluation([400] * 5, 400)
    covered = 0
    for _ in range(400):
        draws = [evaluation(rng.binomial(400, share, 5).tolist(), 400) for share in (0.6, 0.9)]
        mean = judge(usual, [(Stress("s", usual.design), one) for one in draws]).mean
        covered += mean.low <= 0.75 <= mean.high
    assert 0.92 <= covered / 400 <= 0.98
