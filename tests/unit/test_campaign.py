"""Campaigns: plans, resuming after a kill, failures; with a stand-in for the measuring commands."""

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness import campaign_child, campaign_server
from harness.campaign import run_campaign
from harness.campaign_plan import find_plan, plan_names, read_plan
from harness.campaign_points import estimated_minutes, points
from harness.campaign_server import open_server
from harness.campaign_store import Store
from harness.flags import serve_flags
from harness.server import Server as Vllm
from sim.errors import InputError
from sim.scenario.load import load
from tests.unit.test_cli import TINY
from ui.cli import main

FAKE = [sys.executable, "-S", "-E", str(Path(__file__).with_name("fake_trilemma.py"))]
PLAN = """
schema_version: 1
name: two
measurements:
  - {startup: tiny.yaml, minutes: 1}
  - {profile: tiny.yaml, minutes: 2.5, repeats: 4}
  - {measure: tiny.yaml, minutes: 0.5, rates: [2, 8], variants: [double]}
  - {collectives: 2, minutes: 1}
"""
SMALL = """
schema_version: 1
name: small
measurements: [{measure: tiny.yaml, minutes: 0.5, rates: [2, 8]}]
"""
DRIVER = """
import sys
from pathlib import Path
from harness.campaign import run_campaign
from harness.campaign_plan import read_plan
from harness.campaign_points import points
from tests.unit.test_campaign import FAKE, server
plan = Path(sys.argv[1])
try:
    ending = run_campaign(points(read_plan(plan), plan), Path(sys.argv[2]), FAKE, server, lambda where: None)
except ValueError as error:
    sys.exit(f"sentence: {error}")
except KeyboardInterrupt:
    sys.exit(130)
print(len(ending.failed))
"""


