"""From leases to money: rounding, minimum, prices by zone and over time, amortisation, energy; nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim import catalog
from sim.request import Int64s
from sim.result import Leases
from sim.scenario.cost import Cost, Energy
from sim.scenario.fleet import Pool
from sim.scenario.market import Owned, Zone
from sim.stats import Floats
from sim.units import NS_PER_S, seconds_to_ns

NS_PER_HOUR = 3600 * NS_PER_S
HOURS_PER_YEAR = 8760


def usd_per_gpu_hour(pool: Pool) -> float | None:
    """The price of a pool: as stated, else written off where it is owned, else the catalogue's; None where unknown."""
    if pool.usd_per_gpu_hour is not None:
        return pool.usd_per_gpu_hour
    if pool.market == "owned":
        return None if pool.owned is None else amortised(pool.owned)
    price = catalog.price(pool.gpu, pool.market)
    return None if price is None else price.usd_per_gpu_hour


def amortised(owned: Owned) -> float:
    """USD an hour that an owned GPU loses in worth, used or not."""
    return owned.usd_per_gpu * (1 - owned.residual_share) / (owned.years * HOURS_PER_YEAR)


def billed_ns(leases: Leases, cost: Cost) -> Int64s:
    """Time that each lease is billed for: at least the minimum, then up to a multiple of the granularity."""
    billed = np.maximum(leases.end_ns - leases.start_ns, seconds_to_ns(cost.minimum_s))
    grain = max(seconds_to_ns(cost.granularity_s), 1)
    return np.asarray(-(-billed // grain) * grain, np.int64)


def lease_usd(leases: Leases, fleet: Sequence[Pool], prices: Sequence[float | None], cost: Cost) -> Floats:
    """USD of each lease: its GPUs times the price over the billed time.

    A lease that is rounded up pays the price of its last instant for the time beyond its end.

    Args:
        leases: n of them.
        fleet: pools, in the order that `leases.pool` counts.
        prices: of each pool in USD a GPU-hour, None where unknown; its zones may say otherwise.
        cost: granularity and minimum.

    Returns:
        float64[n]; NaN where the price is unknown.
    """
    billed = billed_ns(leases, cost)
    usd = np.zeros(len(billed), np.float64)
    for pool, (one, price) in enumerate(zip(fleet, prices, strict=True)):
        for index, zone in enumerate(one.zones or (None,)):
            rows = (leases.pool == pool) & (leases.zone == index)
            usd[rows] = leases.gpus[rows] * _path(leases.start_ns[rows], leases.end_ns[rows], billed[rows], zone, price)
    return usd


def _path(start: Int64s, end: Int64s, billed: Int64s, zone: Zone | None, price: float | None) -> Floats:
    """USD of one GPU over each lease's billed time: the integral of a price that is a step function."""
    if zone is not None and zone.usd_per_gpu_hour is not None:
        price = zone.usd_per_gpu_hour
    points = () if zone is None else zone.prices
    longest = int(np.iinfo(np.int64).max)
    since = np.array([0, *(min(round(point.hour * NS_PER_HOUR), longest) for point in points)], np.int64)
    usd = np.array([np.nan if price is None else price, *(point.usd_per_gpu_hour for point in points)])
    until = np.append(since[1:], longest)
    last = np.searchsorted(since, np.maximum(end - 1, start), side="right") - 1
    total = usd[last] * (billed - (end - start))
    for low, high, each in zip(since, until, usd, strict=True):
        inside = np.maximum(np.minimum(end, high) - np.maximum(start, low), 0)
        total += np.where(inside > 0, each * inside, 0.0)  # no NaN from a time without price that is not leased
    return total / NS_PER_HOUR


def gpu_hours(leases: Leases, pools: int) -> Floats:
    """Leased GPU-hours of each pool, not rounded up."""
    hours = leases.gpus * ((leases.end_ns - leases.start_ns) / NS_PER_HOUR)
    return np.bincount(leases.pool, hours, pools).astype(np.float64, copy=False)


def energy_kwh(energy: Energy, tdp_w: float, leased_h: float, busy_h: float) -> float:
    """Energy of one kind of GPU, with that of the room: idle power while it is leased, busy power while it steps.

    Args:
        energy: powers of one GPU, and the room's PUE.
        tdp_w: busy power where `energy` says none.
        leased_h: GPU-hours leased.
        busy_h: GPU-hours inside engine steps.
    """
    busy_w = tdp_w if energy.busy_w is None else energy.busy_w
    idle_w = busy_w if energy.idle_w is None else energy.idle_w
    return energy.pue * (leased_h * idle_w + busy_h * (busy_w - idle_w)) / 1000


def busy_gpu_hours(counters: NDArray[np.void], gpus: Sequence[int]) -> Floats:
    """GPU-hours inside engine steps, by replica.

    Args:
        counters: COUNTERS[replicas]
        gpus: of each replica.
    """
    return counters["busy_ns"] / NS_PER_HOUR * np.asarray(gpus, np.float64)
