"""`trilemma compare`, against measured runs made by hand whose difference is known by construction."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from calibrate import realrun
from calibrate.compare import compare
from sim import rundir
from sim.errors import InputError
from sim.report import summarise
from sim.result import Outcome
from tests.unit.real_run import write_real
from tests.unit.synthetic_run import MS, S, random_replication, replication, requests, run
from ui.cli import main


def held(one, folder, **measured):
    """Compare a simulated replication with itself, measured otherwise."""
    return compare(run([one]), realrun.read(write_real(folder / "real", one, **measured)), folder / "sim")


def engine_s(one):
    """Queue and prefill seconds of all finished requests, as an engine that behaves as simulated would sum them."""
    done = one.outcome == Outcome.FINISHED
    return {
        "queue_s": float((one.first_scheduled_ns - one.queued_ns)[done].sum() / S),
        "prefill_s": float((one.first_token_ns - one.first_scheduled_ns)[done].sum() / S),
    }


def test_a_run_held_against_itself_has_no_error(tmp_path):
    one = random_replication(1)
    found = held(one, tmp_path, **engine_s(one))
    assert (found.compared, found.requests, found.sim_failed, found.real_failed) == (200, 200, 0, 0)
    for metric in found.metrics.values():
        assert all(statistic.error == pytest.approx(0, abs=1e-12) for statistic in metric.statistics.values())
        assert metric.ks == 0
        assert metric.wasserstein_ms == pytest.approx(0, abs=1e-9)
        assert metric.mean_error_interval == pytest.approx((0, 0), abs=1e-12)
    assert all(rate.error == 0 for rate in found.rates.values())
    assert all(part == pytest.approx(0, abs=1e-6) for part in found.attribution.mean_parts_ms.values())


def test_the_statistics_are_those_of_the_finished_requests(tmp_path):
    one = random_replication(2)
    found = held(one, tmp_path)
    expected = summarise(run([one]))
    for name, metric in found.metrics.items():
        for key, statistic in metric.statistics.items():
            known = expected[f"{'median' if key == 'p50' else key}_{name}_ms"].mean
            assert statistic.sim == pytest.approx(known, rel=1e-12), (name, key)
            assert statistic.real == pytest.approx(known, rel=1e-12), (name, key)


def test_ten_milliseconds_more_before_the_first_token_are_found_there(tmp_path):
    one = random_replication(3)
    late = {"first": one.first_token_ns + 10 * MS, "last": one.last_token_ns + 10 * MS}
    found = held(one, tmp_path, **late, **engine_s(one))
    ttft = found.metrics["ttft"]
    for statistic in ttft.statistics.values():
        assert statistic.real - statistic.sim == pytest.approx(10, abs=1e-9)
        assert statistic.error == pytest.approx(-10 / statistic.real)
    assert ttft.wasserstein_ms == pytest.approx(10, abs=1e-9)
    assert 0 < ttft.ks < 1
    low, high = ttft.mean_error_interval
    assert low < ttft.statistics["mean"].error < high < 0
    assert found.metrics["tpot"].statistics["mean"].error == pytest.approx(0, abs=1e-12)
    parts = found.attribution.mean_parts_ms
    assert parts["front end"] == pytest.approx(-10, abs=1e-6)
    assert sum(parts.values()) == pytest.approx(-10, abs=1e-6)
    assert abs(parts["queue"]) + abs(parts["prefill"]) + abs(parts["decode"]) < 1e-6
    assert {one.cause for one in found.attribution.largest} == {"front end"}


def test_slower_steps_are_a_decode_error_of_their_size(tmp_path):
    one = random_replication(4)
    slower = one.first_token_ns + (one.last_token_ns - one.first_token_ns) * 5 // 4
    found = held(one, tmp_path, last=slower, **engine_s(one))
    for name in ("tpot", "itl"):
        assert found.metrics[name].statistics["mean"].error == pytest.approx(1 / 1.25 - 1, rel=1e-6)
        assert found.metrics[name].mean_error_interval == pytest.approx((-0.2, -0.2), abs=1e-6)
    assert found.metrics["ttft"].statistics["mean"].error == pytest.approx(0, abs=1e-12)
    assert found.attribution.largest[0].cause == "decode"


def test_one_request_that_queued_is_named_first_and_explained_by_the_queue(tmp_path):
    one = random_replication(5)
    delay = np.zeros(200, np.int64)
    delay[117] = 4 * S
    engine = engine_s(one)
    engine["queue_s"] += 4
    found = held(one, tmp_path, first=one.first_token_ns + delay, last=one.last_token_ns + delay, **engine)
    largest = found.attribution.largest[0]
    assert (largest.request, largest.cause) == (117, "queue")
    assert largest.parts_ms["queue"] == pytest.approx(-4000, abs=1e-3)
    assert largest.real_e2el_ms - largest.sim_e2el_ms == pytest.approx(4000)
    assert all(abs(one.real_e2el_ms - one.sim_e2el_ms) < 1e-6 for one in found.attribution.largest[1:])


def test_a_slower_prefill_is_told_from_a_longer_queue(tmp_path):
    one = random_replication(6)
    more = one.first_token_ns - one.first_scheduled_ns  # prefill takes twice as long
    engine = engine_s(one)
    engine["prefill_s"] *= 2
    found = held(one, tmp_path, first=one.first_token_ns + more, last=one.last_token_ns + more, **engine)
    parts = found.attribution.mean_parts_ms
    assert parts["prefill"] == pytest.approx(-more.mean() / MS, rel=1e-6)
    assert parts["queue"] == pytest.approx(0, abs=1e-3)
    largest = found.attribution.largest[0]
    assert (largest.request, largest.cause) == (int(more.argmax()), "prefill")


def test_the_simulated_front_end_is_held_against_the_measured_one(tmp_path):
    plain = random_replication(16)
    one = replace(plain, queued_ns=plain.sent_ns + 3 * MS)
    shift = replace(one, **{name: getattr(one, name) + 3 * MS for name in ("first_scheduled_ns", "last_scheduled_ns")})
    shift = replace(shift, first_token_ns=one.first_token_ns + 3 * MS, last_token_ns=one.last_token_ns + 3 * MS)
    late = {"first": shift.first_token_ns + 2 * MS, "last": shift.last_token_ns + 2 * MS}
    parts = held(shift, tmp_path, **late, **engine_s(shift)).attribution.mean_parts_ms
    assert parts["front end"] == pytest.approx(3 - 5, abs=1e-6)
    assert sum(parts.values()) == pytest.approx(-2, abs=1e-6)


def test_a_preemption_that_only_the_simulation_had_is_named(tmp_path):
    calm = random_replication(7)
    twice = replace(
        calm,
        preemptions=np.where(np.arange(200) == 42, 1, 0).astype(np.int32),
        first_token_ns=calm.first_token_ns + np.where(np.arange(200) == 42, 3 * S, 0),
        last_token_ns=calm.last_token_ns + np.where(np.arange(200) == 42, 3 * S, 0),
        last_scheduled_ns=calm.first_scheduled_ns + np.where(np.arange(200) == 42, 3 * S, 0),
    )
    real = {"first": calm.first_token_ns, "last": calm.last_token_ns}
    found = held(twice, tmp_path, **real, **engine_s(calm), preemptions=2)
    largest = found.attribution.largest[0]
    assert (largest.request, largest.cause) == (42, "preemption")
    assert largest.parts_ms["preemption"] == pytest.approx(3000)
    assert any("counted 2 preemptions, the simulation 1" in note for note in found.attribution.notes)


def test_a_preemption_amid_the_answer_is_what_exceeds_the_others_time_a_token(tmp_path):
    drawn = requests([10, 10, 10], [11, 11, 11], [0, 0, 0])
    first = np.array([50, 50, 50]) * MS
    last = np.array([150, 150, 650]) * MS  # 10 ms a token, and 500 ms for the last one's return
    one = replication(drawn, [0, 0, 0], [10 * MS] * 3, first, last)
    one = replace(
        one,
        preemptions=np.array([0, 0, 1], np.int32),
        last_scheduled_ns=np.array([10 * MS, 10 * MS, 400 * MS]),
    )
    found = held(one, tmp_path, last=[150 * MS] * 3, **engine_s(one))
    largest = found.attribution.largest[0]
    assert (largest.request, largest.cause) == (2, "preemption")
    assert largest.parts_ms["preemption"] == pytest.approx(500)
    assert largest.parts_ms["decode"] == pytest.approx(0)


@pytest.mark.parametrize("scraped", [True, False])
def test_the_parts_always_add_up(tmp_path, scraped):
    one, other = random_replication(8), random_replication(9)
    first = one.sent_ns + (other.first_token_ns - other.sent_ns)
    last = first + (one.last_token_ns - one.first_token_ns) * 2 // 3
    engine = {"queue_s": 11.0, "prefill_s": 23.0} if scraped else {}
    found = held(one, tmp_path, first=first, last=last, **engine)
    assert ("queue" in found.attribution.mean_parts_ms) == scraped
    for largest in found.attribution.largest:
        assert sum(largest.parts_ms.values()) == pytest.approx(largest.sim_e2el_ms - largest.real_e2el_ms)
    sizes = [abs(largest.sim_e2el_ms - largest.real_e2el_ms) for largest in found.attribution.largest]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 10


def test_the_engines_means_are_left_aside_if_they_are_of_other_requests(tmp_path):
    one = random_replication(10)
    path = write_real(tmp_path / "real", one, **engine_s(one), errors=["" if i % 2 else "HTTP 503" for i in range(200)])
    real = replace(realrun.read(path), ok=np.ones(200, np.bool_))
    found = compare(run([one]), real, tmp_path / "sim")
    assert "before first token" in found.attribution.mean_parts_ms


def test_distances_are_those_of_the_distributions(tmp_path):
    one = random_replication(11)
    shuffled = one.sent_ns + np.roll(one.first_token_ns - one.sent_ns, 7)
    shuffled_last = shuffled + (one.last_token_ns - one.first_token_ns)
    ttft = held(one, tmp_path, first=shuffled, last=shuffled_last).metrics["ttft"]
    assert (ttft.ks, ttft.wasserstein_ms) == (0, pytest.approx(0, abs=1e-9))  # the same values, at other requests
    double = (one.first_token_ns - one.sent_ns) * 2
    found = held(one, tmp_path / "b", first=one.sent_ns + double, last=one.sent_ns + double + S).metrics["ttft"]
    ours = (one.first_token_ns - one.sent_ns) / MS
    assert found.wasserstein_ms == pytest.approx(wasserstein_distance(ours, 2 * ours))
    grid = np.sort(np.concatenate([ours, 2 * ours]))
    shares = [np.searchsorted(np.sort(values), grid, side="right") / 200 for values in (ours, 2 * ours)]
    assert found.ks == pytest.approx(np.abs(shares[0] - shares[1]).max())


def test_rates_are_over_the_compared_requests(tmp_path):
    drawn = requests([5, 5], [3, 3], [0, S])
    one = replication(drawn, [0, S], [0, S], [S, 2 * S], [2 * S, 4 * S])
    found = held(one, tmp_path, last=[2 * S, 5 * S])
    assert (found.rates["duration_s"].sim, found.rates["duration_s"].real) == (4, 5)
    assert found.rates["output_throughput"].real == pytest.approx(6 / 5)
    assert found.rates["request_throughput"].error == pytest.approx(0.25)


def test_requests_that_failed_on_either_side_are_left_out_and_counted(tmp_path):
    outcome = np.full(200, Outcome.FINISHED)
    outcome[:3] = Outcome.IN_FLIGHT
    one = random_replication(12, outcome=outcome)
    errors = ["" if i not in (2, 9) else "HTTP 500" for i in range(200)]
    found = held(one, tmp_path, errors=errors)
    assert (found.compared, found.sim_failed, found.real_failed) == (196, 3, 2)


def test_the_replication_that_was_measured_is_taken(tmp_path):
    ones = [random_replication(20), random_replication(21), random_replication(22)]
    real = realrun.read(write_real(tmp_path / "real", ones[1], server={"replication": 1}))
    found = compare(run(ones), real, tmp_path / "sim")
    assert found.replication == 1
    assert found.metrics["e2el"].ks == 0


@pytest.mark.parametrize(
    ("measured", "problem"),
    [
        ({"server": {"seed": 8}}, "measured with seed 8, expected 7"),
        ({"server": {"replication": 4}}, "holds 1 replications, expected number 4"),
        ({"prompt_tokens": np.full(200, 3)}, "request 0 has prompt_tokens 3, expected"),
        ({"arrival_ns": np.arange(200) * S}, "request 0 has arrival_ns 0, expected"),
        ({"output_tokens": np.full(200, 99)}, "request 0 has output_tokens 99, expected"),
        ({"errors": ["HTTP 503"] * 200}, "no request ended well both here and in"),
    ],
)
def test_other_requests_are_refused_in_one_sentence(tmp_path, measured, problem):
    with pytest.raises(InputError, match=problem):
        held(random_replication(13), tmp_path, **measured)


def test_another_number_of_requests_is_refused(tmp_path):
    real = realrun.read(write_real(tmp_path / "real", random_replication(14, n=20)))
    with pytest.raises(InputError, match="holds 20 requests, expected 200"):
        compare(run([random_replication(14)]), real, tmp_path / "sim")


@pytest.fixture
def saved(tmp_path):
    one = random_replication(15)
    record = run([one])
    sim = rundir.write(record, summarise(record), tmp_path / "sim")
    real = write_real(tmp_path / "real", one, last=one.last_token_ns + 25 * MS, **engine_s(one))
    return str(sim), str(real)


def test_the_command_prints_both_sides_and_the_largest_differences(saved, capsys):
    assert main(["compare", *saved]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "200 compared of 200" in out
    assert "P99 TTFT (ms)" in out
    assert "mostly by decode (-25.0 ms)" in out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80


def test_the_json_holds_the_errors(saved, capsys, tmp_path):
    assert main(["compare", *saved, "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    mean = printed["metrics"]["e2el"]["statistics"]["mean"]
    assert mean["error"] == pytest.approx(mean["sim"] / mean["real"] - 1)
    assert printed["attribution"]["largest"][0]["cause"] == "decode"
    assert main(["compare", *saved, "--json", str(tmp_path / "x.json")]) == 0
    assert json.loads((tmp_path / "x.json").read_text()) == printed


@pytest.mark.parametrize(
    ("swap", "problem"),
    [
        ([1, 1], "found no run.json, expected a directory that `trilemma run` saved"),
        ([0, 0], "found no requests.parquet and server.json, expected what `trilemma measure` saved"),
    ],
)
def test_a_directory_of_the_wrong_kind_is_one_sentence(saved, capsys, swap, problem):
    assert main(["compare", *(saved[i] for i in swap)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert problem in err


def test_a_damaged_measured_run_is_one_sentence(saved, capsys, tmp_path):
    (tmp_path / "real" / "tokens.parquet").write_bytes(b"PAR1")
    assert main(["compare", *saved]) == 2
    assert "this measured run is damaged" in capsys.readouterr().err