@contextmanager
def server(shared, log, lock):
    """Stands in for a server; its URL tells how often one was started."""
    with open(os.environ["FAKE_LOG"], "a") as file:
        file.write(f"server starts {shared.minutes:g}\n")
    try:
        yield "http://here"
    finally:
        with open(os.environ["FAKE_LOG"], "a") as file:
            file.write("server stops\n")


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a scenario and a plan; returns what writes another plan."""
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()
    (tmp_path / "tiny.yaml").write_text(TINY)

    def plan(text=PLAN):
        (tmp_path / "plan.yaml").write_text(text)
        return tmp_path / "plan.yaml"

    return plan


def item(text):
    return f"schema_version: 1\nname: one\nmeasurements:\n  - {{{text}}}\n"


def log(plan):
    return (plan.parent / "log").read_text().splitlines()


def go(plan, out="out", report=lambda where: None):
    return run_campaign(points(read_plan(plan), plan), plan.parent / out, FAKE, server, report)


def table(plan, out="out"):
    """The rows of results.csv, without how long the runs took."""
    rows = list(csv.DictReader((plan.parent / out / "results.csv").open()))
    for row in rows:
        del row["minutes"]
    return rows


def driver(plan, out, text=DRIVER):
    command = [sys.executable, "-c", text, str(plan), str(out)]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


# --- the plan


def test_a_plan_becomes_runs_in_a_fixed_order(work):
    plan = work()
    runs = points(read_plan(plan), plan)
    assert [run.place for run in runs] == [
        *(f"00-startup-tiny/{repeat}" for repeat in range(3)),
        "01-profile-tiny/0",  # a profile repeats every step itself
        *(f"02-measure-tiny-double-rate{rate}/{repeat}" for repeat in range(3) for rate in (2, 8)),
        *(f"03-collectives-2/{repeat}" for repeat in range(3)),
    ]
    assert runs == points(read_plan(plan), plan)
    tiny = str(plan.parent / "tiny.yaml")
    assert runs[3].command == ("profile", tiny, "--minutes", "2.5", "--repeats", "4")
    rate = ("--set", "workload.arrivals.request_rate=8", "--scenario", "double")
    assert runs[9].command == ("measure", tiny, *rate, "--replication", "2")
    assert estimated_minutes(runs) == pytest.approx(3 * 1 + 2.5 + 6 * 0.5 + 3 * 1)


def test_a_shared_server_is_started_and_counted_once(work):
    plan = work(item("measure: tiny.yaml, minutes: 0.5, start_minutes: 2, rates: [2, 8], flags: [--load-format=dummy]"))
    runs = points(read_plan(plan), plan)
    assert len({run.server for run in runs}) == 1
    assert estimated_minutes(runs) == pytest.approx(6 * 0.5 + 2)
    assert estimated_minutes(runs[3:]) == pytest.approx(3 * 0.5 + 2)
    go(plan)
    assert [line for line in log(plan) if "server" in line] == ["server starts 2", "server stops"]
    assert log(plan).count("url http://here") == 6
    assert log(plan)[-1] == "server stops"


def test_another_engine_gets_another_server(work):
    plan = work(item("measure: tiny.yaml, minutes: 0.5, start_minutes: 1, variants: [double, small]"))
    text = TINY.replace("overrides: {", "overrides: {less: {engine.max_num_seqs: 8}, ")
    (plan.parent / "tiny.yaml").write_text(text.replace("double: [double]", "double: [double], small: [less]"))
    runs = points(read_plan(plan), plan)
    assert len({run.server for run in runs}) == 2
    assert estimated_minutes(runs) == pytest.approx(6 * 0.5 + 6 * 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected the keys of a plan"),
        ("schema_version: 1\nname: a\nmeasurements: []", "measurements: found a list of 0, expected"),
        ("schema_version: true\nname: a\nmeasurements: [{collectives: 2, minutes: 1}]", "schema_version: found true"),
        ("schema_version: 1\nname: a", "measurements is missing"),
        (item("measure: tiny.yaml, minutes: 1, repeats: 2"), "repeats: found 2, expected greater than or equal to 3"),
        (item("measure: tiny.yaml"), "measurements.0.minutes is missing"),
        (item("measure: tiny.yaml, minutes: 1, rats: [1]"), "unknown key measurements.0.rats, did you mean rates?"),
        (item("profile: tiny.yaml, minutes: 1, rates: [1]"), "unknown key measurements.0.rates"),
        (item("measure: tiny.yaml, profile: tiny.yaml, minutes: 1"), "measurements.0: found a block, expected a block"),
        (item("minutes: 1"), "one of the keys measure, profile, startup, collectives"),
        (item("measure: none.yaml, minutes: 1"), "none.yaml: expected a scenario file, found none"),
        (item("measure: tiny.yaml, minutes: 1, rates: [-1]"), "measurements.0.rates.0: found -1"),
        (item("measure: tiny.yaml, minutes: 1, sets: [run.sed=1]"), "unknown key run.sed, did you mean seed?"),
        (item("measure: tiny.yaml, minutes: 1, variants: [x]"), 'no scenario named "x"'),
        (
            "max_minutes: 2\n" + item("collectives: 2, minutes: 1"),
            "estimated at 3.0 minutes together, expected at most",
        ),
        ("a: &x 1\nb: *x", "anchor"),
    ],
)
def test_a_mistake_in_a_plan_is_one_sentence(work, capsys, text, problem):
    plan = work(text)
    assert main(["campaign", str(plan), "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert problem in err


def test_an_unknown_plan_is_one_sentence(capsys):
    assert main(["campaign", "h100-frist"]) == 2
    assert "h100-frist: no such file or shipped plan, did you mean h100-first?" in capsys.readouterr().err


# --- running


def test_every_run_has_its_directory_and_its_row(work):
    plan = work()
    ending = go(plan)
    assert (ending.total, ending.failed) == (13, ())
    rows = table(plan)
    assert [f"{row['point']}/{row['repeat']}" for row in rows] == [run.place for run in points(read_plan(plan), plan)]
    assert {row["status"] for row in rows} == {"ok"}
    assert len({row["mean_ttft_ms"] for row in rows}) == 1 + 1 + 6 + 1  # only a measurement knows its repeat
    measured = next(row for row in rows if row["kind"] == "measure")
    assert (measured["ours"], measured["nested.load_s"]) == ("", "")  # of bench.json what is chosen
    assert (rows[0]["ours"], rows[0]["nested.load_s"]) == ("1", "1.5")
    parquet = pq.read_table(plan.parent / "out" / "results.parquet").to_pylist()
    assert [row["completed"] for row in parquet] == [int(row["completed"]) for row in rows]
    assert not list((plan.parent / "out").rglob(".*draft"))


def test_what_is_done_is_not_done_again(work):
    plan = work()
    go(plan)
    before, said = log(plan), []
    results = (plan.parent / "out" / "results.csv").read_bytes()
    assert go(plan, report=said.append).failed == ()
    assert (log(plan), said) == (before, [])
    assert (plan.parent / "out" / "results.csv").read_bytes() == results


def test_progress_counts_down(work):
    plan, said = work(), []
    go(plan, report=said.append)
    assert [where.done for where in said] == list(range(13))
    assert {where.total for where in said} == {13}
    assert said[0].minutes_left == pytest.approx(11.5)
    assert all(0 < where.minutes_left < 1 for where in said[1:])  # these take milliseconds, and it has noticed


def done(out):
    return {path: path.read_bytes() for path in Path(out).glob("*/[0-9]/done.json")}


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in (2, 3, 4))])
def test_killed_ten_times_at_random_it_loses_and_repeats_nothing(work, seed):
    rng = random.Random(seed)
    plan = work(PLAN + "  - {measure: tiny.yaml, minutes: 1, start_minutes: 1, rates: [1, 3, 4]}\n")
    go(plan, "whole")
    out, kept = plan.parent / "out", {}
    for _ in range(10):
        campaign, lines = driver(plan, out), len(log(plan)) + rng.randint(1, 6)
        wait_for(lambda p=campaign, n=lines: len(log(plan)) >= n or p.poll() is not None)
        time.sleep(rng.random() * 0.1)
        campaign.kill()
        campaign.communicate()
        assert campaign.returncode == -signal.SIGKILL
        now = done(out)
        assert kept.items() <= now.items()
        kept = now
    assert 0 < len(kept) < 22
    last = driver(plan, out)
    assert last.communicate()[0] == "0\n"
    assert kept.items() <= done(out).items()
    assert table(plan) == table(plan, "whole")
    assert not list(out.rglob(".*draft"))
    assert not list(out.rglob("*.damaged"))


def test_a_killed_campaign_takes_its_run_with_it(work):
    plan = work(item("collectives: 2, minutes: 1, flags: [--stubborn, --hang]"))
    campaign = driver(plan, plan.parent / "out")
    wait_for(lambda: any(line.startswith("hangs") for line in log(plan)))
    campaign.kill()
    campaign.communicate()
    with Store(plan.parent / "out").locked():  # waits for the run
        assert log(plan)[-1] == "stopped 00-collectives-2/0"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_term_stop_the_run_and_keep_what_is_done(work, how):
    plan = work(PLAN.replace("collectives: 2", "collectives: 2, flags: [--stubborn, --hang]"))
    campaign = driver(plan, plan.parent / "out")
    wait_for(lambda: any(line.startswith("hangs") for line in log(plan)))
    campaign.send_signal(how)
    _, err = campaign.communicate()
    assert (campaign.returncode, err) == (130, "")
    assert log(plan)[-1] == "stopped 03-collectives-2/0"
    assert [row["status"] for row in table(plan)] == ["ok"] * 10 + ["missing"] * 3


def test_a_run_that_fails_is_tried_once_more_and_recorded(work):
    plan = work(PLAN.replace("rates: [2, 8]", "rates: [2, 8], flags: [--fail]"))
    ending = go(plan)
    assert [place for place, _ in ending.failed] == [
        f"02-measure-tiny-double-rate{rate}/{repeat}" for repeat in range(3) for rate in (2, 8)
    ]
    assert {sentence for _, sentence in ending.failed} == {"the engine said no (exit code 1)"}
    assert log(plan).count("start 02-measure-tiny-double-rate2/0") == 2
    rows = {f"{row['point']}/{row['repeat']}": row for row in table(plan)}
    failed = rows["02-measure-tiny-double-rate8/1"]
    assert (failed["status"], failed["failure"], failed["mean_ttft_ms"]) == (
        "failed",
        "the engine said no (exit code 1)",
        "",
    )
    assert rows["03-collectives-2/2"]["status"] == "ok"  # it went on


def test_a_failure_that_does_not_come_again_leaves_no_trace(work):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1, flags: [--fail-first]"))
    assert go(plan).failed == ()
    assert [row["status"] for row in table(plan)] == ["ok"] * 3
    assert log(plan).count("server starts 1") == 4  # each failure gets a fresh server, the last run keeps its own


def test_failed_runs_are_made_again_by_the_next_start(work):
    plan = work(item("collectives: 2, minutes: 1, flags: [--fail]"))
    assert len(go(plan).failed) == 3
    fake = FAKE[-1]
    patched = plan.parent / "fake.py"
    patched.write_text(Path(fake).read_text().replace('"--fail" in arguments', "False"))
    run_campaign(points(read_plan(plan), plan), plan.parent / "out", [*FAKE[:-1], str(patched)], server, lambda _: None)
    assert [row["status"] for row in table(plan)] == ["ok"] * 3


def test_a_run_that_hangs_is_stopped(tmp_path, work):
    work()
    command = [*FAKE, "measure", "--hang", "--out", str(tmp_path / "a" / "0" / "result")]
    with (tmp_path / "lock").open("w") as lock:
        failure = campaign_child.run(command, tmp_path / "console", lock, timeout_s=0.3)
    assert failure == "not done after 0.0 minutes, stopped"


def test_a_server_that_does_not_start_fails_its_runs_alone(work):
    plan = work(PLAN.replace("rates: [2, 8]", "rates: [2, 8], start_minutes: 1"))

    @contextmanager
    def broken(shared, log, lock):
        raise InputError("the server never got healthy")
        yield

    ending = run_campaign(points(read_plan(plan), plan), plan.parent / "out", FAKE, broken, lambda _: None)
    assert len(ending.failed) == 6
    assert {sentence for _, sentence in ending.failed} == {"the server never got healthy"}


HOLDER = """
import json, os, sys
def log(word):
    with open(os.environ["FAKE_LOG"], "a") as file: file.write(word + chr(10))
