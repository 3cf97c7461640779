"""The cost section of the terminal report, where a run's leases and the scenario's terms make the bill."""

from typing import Any

from rich.text import Text

from sim.report import Summary
from sim.result import Run
from sim.scenario.cost import Cost
from ui.page import heading, number, paragraph, share

_RATES = {
    "usd_per_hour": "Fleet ($/h)",
    "usd_per_day": "Fleet ($/day)",
    "usd_per_1m_input_tokens": "1M input tokens ($)",
    "usd_per_1m_output_tokens": "1M output tokens ($)",
    "usd_per_1m_total_tokens": "1M input + output tokens ($)",
    "usd_per_1k_good_requests": "1k good requests ($)",
}


def named(run: Run) -> bool:
    """Whether the scenario says more of the cost than a pool's price: its terms, a market, prices by zone."""
    scenario: dict[str, Any] = run.scenario
    usual = Cost().model_dump(mode="json")
    terms = scenario.get("cost", usual) != usual
    return terms or any(pool["market"] != "on_demand" or pool["zones"] for pool in scenario["fleet"])


def cost(page: Text, summary: Summary) -> None:
    """What the run cost, by hour, token and request; by pool; in energy; and against a provider's price."""
    heading(page, "Cost")
    if summary["usd_total"].mean is None:
        paragraph(page, "Unknown: a pool has no price, in the scenario (usd_per_gpu_hour) or catalogue.")
        return
    number(page, "  GPU-hours", summary["gpu_hours"])
    for key, words in _RATES.items():
        if summary[key].mean is not None:
            tails = summary.usd_p10_p90.get(key)
            note = "P10-P90 {:.2f}-{:.2f}".format(*tails) if tails and tails[0] < tails[1] else ""
            number(page, f"  {words}", summary[key], note=note)
    if len(summary.pools) > 1:
        for pool in summary.pools:
            share(page, f"    {pool.pool} (% of the cost)", pool.values["usd_share"])
    _energy(page, summary)
    _api(page, summary)


def _energy(page: Text, summary: Summary) -> None:
    if summary["energy_kwh"].mean is not None:
        number(page, "  Energy (kWh)", summary["energy_kwh"])
        number(page, "  Energy of owned GPUs ($)", summary["usd_energy"])


def _api(page: Text, summary: Summary) -> None:
    if summary["api_usd"].mean is None:
        return
    number(page, "  The same tokens from the API ($)", summary["api_usd"])
    share(page, "  Fleet, of the API's price (%)", summary["api_ratio"])
    number(page, "  Break-even (requests a day)", summary["break_even_requests_per_day"], digits=0)
