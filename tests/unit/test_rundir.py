import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from sim import rundir
from sim.errors import InputError
from sim.report import BenchResult, summarise
from sim.request import Requests
from sim.result import Gauges, Leases, Outcome, Replication, Timeline, Tries
from tests.unit.synthetic_run import MS, random_replication, replication, requests, run, timeline, under_fire


@pytest.fixture(scope="module")
def record():
    chains = [[(5, 16), (6, 32)], [], [(5, 16)]]
    shared = replication(
        requests(
            [64, 8, 20], [4, 2, 1], [0, 0, 0], segments=chains, classes=("a", "b"), klass=[0, 1, 0], concurrency=2
        ),
        sent=[0, MS, -1],
        scheduled=[MS, -1, -1],
        first=[2 * MS, -1, -1],
        last=[9 * MS, -1, -1],
        outcome=[Outcome.FINISHED, Outcome.IN_FLIGHT, Outcome.NOT_SENT],
        end=10 * MS,
    )
    narrow = replace(shared, itl_ns=shared.itl_ns.astype(np.uint32), itl_count=shared.itl_count.astype(np.uint16))
    return run([narrow, random_replication(1), shared], slo={"ttft_ms": 100.0})


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, Requests | Replication | Gauges | Tries | Timeline | Leases):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    return a == b


def test_a_run_comes_back_as_it_was_written(record, tmp_path):
    there = rundir.write(record, summarise(record), tmp_path / "runs" / "one")
    assert there == tmp_path / "runs" / "one"
    back = rundir.read(there)
    assert (back.scenario, back.provenance, back.replicas) == (record.scenario, record.provenance, record.replicas)
    assert len(back.replications) == 3
    for ours, theirs in zip(back.replications, record.replications, strict=True):
        for field in fields(Replication):
            assert same(getattr(ours, field.name), getattr(theirs, field.name)), field.name
    assert back.replications[1].counters.dtype == record.replications[1].counters.dtype
    assert back.replications[1].sent_ns.dtype == np.int64
    assert summarise(back) == summarise(record)
    BenchResult.model_validate_json((there / "bench.json").read_text())
    assert json.loads((there / "summary.json").read_text())["values"]["completed"]["n"] == 3


def test_the_same_run_gives_the_same_bytes_and_is_saved_once(record, tmp_path):
    summary = summarise(record)
    first = rundir.write(record, summary, tmp_path / "a")
    later = replace(record, provenance=record.provenance | {"date": "20270101-000000"})
    second = rundir.write(later, summary, tmp_path / "b")
    differ = {one.name for one in first.iterdir() if one.read_bytes() != (second / one.name).read_bytes()}
    assert differ == {"provenance.json", "bench.json"}
    assert rundir.write(later, summary, tmp_path / "a") == first
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]
    assert json.loads((first / "provenance.json").read_text())["date"] == "20260101-000000"


def test_another_run_of_the_same_name_is_kept_beside(record, tmp_path):
    other = replace(record, replications=record.replications[1:])
    places = [rundir.write(one, summarise(one), tmp_path / "a").name for one in (record, other, record, other)]
    assert places == ["a", "a-2", "a", "a-2"]
    assert same(rundir.read(tmp_path / "a").replications[2], record.replications[2])


def test_the_default_name(record):
    assert rundir.default_directory(record) == Path("runs/by-hand-7-01234567")
    unhashed = rundir.default_directory(replace(record, provenance={}))
    assert unhashed.name.startswith("by-hand-7-")
    changed = replace(record, provenance={}, scenario=record.scenario | {"model": "other"})
    assert rundir.default_directory(changed) != unhashed


def test_an_empty_directory_is_filled_and_others_are_left_alone(record, tmp_path):
    (tmp_path / "empty").mkdir()
    assert rundir.write(record, summarise(record), tmp_path / "empty") == tmp_path / "empty"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name, found in (("mine", "holds no run"), ("file", "found a file"), ("file/below", "cannot be written")):
        for action in (rundir.check_target, lambda out: rundir.write(record, summarise(record), out)):
            with pytest.raises(InputError, match=found) as caught:
                action(tmp_path / name)
            assert str(caught.value).startswith(f"--out {tmp_path / name}: ")
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_failure_leaves_nothing_behind(record, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rundir, "_write_table", full)
    with pytest.raises(InputError, match="No space left"):
        rundir.write(record, summarise(record), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("victim", ["requests.parquet", "scenario.json", "run.json", "counters.parquet"])
def test_a_damaged_run_is_one_sentence(record, tmp_path, victim):
    there = rundir.write(record, summarise(record), tmp_path / "a")
    (there / victim).write_bytes(b"{")
    with pytest.raises(InputError, match="damaged") as caught:
        rundir.read(there)
    assert "\n" not in str(caught.value)
    (there / "run.json").unlink()
    with pytest.raises(InputError, match=r"no run\.json"):
        rundir.read(there)


def test_a_fleet_under_fire_comes_back_too(tmp_path):
    fire = under_fire()
    calm = replace(fire, timeline=timeline([]))
    record = run([calm, fire, fire], slo={"availability": 99.0})
    back = rundir.read(rundir.write(record, summarise(record), tmp_path / "a"))
    for ours, theirs in zip(back.replications, record.replications, strict=True):
        assert same(ours, theirs)
        for name in ("tries", "timeline", "leases"):
            table, expected = getattr(ours, name), getattr(theirs, name)
            assert all(getattr(table, f.name).dtype == getattr(expected, f.name).dtype for f in fields(table))
    assert summarise(back) == summarise(record)
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["goodput"]["sent"]["mean"] == [6.0]
    other = replace(record, replications=(calm, fire, calm))
    assert rundir.write(other, summarise(record), tmp_path / "a").name == "a-2"  # the timeline tells them apart


def test_a_run_of_an_older_version_is_refused_in_a_sentence(record, tmp_path):
    there = rundir.write(record, summarise(record), tmp_path / "a")
    (there / "tries.parquet").unlink()
    with pytest.raises(InputError, match="damaged") as caught:
        rundir.read(there)
    assert "\n" not in str(caught.value)
