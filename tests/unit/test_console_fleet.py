"""What the report says of a fleet under fire."""

import io
from dataclasses import replace

import numpy as np
import pytest

from sim.report import summarise
from tests.unit.synthetic_run import REPLICA, random_replication, run, under_fire
from tests.unit.test_report_recovery import fallen, outage
from ui.console import print_report


def printed(record):
    file = io.StringIO()
    print_report(record, summarise(record), file=file)
    return file.getvalue()


@pytest.fixture
def fire():
    """Two replications with one failure each, on two pools, one of them owned."""
    one = under_fire()
    bill = replace(one.leases, pool=np.array([0, 1], np.int32))
    other = replace(REPLICA, pool="own")
    record = run(
        [replace(one, leases=bill)] * 2,
        slo={"ttft_ms": 5000.0, "availability": 90.0},
        replicas=(REPLICA, other),
        cost={"energy": {"usd_per_kwh": 0.1}, "api": {"usd_per_1m_input_tokens": 1.0, "usd_per_1m_output_tokens": 2.0}},
    )
    record.scenario["fleet"][1]["market"] = "owned"
    return record


FIRE = """
Availability
  missed: 90 % of the requests must be answered
  Answered requests (%)                  40.00      ± 0.00
  Error budget used (%)                  600.00     ± 0.00
  Lost requests                          1.00       ± 0.00
  Shed requests                          1.00       ± 0.00
  Timed-out requests                     1.00       ± 0.00

Failures and recovery
  Lost nodes                             1.00       ± 0.00
  Mean ready replicas                    1.30       ± 0.00
  No incident that traffic could tell of.

Work lost
  Lost tries                             2.00       ± 0.00
  Retries                                1.00       ± 0.00
  Retried requests                       1.00       ± 0.00
  Re-prefilled tokens                    68.00      ± 0.00
  Tokens without an answer               273.00     ± 0.00
  Without an answer, of all tokens (%)   48.58      ± 0.00

Cost
"""


def test_a_fleet_under_fire_has_sections_of_its_own(fire):
    text = printed(fire)
    assert FIRE in text
    cost = text[text.index("\nCost\n") : text.index("\nBottleneck\n")]
    lines = {line[:40].strip(): float(line[41:51]) for line in cost.splitlines()[2:]}
    # 4 GPUs for 3 s and 4 for 10 s at 2.50 $/h; 40 GPU-s of owned ones at 700 W and 0.10 $/kWh
    usd, kwh = 2.5 * 52 / 3600, 52 / 3600 * 0.7
    owned = 0.1 * 40 / 3600 * 0.7
    api = (200 * 1.0 + 22 * 2.0) / 1e6
    assert lines == pytest.approx(
        {
            "GPU-hours": 52 / 3600,
            "Fleet ($/h)": (usd + owned) * 360,
            "Fleet ($/day)": (usd + owned) * 8640,
            "1M input tokens ($)": (usd + owned) / 200 * 1e6,
            "1M output tokens ($)": (usd + owned) / 22 * 1e6,
            "1M input + output tokens ($)": (usd + owned) / 222 * 1e6,
            "1k good requests ($)": (usd + owned) * 1000,
            "base (% of the cost)": 100 * (2.5 * 12 / 3600) / (usd + owned),
            "own (% of the cost)": 100 * (2.5 * 40 / 3600 + owned) / (usd + owned),
            "Energy (kWh)": kwh,
            "Energy of owned GPUs ($)": owned,
            "The same tokens from the API ($)": api,
            "Fleet, of the API's price (%)": 100 * (usd + owned) / api,
            "Break-even (requests a day)": (usd + owned) * 8640 / (api / 2),
        },
        abs=0.006,
        rel=1e-4,
    )
    assert max(map(len, text.splitlines())) <= 80


def test_the_spread_of_the_cost_is_shown_where_it_has_one(fire):
    assert "P10-P90" not in printed(fire)
    first = fire.replications[0]
    dearer = replace(first, leases=replace(first.leases, gpus=np.array([4, 8], np.int32)))
    text = printed(replace(fire, replications=(first, dearer)))
    usd = [one * 360 for one in (2.5 * 52 / 3600 + 0.1 * 0.7 * 40 / 3600, 2.5 * 92 / 3600 + 0.1 * 0.7 * 80 / 3600)]
    low, high = np.percentile(usd, (10, 90))
    assert f"P10-P90 {low:.2f}-{high:.2f}" in text


def test_an_undisturbed_fleet_on_another_market_has_its_bill():
    record = run([random_replication(0)])
    assert "\nCost at list price\n" in printed(record)
    record.scenario["fleet"][0]["market"] = "spot"
    text = printed(record)
    assert "\nCost\n" in text
    assert "Availability" not in text


def test_an_unknown_price_is_said(fire):
    unknown = replace(fire, replicas=(replace(REPLICA, usd_per_gpu_hour=None), *fire.replicas[1:]))
    unknown.scenario["fleet"][0] |= {"usd_per_gpu_hour": None, "gpu": "h800-sxm-80gb"}
    assert "Unknown: a pool has no price" in printed(unknown)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            range(300, 420),
            "Recovered from 2 of 2 incidents (95 % interval 16 % to 100 %), in a median of",
        ),
        (range(300, 900), "Did not recover by the end: from 0 of 2 incidents (95 % interval 0 % to 84 %)."),
    ],
)
def test_recovery_is_a_sentence(bad, words):
    one = replace(outage(900, bad), timeline=fallen(300))
    assert words in " ".join(printed(run([one, one])).split())
