"""The highest rate within an SLO, against queueing theory and against every rate of a grid."""

import json
import math
from dataclasses import replace

import pytest
import yaml
from scipy.optimize import brentq
from scipy.stats import t as student

from sim.errors import InputError
from sim.scenario.load import load
from sim.study.capacity_search import capacity, scaled
from sim.study.evaluation import Design, evaluate
from tests.unit.small_fleet import lengths
from tests.unit.test_plan import document, in_turn, written
from ui.cli import main

TOLERANCE = 0.01


def md1_wait(rho, t):
    """P(wait <= t) in M/D/1, t in service times (Erlang 1909; Gross & Harris, 5.1.5)."""
    terms = ((rho * (k - t)) ** k / math.factorial(k) * math.exp(-rho * (k - t)) for k in range(math.floor(t) + 1))
    return (1 - rho) * sum(terms)


def test_md1_formula():
    """P(wait <= 0) is 1 - rho; the mean wait, the integral of the rest, is that of Pollaczek and Khinchine."""
    assert md1_wait(0.7, 0.0) == pytest.approx(0.3)
    mean = sum(1 - md1_wait(0.6, (i + 0.5) / 100) for i in range(1500)) / 100
    assert mean == pytest.approx(0.6 / 0.4 / 2, rel=1e-3)


def station(tmp_path, **run):
    """A replica that serves one prompt at a time and answers with one token: an M/D/1 queue, nearly empty."""
    traffic = {
        "kind": "synthetic",
        "num_prompts": 3000,
        "arrivals": {"kind": "poisson", "request_rate": 0.5},
        "lengths": lengths(256, 1),
    }
    engine = {
        "max_model_len": 512,
        "num_gpu_blocks_override": 200,
        "max_num_seqs": 1,
        "max_num_batched_tokens": 512,
        "async_scheduling": False,
        "enable_prefix_caching": False,
    }
    return written(tmp_path, workload=traffic, engine=engine, run={"replications": 8, "seed": 5} | run)


def test_capacity_of_an_md1_queue(tmp_path):
    """90 % within three and a half service times: the load at which P(wait <= 2.5) = 0.9."""
    path = station(tmp_path)
    idle = Design(str(path), ("workload.num_prompts=1", "run.replications=1"))
    service_ms = evaluate(idle).summary["values"]["mean_ttft_ms"]["mean"]
    limits = (f"slo.ttft_ms={3.5 * service_ms}", "slo.tpot_ms=null", "slo.percentile=90")
    found = capacity(Design(str(path), limits), in_turn, confidence=0.999, tolerance=TOLERANCE)
    expected = brentq(lambda rho: md1_wait(rho, 2.5) - 0.9, 0.1, 0.99) / service_ms * 1000
    assert found.rate.low <= expected <= found.rate.high * (1 + TOLERANCE)
    assert found.rate.half_width < 0.06 * expected
    assert found.at.summary["values"]["offered_rate"]["mean"] == pytest.approx(expected, rel=0.05)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    path = written(tmp_path_factory.mktemp("capacity"), run={"replications": 3})
    return path, capacity(Design(str(path)), in_turn, tolerance=TOLERANCE)


def test_no_rate_of_a_grid_is_higher(searched):
    """Of 40 rates around it, the highest that each replication bears lies within the tolerance of its own capacity."""
    path, found = searched
    scenario = load(path).scenario
    grid = [found.factor * (0.8 + i / 50) for i in range(40)]
    swept = in_turn([Design(str(path), scaled(scenario, factor)) for factor in grid])
    for index, rate in enumerate(found.by_replication):
        good = [one.classes[index][0]["good_share"] >= 0.8 for one in swept]
        rates = [one.replications[index]["offered_rate"] for one in swept]
        first_bad = good.index(False)
        assert 0 < first_bad < 39
        assert rates[first_bad - 1] < rate * (1 + TOLERANCE)
        assert rate < rates[first_bad] * (1 + TOLERANCE)


def test_interval_is_over_the_replications(searched):
    _, found = searched
    rates = found.by_replication
    mean = sum(rates) / 3
    sd = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / 2)
    assert len(set(rates)) == 3
    assert found.rate.mean == pytest.approx(mean)
    assert found.rate.half_width == pytest.approx(student.ppf(0.975, 2) * sd / math.sqrt(3))


