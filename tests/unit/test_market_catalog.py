"""Presets of failures, starts and spot markets, against the facts they were taken from."""

import csv
import math

import numpy as np
import pytest
from pydantic import TypeAdapter

from sim import catalog
from sim.catalog import store
from sim.catalog.parameters import parameters
from sim.errors import InputError
from sim.scenario.duration import Duration
from tests.shared_data import DATA, needs_data

FAILURES = tuple(store.entries("failures.yaml"))
BANDS = {"lt5": (0, 5), "5-10": (5, 10), "10-15": (10, 15), "15-20": (15, 20), "gt20": (20, 20)}


def test_failure_rates_follow_from_the_counts_in_their_sources():
    day, node = 24, 8
    expected = {
        "llama3-node": 54 * day * (16_384 / node) / 419,
        "llama3-gpu": 54 * day * 16_384 / 246,
        "rsc1-node": 1000 * day / 6.50,
        "rsc2-node": 1000 * day / 2.34,
        "b200-node": 63 * 55 * day / 10,
        "opt175b-node": 7.5 * 1000 / node,
        "delta-h100-memory": 88_768,
        "delta-a100-memory": 3.2 * 88_768,  # the abstract's ratio
        "delta-a100-gsp": 9.6e6 / 3857,
    }
    assert set(expected) == set(FAILURES)
    for preset_id, mtbf_hours in expected.items():
        assert catalog.failure_preset(preset_id).mtbf_hours == pytest.approx(mtbf_hours, rel=3e-3)


@needs_data
def test_node_rates_are_those_of_the_table():
    with (DATA / "specs" / "failures_and_startup.csv").open() as file:
        table = {row["derived_8gpu_node_MTBF_h"] for row in csv.DictReader(file)}
    nodes = [catalog.failure_preset(one) for one in FAILURES if one.endswith("-node")]
    assert len(nodes) == 5
    for preset in nodes:
        assert preset.of == "node"
        assert f"{preset.mtbf_hours:g}" in table


def test_whose_failure_a_preset_counts_is_in_its_name():
    for preset_id in FAILURES:
        assert catalog.failure_preset(preset_id).of == ("node" if preset_id.endswith("-node") else "gpu")


def test_startup_stages_are_durations_of_a_scenario():
    for preset_id in store.entries("startup.yaml"):
        preset = catalog.startup_preset(preset_id)
        assert tuple(preset.stages) == ("provision", "boot", "image", "process", "compile", "warm")
        for stage in preset.stages.values():
            TypeAdapter(Duration).validate_python(stage)
        assert preset.node_gb_per_s <= preset.store_gb_per_s


def seconds(preset, *stages):
    return sum(preset.stages[one].get("median_s", preset.stages[one].get("s")) for one in stages)


def from_nothing(preset_id):
    """Median time to the first answer of one DeepSeek-67B replica in BF16 on a new node."""
    preset = catalog.startup_preset(preset_id)
    weights = 2 * parameters(catalog.model("deepseek-llm-67b", DATA)).total / 1e9
    return seconds(preset, *preset.stages) + weights / min(preset.store_gb_per_s, preset.node_gb_per_s)


def test_a_start_from_nothing_takes_what_is_published():
    assert 425 <= from_nothing("default") <= 439  # a live cluster's "ready", within the 6 to 10 min of such models
    assert 40 * 60 <= from_nothing("slow") <= 120 * 60
    assert from_nothing("fast-local") < from_nothing("default") / 3


def test_an_engine_start_takes_what_is_published():
    preset = catalog.startup_preset("default")
    assert seconds(preset, "provision", "boot") == 35
    warm_node = seconds(preset, "process", "compile", "warm") + 70.6 / preset.disk_gb_per_s
    assert warm_node == pytest.approx(62, abs=0.5)  # Llama-70B in FP8


@pytest.mark.parametrize("band", BANDS)
def test_an_advisor_band_is_the_share_interrupted_in_a_month(band):
    low, high = BANDS[band]
    preset = catalog.spot_preset(f"aws-advisor-{band}")
    interrupted = 1 - math.exp(-730 / preset.mean_life_hours)
    assert interrupted == pytest.approx((low + high) / 200, rel=1e-3)
    assert (preset.nodes_per_event, preset.mean_outage_s) == (1.0, 0.0)


@needs_data
@pytest.mark.parametrize(
    ("preset_id", "file"),
    [
        ("bamboo-p3", "p3-trace.csv"),
        ("bamboo-g4dn", "g4dn-trace.csv"),
        ("gcp-a100", "a100x1-east1b.txt"),
        ("gcp-v100", "v100x1-east1c.txt"),
    ],
)
def test_trace_presets_are_recounted_second_by_second(preset_id, file):
    counts = by_second(DATA / "spot" / "bamboo" / file)
    change = np.diff(counts)
    fell, rose = np.flatnonzero(change < 0), np.flatnonzero(change > 0)
    lost = -change[fell].sum()
    preset = catalog.spot_preset(preset_id)
    assert preset.mean_life_hours == pytest.approx(counts[:-1].sum() / 3600 / lost, rel=1e-4)
    assert preset.nodes_per_event == pytest.approx(lost / len(fell), rel=1e-3)
    waits = [(rose[rose > at][0] if (rose > at).any() else len(change) - 1) - at for at in fell]
    ended = sum((rose > at).any() for at in fell)
    assert preset.mean_outage_s == pytest.approx(sum(waits) / ended, abs=0.5)


def by_second(path):
    """Nodes at every second of a trace, from its first to its last entry."""
    lines = path.read_text().split("\n")
    if path.suffix == ".csv":
        rows = [line.split(",") for line in lines if line]
        counts = np.zeros(int(rows[-1][0]) // 1000 + 1, int)
        for ms, change, _ in rows:
            counts[int(ms) // 1000 :] += 1 if change == "add" else -1
        return counts[int(rows[0][0]) // 1000 :]
    rows = [line.split(", ") for line in lines if line]
    times = np.array([f"{day}T{clock}" for day, clock, _ in rows], "datetime64[s]").astype(int)
    counts = np.zeros(times[-1] - times[0] + 1, int)
    for time, (_, _, count) in zip(times, rows, strict=True):
        counts[time - times[0] :] = int(count)  # in the order of the file: a later line overrules
    return counts


def test_published_hazards_are_met():
    assert 1 / catalog.spot_preset("bamboo-p3").mean_life_hours == pytest.approx(0.611, abs=5e-4)
    assert 1 / catalog.spot_preset("gcp-a100").mean_life_hours == pytest.approx(0.0995, abs=5e-5)


@pytest.mark.parametrize(
    ("find", "wrong", "meant"),
    [
        (catalog.failure_preset, "lama3-node", "llama3-node"),
        (catalog.startup_preset, "defalt", "default"),
        (catalog.spot_preset, "bamboo-p4", "bamboo-p3"),
        (catalog.spot_discounts, "p4d.24xlage", "p4d.24xlarge"),
    ],
)
def test_an_unknown_preset_is_one_sentence(find, wrong, meant):
    with pytest.raises(InputError, match=rf"^unknown [^\n]*'{wrong}', did you mean '{meant}'; known: [^\n]*$"):
        find(wrong)
