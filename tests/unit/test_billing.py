"""Bills by hand, and price paths against a sum over every second."""

import math

import numpy as np
import pytest

from sim import billing
from sim.scenario.cost import Cost, Energy
from sim.scenario.fleet import Pool
from sim.scenario.market import Owned, PricePoint, Zone
from sim.units import NS_PER_S
from tests.unit.synthetic_run import leases

HOUR = 3600 * NS_PER_S
H100 = {"gpu": "h100-sxm-80gb"}


def pool(**kwargs):
    return Pool(pool=kwargs.pop("pool", "base"), **H100, **kwargs)


def usd(rows, fleet, prices, **cost):
    return billing.lease_usd(leases(rows), fleet, prices, Cost(**cost))


def test_gpus_times_price_times_hours():
    rows = [(0, 0, 0, 8, 0, HOUR), (1, 1, 0, 4, HOUR // 2, 2 * HOUR), (2, 1, 0, 4, 5, 5)]
    assert usd(rows, [pool(), pool(pool="b")], [2.5, 4.0]).tolist() == [20.0, 24.0, 0.0]


@pytest.mark.parametrize(
    ("granularity_s", "minimum_s", "seconds", "billed_s"),
    [
        (0, 0, 12.345678901, 12.345678901),
        (1, 0, 12.3, 13),
        (60, 0, 60, 60),
        (60, 0, 60.000000001, 120),
        (3600, 0, 1, 3600),
        (0, 60, 10, 60),
        (0, 60, 61.5, 61.5),
        (45, 60, 10, 90),  # the minimum is rounded up too
        (60, 0, 0, 0),
        (0, 60, 0, 60),
    ],
)
def test_granularity_and_minimum(granularity_s, minimum_s, seconds, billed_s):
    rows = leases([(0, 0, 0, 1, 7 * NS_PER_S, 7 * NS_PER_S + round(seconds * NS_PER_S))])
    billed = billing.billed_ns(rows, Cost(granularity_s=granularity_s, minimum_s=minimum_s))
    assert billed.tolist() == [round(billed_s * NS_PER_S)]


def test_a_zone_has_its_own_price_or_the_pools():
    zones = (Zone(zone="a"), Zone(zone="b", usd_per_gpu_hour=1.0))
    rows = [(0, 0, 0, 2, 0, HOUR), (1, 0, 1, 2, 0, HOUR)]
    assert usd(rows, [pool(zones=zones)], [3.0]).tolist() == [6.0, 2.0]


def test_an_unknown_price_is_unknown_only_where_it_is_leased():
    zones = (Zone(zone="a", prices=(PricePoint(hour=1, usd_per_gpu_hour=2.0),)), Zone(zone="b", usd_per_gpu_hour=1.0))
    rows = [(0, 0, 0, 1, 0, 2 * HOUR), (1, 0, 0, 1, HOUR, 2 * HOUR), (2, 0, 1, 1, 0, HOUR)]
    found = usd(rows, [pool(zones=zones)], [None])
    assert np.isnan(found).tolist() == [True, False, False]
    assert found[1:].tolist() == [2.0, 1.0]


def test_time_beyond_the_end_is_charged_at_the_last_price():
    zone = Zone(
        zone="a",
        usd_per_gpu_hour=2.0,
        prices=tuple(PricePoint(hour=h, usd_per_gpu_hour=p) for h, p in ((1, 6), (2, 9))),
    )
    end = 2 * HOUR - 15 * 60 * NS_PER_S  # 1 h at 2, 45 min at 6, and the quarter of an hour that is rounded up at 6
    assert usd([(0, 0, 0, 1, 0, end)], [pool(zones=(zone,))], [None], granularity_s=3600) == pytest.approx([2 + 6])
    at_the_change = usd([(0, 0, 0, 1, HOUR // 2, HOUR)], [pool(zones=(zone,))], [None], granularity_s=3600)
    assert at_the_change == pytest.approx([2.0])  # it never saw the 6


@pytest.mark.parametrize("seed", range(20))
def test_price_paths_are_integrated(seed):
    """Against the price looked up in every second, with changes on whole seconds."""
    rng = np.random.default_rng(seed)
    zones, by_second = [], []
    for name in "ab":
        hours = np.unique(rng.integers(0, 5 * 3600, rng.integers(0, 6))) / 3600
        points = tuple(PricePoint(hour=float(h), usd_per_gpu_hour=float(rng.uniform(0, 9))) for h in hours)
        zone = Zone(zone=name, usd_per_gpu_hour=float(rng.uniform(0, 9)), prices=points)
        price = np.full(10 * 3600, zone.usd_per_gpu_hour)
        for point in points:
            price[round(point.hour * 3600) :] = point.usd_per_gpu_hour
        zones.append(zone)
        by_second.append(price)
    start = rng.integers(0, 4 * 3600, 50)
    end = start + rng.integers(1, 2 * 3600, 50)
    zone, gpus, grain = rng.integers(0, 2, 50), rng.integers(1, 9, 50), int(rng.choice([1, 60, 3600]))
    rows = [(i, 0, zone[i], gpus[i], start[i] * NS_PER_S, end[i] * NS_PER_S) for i in range(50)]
    found = usd(rows, [pool(zones=tuple(zones))], [None], granularity_s=grain)
    for i in range(50):
        price = by_second[zone[i]]
        beyond = math.ceil((end[i] - start[i]) / grain) * grain - (end[i] - start[i])
        expected = gpus[i] * (price[start[i] : end[i]].sum() + beyond * price[end[i] - 1]) / 3600
        assert found[i] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_lease_cut_in_two_costs_the_same(seed):
    rng = np.random.default_rng(seed)
    zone = Zone(zone="a", usd_per_gpu_hour=3.0, prices=(PricePoint(hour=0.5, usd_per_gpu_hour=1.25),))
    start, cut, end = np.sort(rng.integers(0, 2 * HOUR, 3))
    whole, *parts = usd(
        [(0, 0, 0, 8, start, end), (0, 0, 0, 8, start, cut), (0, 0, 0, 8, cut, end)], [pool(zones=(zone,))], [None]
    )
    assert sum(parts) == pytest.approx(whole, rel=1e-12)


def test_an_owned_gpu_is_written_off():
    owned = Owned(usd_per_gpu=30_000, years=4, residual_share=0.2)
    assert billing.amortised(owned) == pytest.approx(24_000 / (4 * 365 * 24))
    year = usd([(0, 0, 0, 8, 0, 365 * 24 * HOUR)], [pool(market="owned", owned=owned)], [billing.amortised(owned)])
    assert year == pytest.approx([8 * 6000])


def test_the_price_of_a_pool():
    owned = Owned(usd_per_gpu=8760, years=1)
    assert billing.usd_per_gpu_hour(pool(usd_per_gpu_hour=9.5)) == 9.5
    assert billing.usd_per_gpu_hour(pool(market="owned", owned=owned)) == 1.0
    assert billing.usd_per_gpu_hour(pool(market="owned", owned=owned, usd_per_gpu_hour=2.0)) == 2.0
    assert billing.usd_per_gpu_hour(pool(market="owned")) is None
    assert billing.usd_per_gpu_hour(pool(market="spot")) == 2.5067  # prices.yaml
    assert billing.usd_per_gpu_hour(pool(market="reserved")) is None


def test_energy_is_idle_power_while_leased_and_busy_power_while_stepping():
    energy = Energy(usd_per_kwh=0.1, pue=1.5, busy_w=600, idle_w=100)
    assert billing.energy_kwh(energy, 700, leased_h=10, busy_h=4) == pytest.approx(1.5 * (6 * 100 + 4 * 600) / 1000)
    at_tdp = Energy(usd_per_kwh=0.1)
    assert billing.energy_kwh(at_tdp, 700, leased_h=10, busy_h=4) == pytest.approx(7.0)  # an upper bound: busy or not


def test_gpu_hours_are_those_leased_not_those_billed():
    rows = leases([(0, 1, 0, 8, 0, HOUR), (1, 1, 0, 8, HOUR, HOUR + HOUR // 4), (2, 0, 0, 1, 0, 3 * HOUR)])
    assert billing.gpu_hours(rows, 3).tolist() == [3.0, 10.0, 0.0]
