"""Spot discounts of p4d and p5, against the price table; and `trilemma market`."""

import csv

import numpy as np
import pytest

from sim import catalog
from sim.catalog.discounts import distribution
from sim.catalog.types import SpotDiscounts
from sim.errors import InputError
from tests.shared_data import DATA, needs_data
from ui.commands.market import market


def made(percent_by_zone):
    return distribution(SpotDiscounts("x1.big", "h100-sxm-80gb", percent_by_zone, "by hand", "2026-01-01"))


def test_zones_without_a_price_are_set_aside():
    found = made({"a": 60.0, "b": 0.04, "c": -0.04, "d": 0.1, "e": 90.0, "f": 89.9, "g": 20.0})
    assert found.flagged == {"b": 0.04, "c": -0.04, "e": 90.0}
    assert found.percent == (0.1, 20.0, 60.0, 89.9)
    assert (found.n, found.mean) == (4, 42.5)
    assert [found.at_least(one) for one in (0, 60.0, 60.1, 90.0)] == [4, 2, 1, 0]


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_quartiles_are_numpys(n):
    values = np.random.default_rng(n).uniform(1, 80, n)
    found = made({str(i): float(one) for i, one in enumerate(values)})
    assert found.quartiles == pytest.approx(tuple(np.percentile(values, [25, 50, 75])))


@needs_data
@pytest.mark.parametrize("instance", catalog.discounted_instances())
def test_discounts_equal_the_rows_and_their_prices(instance):
    with (DATA / "prices" / "gpu_prices.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["instance"] == instance and row["spot_price_usd_h"]]
    known = catalog.spot_discounts(instance)
    assert known.percent_by_zone.keys() == {row["zone"] for row in rows}
    for row in rows:
        percent = 100 * (1 - float(row["spot_price_usd_h"]) / float(row["price_usd_h"]))
        assert known.percent_by_zone[row["zone"]] == pytest.approx(percent, abs=0.051)
    flagged = {row["zone"] for row in rows if float(row["spot_discount_pct"]) in (0.0, 90.0)}
    found = distribution(known)
    assert found.flagged.keys() == flagged
    assert found.n == len(rows) - len(flagged)


def test_the_articles_discount_is_rare():
    p4d, p5 = (distribution(catalog.spot_discounts(one)) for one in ("p4d.24xlarge", "p5.48xlarge"))
    assert (p4d.n, p4d.at_least(76), len(p4d.flagged)) == (17, 1, 4)
    assert (p5.n, p5.at_least(76), len(p5.flagged)) == (22, 0, 6)
    assert p4d.quartiles[1] == 60.1


def test_market_prints_one_instance_or_all(capsys):
    assert market("p5.48xlarge") == 0
    one = capsys.readouterr().out
    assert "p5.48xlarge (h100-sxm-80gb), 22 zones" in one
    assert "in 0 of 22 zones" in one
    assert "1 (spot at a tenth of it): apse3-az1" in one
    assert "p4d" not in one
    assert market(None) == 0
    everything = capsys.readouterr().out
    assert all(f"\n{instance} (" in everything for instance in catalog.discounted_instances())
    assert all(f"  {preset} " in everything for preset in catalog.spot_preset_ids())
    assert max(map(len, everything.splitlines())) <= 80
    with pytest.raises(InputError, match=r"did you mean 'p5\.48xlarge'"):
        market("p5.48large")