order = json.loads(sys.stdin.readline())
if "--broken" in order["flags"]: sys.exit("trilemma: out of memory")
log("serves " + order["scenario"]["model"])
print("http://127.0.0.1:1", flush=True)
sys.stdin.read()
log("server stopped")
"""


def holding(shared, log, lock):
    return open_server(shared, log, lock, [sys.executable, "-c", HOLDER])


def test_a_shared_server_is_stopped_at_the_end(work):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1"))
    run_campaign(points(read_plan(plan), plan), plan.parent / "out", FAKE, holding, lambda _: None)
    assert log(plan).count("serves deepseek-llm-7b") == 1
    assert log(plan).count("url http://127.0.0.1:1") == 3
    assert log(plan)[-1] == "server stopped"


def test_a_shared_server_is_stopped_when_the_campaign_is_killed(work):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1, flags: [--hang]"))
    campaign = driver(plan, plan.parent / "out", text=DRIVER.replace("server", "holding"))
    wait_for(lambda: any(line.startswith("hangs") for line in log(plan)))
    campaign.kill()
    campaign.communicate()
    with Store(plan.parent / "out").locked():  # waits for the server
        assert log(plan)[-1] == "server stopped"


def test_a_shared_server_that_does_not_start_says_why(work):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1, flags: [--broken]"))
    ending = run_campaign(points(read_plan(plan), plan), plan.parent / "out", FAKE, holding, lambda _: None)
    assert {sentence for _, sentence in ending.failed} == {"out of memory"}


def test_a_holder_that_ends_at_once_says_why(work, tmp_path):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1"))
    (shared,) = {run.server for run in points(read_plan(plan), plan)}
    with (
        (tmp_path / "lock").open("w") as lock,
        pytest.raises(InputError, match="no such device"),
        open_server(shared, tmp_path / "x.log", lock, ["sh", "-c", "exec <&-; echo no such device >&2"]),
    ):
        pass


def test_the_server_is_the_scenarios_engine_and_no_more(work, tmp_path, monkeypatch):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1, flags: [--load-format=dummy]"))
    (shared,) = {run.server for run in points(read_plan(plan), plan)}
    given = []

    @contextmanager
    def serve(*arguments, **options):
        given.append((*arguments, options))
        yield Vllm("http://127.0.0.1:2", (), None, None, 0.0)

    order = campaign_server._order(shared, tmp_path / "x.log")
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(order) + "\n"))
    monkeypatch.setattr(campaign_server, "serve", serve)
    campaign_server.hold()
    ((scenario, base_dir, flags, log_file, _),) = given
    assert (base_dir, flags, log_file) == (tmp_path, ["--load-format=dummy"], tmp_path / "x.log")
    assert serve_flags(scenario, base_dir) == serve_flags(load(tmp_path / "tiny.yaml").scenario, tmp_path)


def test_a_machine_without_vllm_is_told_so(work, tmp_path):
    plan = work(item("measure: tiny.yaml, minutes: 1, start_minutes: 1"))
    (shared,) = {run.server for run in points(read_plan(plan), plan)}
    without = "import sys; sys.modules['vllm'] = None; from harness.campaign_server import hold; hold()"
    holder = [sys.executable, "-c", f"import importlib.util as u; u.find_spec = lambda name: None; {without}"]
    with (
        (tmp_path / "lock").open("w") as lock,
        pytest.raises(InputError, match="vLLM is not installed here: pip install vllm"),
        open_server(shared, tmp_path / "x.log", lock, holder),
    ):
        pass


# --- the directory


def test_two_at_once_are_refused(work):
    plan = work()
    with Store(plan.parent / "out").locked():
        other = driver(plan, plan.parent / "out")
        _, err = other.communicate()
    assert other.returncode == 1
    assert "another campaign is at work here" in err
    assert log(plan) == []


@pytest.mark.parametrize("harm", ["record", "garbage", "size", "missing", "empty"])
def test_a_damaged_run_is_set_aside_and_made_again(work, harm):
    plan = work(SMALL)
    go(plan, "whole")
    go(plan)
    place = plan.parent / "out" / "00-measure-tiny-rate8" / "1"
    match harm:
        case "record":
            (place / "done.json").unlink()
        case "garbage":
            (place / "done.json").write_text('{"run": {')
        case "size":
            (place / "result" / "bench.json").write_text("{}")
        case "missing":
            (place / "result" / "requests.parquet").unlink()
        case "empty":
            shutil.rmtree(place)
            place.mkdir()
    starts = len(log(plan))
    go(plan)
    assert log(plan)[starts:] == [f"{word} 00-measure-tiny-rate8/1" for word in ("start", "end")]
    assert table(plan) == table(plan, "whole")
    assert place.with_name("1.damaged").is_dir()


@pytest.mark.parametrize(
    ("old", "new"), [("rates: [2, 8]", "rates: [2, 8], flags: [--x]"), ("variants", "sets: [run.seed=4], variants")]
)
def test_the_directory_of_another_plan_is_refused(work, old, new):
    go(work())
    plan = work(PLAN.replace(old, new))
    with pytest.raises(InputError, match="02-measure-tiny-double-rate2/0 holds a run of another plan or scenario"):
        go(plan)


FILL = """
def fill(where):  # up to the last byte, before the fourth run
    if where.done == 3:
        with open(sys.argv[2] + "/filler", "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096): pass
            except OSError: pass

plan ="""
SMALL_DISK = """
mount -t tmpfs -o size=200k,mode=777 none "$2" || exit 77
"$0" driver.py "$1" "$2"; code=$?
rm "$2/filler"; cp -r "$2" "$2-kept"; exit $code
"""


def test_a_full_disk_is_one_sentence_and_loses_nothing(work):
    plan = work()
    go(plan, "whole")
    out = plan.parent / "out"
    out.mkdir()
    text = DRIVER.replace("lambda where: None", "fill").replace("plan =", FILL, 1)
    (plan.parent / "driver.py").write_text(text)
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, sys.executable, plan, out],
        cwd=plan.parent,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ended.stderr or ended.returncode == 77:
        pytest.skip(f"no mount namespaces here: {ended.stderr.strip()}")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "cannot be written (No space left on device)" in ended.stderr
    kept = done(f"{out}-kept")
    assert len(kept) == 3
    assert go(plan, "out-kept").failed == ()
    assert kept.items() <= done(f"{out}-kept").items()
    assert table(plan, "out-kept") == table(plan, "whole")


# --- the command


def test_the_command_reports_progress_and_failures(work, capsys, monkeypatch):
    plan = work(PLAN.replace("collectives: 2", "collectives: 2, flags: [--fail]"))
    monkeypatch.setattr("ui.commands.campaign.PROGRAM", FAKE)
    out = plan.parent / "out"
    assert main(["campaign", str(plan), "--out", str(out)]) == 1
    printed, err = capsys.readouterr()
    assert printed == f"10 of 13 runs done, table in {out}/results.csv\n"
    assert "campaign: 0 of 13 done, about 12 min left: 00-startup-tiny/0\n" in err
    assert "trilemma: 03-collectives-2/2 failed: the engine said no (exit code 1)\n" in err


def test_a_dry_run_shows_all_and_runs_nothing(work, capsys, monkeypatch):
    plan = work(item("measure: tiny.yaml, minutes: 0.5, start_minutes: 2, flags: [--load-format=dummy]"))
    monkeypatch.chdir(plan.parent)
    assert main(["campaign", str(plan), "--dry-run"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "  2.00 min  (a server for deepseek-llm-7b --load-format=dummy)"
    tiny = plan.parent / "tiny.yaml"
    assert printed[1] == (
        f"  0.50 min  trilemma measure {tiny} --serve-flag=--load-format=dummy --replication 0 --base-url URL "
        "--out 00-measure-tiny/0/result"
    )
    assert printed[-1] == "  3.50 min  in all: 3 runs"
    assert not (plan.parent / "campaigns").exists()


@pytest.mark.parametrize("name", plan_names())
def test_shipped_plans_name_scenarios_that_fit(name):
    path = find_plan(name)
    runs = points(read_plan(path), path)
    for scenario in {run.command[1] for run in runs if run.scenario}:
        assert main(["check", scenario]) == 0


def test_the_first_campaign_fits_half_an_hour_on_one_h100(capsys):
    assert main(["campaign", "h100-first", "--dry-run"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert float(last.split()[0]) < 30
    path = find_plan("h100-first")
    runs = points(read_plan(path), path)
    models = {"deepseek-llm-7b", "deepseek-moe-16b", "deepseek-v2-lite"}
    for kind in ("startup", "profile", "measure"):
        assert {run.scenario for run in runs if run.kind == kind} == models
    assert all("--serve-flag=--load-format=dummy" in run.command for run in runs)
    measured = {(run.variant, run.rate) for run in runs if run.kind == "measure"}
    assert measured == {(variant, rate) for variant in ("prompt", "chat") for rate in (8, 16)}
    assert len({run.server for run in runs if run.server}) == 3
    loaded = [load(run.command[1]).scenario for run in runs]
    assert {(pool.gpu, pool.replicas, pool.tensor_parallel_size) for one in loaded for pool in one.fleet} == {
        ("h100-sxm-80gb", 1, 1)
    }