def test_every_replication_keeps_the_slo_where_it_is_told(searched):
    path, found = searched
    again = evaluate(Design(str(path), scaled(load(path).scenario, found.factor)))
    assert all(classes[0]["good_share"] >= 0.8 for classes in again.classes)
    assert replace(again, design=found.at.design) == found.at


def test_capacity_does_not_depend_on_where_the_search_begins(searched):
    path, found = searched
    elsewhere = capacity(Design(str(path), ("workload.arrivals.request_rate=0.7",)), in_turn, tolerance=TOLERANCE)
    for one, other in zip(found.by_replication, elsewhere.by_replication, strict=True):
        assert one == pytest.approx(other, rel=1.01 * TOLERANCE)


def test_no_rate_is_low_enough_for_a_limit_that_no_request_keeps(tmp_path):
    found = capacity(Design(str(written(tmp_path, slo={"ttft_ms": 0.5}))), in_turn)
    assert found.at is None
    assert found.rate.mean == 0.0


def test_too_few_requests_tell_no_capacity(tmp_path, capsys):
    path = written(tmp_path, workload=document()["workload"] | {"num_prompts": 4}, run={"replications": 2})
    assert capacity(Design(str(path)), in_turn).unlimited
    assert main(["capacity", str(path), "--workers", "1", "--quiet"]) == 0
    assert "too few to tell" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arrivals", "rates"),
    [
        ({"kind": "gamma", "request_rate": 2.0, "burstiness": 0.5}, {"request_rate": 6.0, "burstiness": 0.5}),
        (
            {"kind": "on_off", "on_rate": 4.0, "off_rate": 1.0, "mean_on_s": 5.0, "mean_off_s": 5.0},
            {"on_rate": 12.0, "off_rate": 3.0, "mean_on_s": 5.0},
        ),
        (
            {"kind": "ramp", "start_rate": 0.0, "end_rate": 4.0, "duration_s": 9.0},
            {"start_rate": 0.0, "end_rate": 12.0},
        ),
        ({"kind": "diurnal", "mean_rate": 2.0}, {"mean_rate": 6.0, "peak_to_mean": 1.5}),
    ],
)
def test_rates_are_scaled_alike(tmp_path, arrivals, rates):
    path = written(tmp_path, workload=document()["workload"] | {"arrivals": arrivals})
    faster = load(path, scaled(load(path).scenario, 3.0)).scenario.workload.arrivals.model_dump()
    assert {key: faster[key] for key in rates} == rates


def test_recording_is_replayed_faster(tmp_path):
    (tmp_path / "trace.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n1,20,5\n")
    traffic = {"kind": "trace", "path": "trace.csv", "format": "csv", "rate_scale": 2.0}
    path = written(tmp_path, workload=traffic)
    assert load(path, scaled(load(path).scenario, 1.5)).scenario.workload.rate_scale == 3.0


def test_closed_loop_has_no_capacity(tmp_path):
    traffic = document()["workload"] | {"arrivals": {"kind": "closed_loop", "concurrency": 3}}
    with pytest.raises(InputError, match="found closed_loop"):
        capacity(Design(str(written(tmp_path, workload=traffic))), in_turn)


def test_command_prints_what_was_found(tmp_path, capsys, searched):
    _, found = searched
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(document(run={"replications": 3})))
    argv = ["capacity", str(path), "--workers", "1", "--quiet"]
    assert main([*argv, "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests_per_s"]["mean"] == found.rate.mean
    assert told["by_replication"] == list(found.by_replication)
    assert main(argv) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"keep the SLO up to {found.rate.mean:.2f} ± {found.rate.half_width:.2f} requests/s" in words


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--tolerance", "2"), "--tolerance 2: expected a share"),
        (("--confidence", "0"), "--confidence 0: expected a share"),
        (("--workers", "0"), "--workers 0: expected at least 1"),
        (("--set", "slo.ttft_ms=null", "--set", "slo.tpot_ms=null"), "slo: found no limit"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, capsys, options, sentence):
    assert main(["capacity", str(written(tmp_path)), *options, "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err
    assert said.err.count("\n") == 1
