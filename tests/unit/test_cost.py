"""What a run cost, against the arithmetic of a fleet that never changes and against bills by hand."""

from dataclasses import replace

import numpy as np
import pytest

from sim.report.cost import cost, pool_costs
from sim.report.measure import traffic
from sim.result import Outcome
from sim.scenario.cost import Api, Cost, Energy
from sim.scenario.fleet import Pool
from sim.scenario.market import Owned, Zone
from tests.unit.synthetic_run import REPLICA, S, leases, random_replication, run

HOUR = 3600 * S
GPU = {"gpu": "h100-sxm-80gb"}


def whole(one, since=0, goodput=None):
    kept = (one.sent_ns >= since) | (one.outcome == Outcome.NOT_SENT)
    return traffic(one, kept, since, (50.0,)) | {"request_goodput": goodput}


def made(one, fleet=None, terms=None, replicas=(REPLICA,)):
    """A run of one replication with another fleet and cost block."""
    other = run([one])
    blocks = {} if fleet is None else {"fleet": [pool.model_dump(mode="json") for pool in fleet]}
    blocks |= {} if terms is None else {"cost": terms.model_dump(mode="json")}
    return replace(other, scenario=other.scenario | blocks, replicas=replicas)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("since_s", [0, 7])
def test_a_fleet_that_never_changes_costs_its_list_price(seed, since_s):
    one = random_replication(seed)
    kept = whole(one, since_s * S, goodput=3.25)
    found = cost(one, made(one), kept)
    by_hour = 4 * 2.5
    exact = {
        "usd_per_hour": by_hour,
        "usd_per_day": 24 * by_hour,
        "usd_total": by_hour * one.end_ns / HOUR,
        "gpu_hours": 4 * one.end_ns / HOUR,
        "usd_energy": 0.0,
        "usd_share_on_demand": 1.0,
        "usd_per_1m_input_tokens": by_hour * 1e6 / (kept["total_input_tokens"] / kept["duration"] * 3600),
        "usd_per_1m_output_tokens": by_hour * 1e6 / (kept["output_throughput"] * 3600),
        "usd_per_1m_total_tokens": by_hour * 1e6 / (kept["total_token_throughput"] * 3600),
        "usd_per_1k_good_requests": by_hour * 1e3 / (3.25 * 3600),
    }
    assert {key: found[key] for key in exact} == pytest.approx(exact, rel=1e-12, abs=0)
    unnamed = ("energy_kwh", "api_usd", "api_ratio", "break_even_requests_per_day")
    assert [found[key] for key in unnamed] == [None] * 4


