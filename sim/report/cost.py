"""What a run cost, by the hour, the token and the request, and against a provider's price for the same tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from sim import billing, catalog
from sim.report.measure import ratio
from sim.result import Measures, Replication, Run
from sim.scenario.cost import Api, Cost
from sim.scenario.fleet import Pool
from sim.stats import Floats
from sim.units import NS_PER_S

_FLEET = TypeAdapter(tuple[Pool, ...])


def cost(one: Replication, run: Run, whole: Measures) -> Measures:
    """Measure the cost of a replication. A number that needs an unknown price is None.

    Totals are of the whole run; a price for tokens or requests is the fleet's mean USD an hour over the rate of the
    requests that are kept, so a warm-up is paid for by neither more nor less than what follows it.

    Args:
        one: the replication.
        run: its run.
        whole: traffic and goodput of the requests that are kept, as sim/report/measure.py names them.
    """
    bill = _bill(one, run)
    hours = one.end_ns / (NS_PER_S * 3600)
    total = _known(bill.usd.sum())
    by_hour = ratio(total, hours)
    by_day = None if by_hour is None else 24 * by_hour
    inputs = ratio(whole["total_input_tokens"], whole["duration"])
    return {
        "usd_total": total,
        "usd_per_hour": by_hour,
        "usd_per_day": by_day,
        "usd_energy": float(bill.usd_energy.sum()),
        "energy_kwh": None if bill.kwh is None else float(bill.kwh.sum()),
        "gpu_hours": float(bill.gpu_hours.sum()),
        **_market_shares(bill),
        "usd_per_1m_input_tokens": _unit_cost(by_hour, inputs, 1e6),
        "usd_per_1m_output_tokens": _unit_cost(by_hour, whole["output_throughput"], 1e6),
        "usd_per_1m_total_tokens": _unit_cost(by_hour, whole["total_token_throughput"], 1e6),
        "usd_per_1k_good_requests": _unit_cost(by_hour, whole["request_goodput"], 1e3),
        **_against_api(bill.cost.api, whole, hours, total, by_day),
    }


def pool_costs(one: Replication, run: Run) -> tuple[Measures, ...]:
    """Cost of each pool over the whole run, in the order of the scenario."""
    bill = _bill(one, run)
    total = _known(bill.usd.sum())
    return tuple(
        {
            "usd": _known(bill.usd[i]),
            "usd_share": ratio(_known(bill.usd[i]), total),
            "gpu_hours": float(bill.gpu_hours[i]),
            "energy_kwh": None if bill.kwh is None else float(bill.kwh[i]),
        }
        for i in range(len(bill.fleet))
    )


@dataclass(frozen=True, slots=True)
class _Bill:
    """Columns by pool."""

    fleet: tuple[Pool, ...]
    cost: Cost
    usd: Floats
    """Leases and energy; NaN where a leased pool has no price."""
    usd_energy: Floats
    kwh: Floats | None
    gpu_hours: Floats


def _bill(one: Replication, run: Run) -> _Bill:
    fleet = _FLEET.validate_python(run.scenario["fleet"])
    terms = Cost.model_validate(run.scenario.get("cost", {}))
    n = len(fleet)
    leased = np.bincount(one.leases.pool, billing.lease_usd(one.leases, fleet, _prices(run, fleet), terms), n)
    hours = billing.gpu_hours(one.leases, n)
    kwh, usd_energy = None, np.zeros(n)
    if terms.energy is not None:
        busy = billing.busy_gpu_hours(one.counters, [info.gpus for info in run.replicas])
        names = np.array([info.pool for info in run.replicas])
        kwh = np.array(
            [
                billing.energy_kwh(
                    terms.energy, catalog.gpu(pool.gpu).tdp_w, hours[i], float(busy[names == pool.pool].sum())
                )
                for i, pool in enumerate(fleet)
            ]
        )
        # A rented GPU's power is in its price.
        usd_energy = np.where([pool.market == "owned" for pool in fleet], kwh * terms.energy.usd_per_kwh, 0.0)
    return _Bill(fleet, terms, leased + usd_energy, usd_energy, kwh, hours)


def _prices(run: Run, fleet: tuple[Pool, ...]) -> list[float | None]:
    """USD a GPU-hour of each pool: as the run had it, for the catalogue may have changed since."""
    had = {info.pool: info.usd_per_gpu_hour for info in run.replicas}
    return [billing.usd_per_gpu_hour(pool) if had.get(pool.pool) is None else had[pool.pool] for pool in fleet]


def _known(usd: float) -> float | None:
    return None if np.isnan(usd) else float(usd)


def _unit_cost(usd: float | None, per_second: float | None, unit: float) -> float | None:
    """USD for `unit` tokens or requests at a rate a second, at `usd` an hour."""
    if usd is None:
        return None
    return ratio(usd * unit, per_second * 3600 if per_second else None)


def _market_shares(bill: _Bill) -> Measures:
    total = _known(bill.usd.sum())
    markets = dict.fromkeys(pool.market for pool in bill.fleet)
    of = {market: bill.usd[[pool.market == market for pool in bill.fleet]].sum() for market in markets}
    return {f"usd_share_{market}": ratio(_known(usd), total) for market, usd in of.items()}


def _against_api(
    api: Api | None, whole: Mapping[str, float | None], hours: float, total: float | None, by_day: float | None
) -> Measures:
    """What a provider would ask for the finished requests' tokens, at their rate and over the run's time."""
    request = rate = None
    if api is not None and whole["completed"]:
        inputs, outputs = whole["total_input_tokens"] or 0.0, whole["total_output_tokens"] or 0.0
        usd = (inputs * api.usd_per_1m_input_tokens + outputs * api.usd_per_1m_output_tokens) / 1e6
        request, rate = usd / whole["completed"], ratio(usd, whole["duration"])
    api_usd = None if rate is None else rate * hours * 3600
    return {
        "api_usd": api_usd,
        "api_ratio": ratio(total, api_usd),
        "break_even_requests_per_day": ratio(by_day, request),
    }
