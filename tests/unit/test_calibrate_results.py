"""From end-to-end results alone: five of them, fitted by simulating, predict what was not measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibrate import profiles, results
from calibrate.measurements import UNSEEN, from_measurements, predict
from calibrate.request import Request
from calibrate.results import CONFIGURATION, Served
from sim.errors import InputError
from sim.run import simulate
from sim.scenario.load import Loaded
from sim.scenario.workload import Trace
from sim.steptime.calibrated import efficiency_of
from sim.steptime.efficiency import PRIOR
from tests.unit.measured import CPU, ENGINE, TRUTH, scenario, served, write_bench, write_profile, write_run

SECRET = replace(PRIOR, memory=0.65, gemm_16bit=0.6, kernel_s=5e-6, kv_16bit=0.8, frontend_s=0.015)
SEEN = ((2.0, 120, 40), (10.0, 120, 40), (30.0, 120, 40), (10.0, 600, 40), (5.0, 120, 200))
UNSEEN_LOADS = ((4.0, 300, 100), (20.0, 120, 80), (1.0, 100, 100))


def quiet(done: int, total: int) -> None:
    """No progress."""


def loaded(case) -> Loaded:
    return Loaded(case, Path("served.yaml"), (), "")


def bench(folder, number, rate, prompt, output, truth=SECRET):
    case = scenario(rate, prompt, output)
    return results.read(write_bench(folder / f"bench-{number}.json", case, truth), loaded(case))


def calibrated(*read, **changes):
    request = Request(profiles=(), results=read, unseen=(), name="fitted", engine="vLLM 0.32.0", prior=None)
    return from_measurements(replace(request, **changes), quiet)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    return calibrated(*(bench(folder, number, *load) for number, load in enumerate(SEEN)))


def test_five_results_predict_unseen_loads_that_the_priors_miss(five):
    best = efficiency_of(five, None)
    for load in UNSEEN_LOADS:
        case = scenario(*load, requests=100)
        true, said, prior = (served(case, one) for one in (SECRET, best, PRIOR))
        assert said["tpot"] == pytest.approx(true["tpot"], rel=0.02)
        assert said["ttft"] == pytest.approx(true["ttft"], rel=0.05)
        assert abs(prior["tpot"] / true["tpot"] - 1) > 0.1


def test_what_five_results_say_nothing_of_stays_at_its_prior(five):
    assert five.parameters["experts_8bit"] == pytest.approx(PRIOR.experts_8bit, rel=1e-3)
    assert five.parameters["collective_bandwidth"] == pytest.approx(PRIOR.collective_bandwidth, rel=1e-3)


def test_each_configuration_is_predicted_from_the_others(five):
    scored = {(one.held_out, one.metric): one for one in five.card}
    assert {key: one.points for key, one in scored.items()} == {(CONFIGURATION, "ttft"): 5, (CONFIGURATION, "tpot"): 5}
    assert five.measured.models == ("deepseek-llm-7b",)


def test_unseen_runs_are_scored_in_every_metric_and_change_no_fit(tmp_path, five):
    read = [bench(tmp_path, number, *load) for number, load in enumerate(SEEN)]
    unseen = [bench(tmp_path, 9, *UNSEEN_LOADS[0])]
    with_them = calibrated(*read, unseen=tuple(unseen))
    assert with_them.parameters == five.parameters
    scored = {one.metric: one for one in with_them.card if one.held_out == UNSEEN}
    assert set(scored) == {"ttft", "tpot", "e2el", "request_throughput"}
    assert all(one.mape < 0.05 for one in scored.values())
    assert scored["tpot"].coverage == scored["ttft"].coverage == 1.0
    halved = five.model_copy(update={"parameters": {**five.parameters, "memory": 2 * five.parameters["memory"]}})
    worse = {row.metric: row for row in predict(halved, unseen, UNSEEN, quiet)}
    assert worse["tpot"].predicted < 0.75 * worse["tpot"].measured


def test_repeats_of_a_configuration_are_held_out_together(tmp_path):
    same = [bench(tmp_path, number, 10.0, 120, 40) for number in range(2)]
    other = bench(tmp_path, 2, 30.0, 120, 40)
    groups = [one.point.groups[CONFIGURATION] for one in (*same, other)]
    assert groups[0] == groups[1] != groups[2]
    assert {one.held_out for one in calibrated(*same).card} == set()  # nothing is left to fit without them


def test_a_result_brings_its_own_rate_concurrency_and_number_of_requests(tmp_path):
    case = scenario(3.0, requests=30)
    sent = scenario(12.0, requests=50)
    point = results.read(write_bench(tmp_path / "open.json", sent, SECRET), loaded(case)).point
    workload = point.loaded.scenario.workload
    assert (workload.num_prompts, workload.arrivals.request_rate, workload.arrivals.burstiness) == (50, 12.0, 1.0)
    closed = write_bench(tmp_path / "closed.json", sent, SECRET, max_concurrency=7, request_rate="inf")
    assert results.read(closed, loaded(case)).point.loaded.scenario.workload.arrivals.concurrency == 7


def test_listed_requests_are_simulated_as_they_were_sent(tmp_path):
    run = simulate(loaded(scenario(10.0, requests=20)), progress=quiet)
    one = run.replications[0]
    sent, drawn = one.sent_ns / 1e9, one.requests
    lists = {
        "input_lens": (drawn.prompt_tokens + 7).tolist(),  # not what the scenario would draw
        "output_lens": drawn.output_tokens.tolist(),
        "ttfts": ((one.first_token_ns - one.sent_ns) / 1e9).tolist(),
        "latencies": ((one.last_token_ns - one.sent_ns) / 1e9).tolist(),
        "start_times": sent.tolist(),
        "errors": [""] * 20,
        "total_input_tokens": int((drawn.prompt_tokens + 7).sum()),
    }
    path = write_bench(tmp_path / "listed.json", scenario(10.0, requests=20), SECRET, **lists)
    found = results.read(path, loaded(scenario(10.0)))
    assert isinstance(found.point.loaded.scenario.workload, Trace)
    assert Served(found).longest == int((drawn.prompt_tokens + 7 + drawn.output_tokens).max())
    tpot = (one.last_token_ns - one.first_token_ns) / 1e6 / (drawn.output_tokens - 1)
    assert found.point.measured["tpot"] == pytest.approx(float(tpot.mean()))


def test_another_scenario_than_the_measured_one_is_one_sentence(tmp_path):
    path = write_bench(tmp_path / "bench.json", scenario(10.0, 120), SECRET)
    with pytest.raises(InputError, match="expected the scenario that was measured"):
        results.read(path, loaded(scenario(10.0, 400)))
    with pytest.raises(InputError, match="expected --scenario FILE"):
        results.read(path, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "expected the result of vllm bench serve"), ("{}", "date"), ("[]", "expected the result")],
)
def test_a_file_that_is_no_bench_result_is_one_sentence(tmp_path, text, says):
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(InputError, match=says):
        results.read(tmp_path / "bench.json", loaded(scenario(1.0)))


@pytest.mark.parametrize("replication", [0, 2])
def test_a_measured_run_is_served_again_request_by_request(tmp_path, replication):
    case = scenario(10.0, requests=40)
    found = results.read(write_run(tmp_path / "run", case, SECRET, replication), None)
    assert (found.version, found.date, found.replication) == ("0.32.0", "2026-11-24", replication)
    said = Served(found).predict(SECRET).means
    for metric, measured in found.point.measured.items():
        assert said[metric] == pytest.approx(measured, rel=1e-9), metric


def test_a_run_without_a_single_answer_is_one_sentence(tmp_path):
    case = scenario(10.0, requests=5)
    path = write_run(tmp_path / "run", case, SECRET)
    table = pq.read_table(path / "requests.parquet")
    failed = table.set_column(table.schema.get_field_index("error"), "error", pa.array(["HTTP 503"] * 5))
    pq.write_table(failed, path / "requests.parquet")
    with pytest.raises(InputError, match="no request that ended well"):
        results.read(path, None)


def on_cpu(folder, rate, prompt=60, output=20):
    """Traffic for the tiny model of a profile."""
    return scenario(
        rate,
        prompt,
        output,
        requests=40,
        model=str(folder / "config.json"),
        engine=ENGINE,
        fleet=[{"pool": "a", "gpu": CPU}],
    )


def test_one_run_beside_a_profile_pins_what_a_server_adds(tmp_path):
    truth = replace(TRUTH, frontend_s=0.02, host_step_s=5e-3)  # in process neither
    profile = profiles.read(write_profile(tmp_path / "profile"))
    run = results.read(write_run(tmp_path / "run", on_cpu(tmp_path / "profile", 1.0), truth), None)
    both, alone = (calibrated(*read, profiles=(profile,)) for read in ((run,), ()))
    assert both.parameters["frontend_s"] == pytest.approx(0.02, rel=0.25)
    assert both.parameters["gemm_16bit"] == pytest.approx(alone.parameters["gemm_16bit"], rel=0.1)
    case = on_cpu(tmp_path / "profile", 4.0, 200, 30)
    unseen = results.read(write_run(tmp_path / "unseen", case, truth), None)
    errors = {}
    for name, one in (("both", both), ("alone", alone)):
        for row in predict(one, [unseen], UNSEEN, quiet):
            errors[name, row.metric] = abs(row.predicted / row.measured - 1)
    assert errors["both", "tpot"] < 0.03
    assert errors["both", "ttft"] < 0.08
    assert errors["alone", "tpot"] > 2 * errors["both", "tpot"]


def test_a_run_of_another_engine_is_not_pooled_with_the_profile(tmp_path):
    profile = profiles.read(write_profile(tmp_path / "profile", repeats=1))
    case = on_cpu(tmp_path / "profile", 1.0)
    run = results.read(write_run(tmp_path / "run", case, TRUTH, vllm_version="0.33.0"), None)
    with pytest.raises(InputError, match="expected one version"):
        calibrated(run, profiles=(profile,))


def test_the_same_measurements_give_the_same_file(tmp_path):
    read = [bench(tmp_path, number, *load) for number, load in enumerate(SEEN[:2])]
    texts = {calibrated(*read).to_yaml() for _ in range(2)}
    assert len(texts) == 1
    assert np.isfinite([score.mape for score in calibrated(*read).card]).all()