FLEET = (
    Pool(pool="base", **GPU, market="reserved", usd_per_gpu_hour=2.0, zones=(Zone(zone="a"), Zone(zone="b"))),
    Pool(pool="mine", **GPU, market="owned", owned=Owned(usd_per_gpu=8760, years=2)),
    Pool(pool="cheap", **GPU, market="spot", usd_per_gpu_hour=1.0),
    Pool(pool="spare", **GPU, usd_per_gpu_hour=5.0, replicas=0, fallback_for="cheap"),
)
REPLICAS = tuple(replace(REPLICA, pool=pool.pool, gpus=8, usd_per_gpu_hour=pool.usd_per_gpu_hour) for pool in FLEET)
ROWS = [  # node, pool, zone, gpus, start, end
    (0, 0, 0, 8, 0, HOUR),
    (1, 0, 1, 8, 0, HOUR),
    (2, 1, 0, 8, 0, HOUR),
    (3, 2, 0, 8, 0, HOUR // 4),
    (4, 3, 0, 8, HOUR // 4, HOUR // 2),
    (5, 2, 0, 8, HOUR // 2, HOUR),
]
USD = {"base": 32.0, "mine": 4.0, "cheap": 6.0, "spare": 10.0}


def mixed(terms=None, fleet=FLEET, replicas=REPLICAS):
    one = random_replication(1, end=HOUR)
    counters = np.repeat(one.counters, len(REPLICAS))
    counters["busy_ns"] = [HOUR // 2, HOUR // 4, HOUR // 8, 0]
    one = replace(one, leases=leases(ROWS), counters=counters)
    return one, made(one, fleet, terms, replicas)


def test_a_mixed_fleet_by_hand():
    one, fleet = mixed()
    found = cost(one, fleet, whole(one))
    assert found["usd_total"] == pytest.approx(52.0)
    assert found["gpu_hours"] == 8 * 4.0
    shares = {key: value for key, value in found.items() if key.startswith("usd_share_")}
    assert shares == pytest.approx(
        {
            "usd_share_reserved": 32 / 52,
            "usd_share_owned": 4 / 52,
            "usd_share_spot": 6 / 52,
            "usd_share_on_demand": 10 / 52,
        }
    )
    by_pool = pool_costs(one, fleet)
    assert [part["usd"] for part in by_pool] == pytest.approx(list(USD.values()))
    assert [part["gpu_hours"] for part in by_pool] == [16.0, 8.0, 6.0, 2.0]
    assert sum(part["usd_share"] for part in by_pool) == pytest.approx(1.0)


def test_energy_is_paid_for_owned_gpus_alone():
    one, fleet = mixed(Cost(energy=Energy(usd_per_kwh=0.5, pue=1.25, busy_w=500, idle_w=100)))
    found, by_pool = cost(one, fleet, whole(one)), pool_costs(one, fleet)
    leased, busy = [16, 8, 6, 2], [4, 2, 1, 0]
    kwh = [1.25 * (100 * wide + 400 * deep) / 1000 for wide, deep in zip(leased, busy, strict=True)]
    assert [part["energy_kwh"] for part in by_pool] == pytest.approx(kwh)
    assert found["energy_kwh"] == pytest.approx(sum(kwh))
    assert found["usd_energy"] == pytest.approx(0.5 * kwh[1])
    assert found["usd_total"] == pytest.approx(52.0 + 0.5 * kwh[1])
    assert by_pool[1]["usd"] == pytest.approx(4.0 + 0.5 * kwh[1])


def test_an_api_is_asked_for_the_same_tokens():
    one = random_replication(3, n=100)
    kept = whole(one)
    found = cost(one, made(one, terms=Cost(api=Api(usd_per_1m_input_tokens=0.55, usd_per_1m_output_tokens=2.19))), kept)
    done = one.outcome == Outcome.FINISHED
    asked = (one.requests.prompt_tokens[done].sum() * 0.55 + one.requests.output_tokens[done].sum() * 2.19) / 1e6
    assert found["api_usd"] == pytest.approx(asked)
    assert found["api_ratio"] == pytest.approx(found["usd_total"] / asked)
    # at the break-even, a day of such requests costs at the provider's what the fleet does
    assert found["break_even_requests_per_day"] * asked / 100 == pytest.approx(240.0)


def test_after_a_warm_up_both_are_asked_for_the_same_time():
    one = random_replication(3)
    terms = Cost(api=Api(usd_per_1m_input_tokens=1.0, usd_per_1m_output_tokens=1.0))
    kept = whole(one, 10 * S)
    found = cost(one, made(one, terms=terms), kept)
    assert found["api_ratio"] == pytest.approx(found["usd_per_1m_total_tokens"] / 1.0)


def test_what_has_no_price_is_unknown_and_what_is_not_leased_costs_nothing():
    unpriced = FLEET[3].model_copy(update={"usd_per_gpu_hour": None, "gpu": "l40s-48gb", "market": "reserved"})
    replicas = (*REPLICAS[:3], replace(REPLICAS[3], usd_per_gpu_hour=None))
    one, fleet = mixed(fleet=(*FLEET[:3], unpriced), replicas=replicas)
    found = cost(one, fleet, whole(one))
    unknown = ("usd_total", "usd_per_hour", "usd_per_day", "usd_per_1m_output_tokens", "usd_share_spot")
    assert [found[key] for key in unknown] == [None] * 5
    assert found["gpu_hours"] == 32.0
    assert [part["usd"] for part in pool_costs(one, fleet)] == [32.0, 4.0, 6.0, None]
    idle = replace(one, leases=leases([row for row in ROWS if row[1] != 3]))
    assert cost(idle, fleet, whole(one))["usd_total"] == pytest.approx(42.0)


def test_nothing_leased_and_nothing_done():
    one = random_replication(0, n=1, outcome=[Outcome.IN_FLIGHT], end=HOUR)
    one = replace(one, leases=leases([]))
    found = cost(one, made(one), whole(one))
    assert (found["usd_total"], found["gpu_hours"]) == (0.0, 0.0)
    assert found["usd_per_1m_output_tokens"] is None
    assert found["usd_share_on_demand"] is None
