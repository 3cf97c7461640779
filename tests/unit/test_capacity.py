"""Recordings of spot markets, recounted naively, and every way in which a file may be wrong."""

import hashlib
import json
from datetime import datetime

import numpy as np
import pytest

from sim.errors import InputError
from sim.fleet.capacity import capacity, recording
from sim.scenario.market import TracedReclaims
from sim.units import NS_PER_S
from sim.workload import named
from sim.workload.named_spot import SPOT_TRACES
from tests.shared_data import DATA, needs_data

MINUTE = 60 * NS_PER_S


def read(tmp_path, text, form="csv", **kwargs):
    path = tmp_path / "market.txt"
    path.write_text(text)
    return capacity(TracedReclaims(kind="trace", path=path.name, format=form, **kwargs), tmp_path)


def steps(market):
    return list(zip((market.times_ns / NS_PER_S).tolist(), market.nodes.tolist(), strict=True))


CSV = "time_s,nodes\n0,4\n10,2\n10.5,2\n20,8\n30,1\n"


def test_csv_is_a_step_function_that_ends_with_its_last_row(tmp_path):
    market = read(tmp_path, CSV)
    assert steps(market) == [(0, 4), (10, 2), (20, 8)]
    assert market.period_ns == 30 * NS_PER_S
    assert market.times_ns.dtype == market.nodes.dtype == np.int64


def test_peak_counts_as_so_many_nodes(tmp_path):
    assert steps(read(tmp_path, CSV, nodes=3)) == [(0, 2), (10, 1), (20, 3)]  # 1.5 and 0.75 to the nearest
    assert steps(read(tmp_path, CSV, nodes=800))[2] == (20, 800)


@pytest.mark.parametrize("start_s", [0, 5, 10, 19.25, 20, 29.75])
def test_a_later_start_turns_the_recording(tmp_path, start_s):
    market, turned = read(tmp_path, CSV), read(tmp_path, CSV, start_s=start_s)

    def at(one, seconds):
        row = np.searchsorted(one.times_ns, round(seconds * NS_PER_S) % one.period_ns, side="right") - 1
        return one.nodes[row]

    assert turned.times_ns[0] == 0
    assert (np.diff(turned.times_ns) > 0).all()
    assert (np.diff(turned.nodes) != 0).all()
    for quarter in range(400):
        assert at(turned, quarter / 4) == at(market, start_s + quarter / 4)


def test_bamboo_counts_nodes_that_come_and_go(tmp_path):
    text = "60000,add,a\n60000,add,b\n120000,remove,a\n120000,add,c\n180000,remove,b\n240000,add,a\n"
    assert steps(read(tmp_path, text, "bamboo")) == [(0, 0), (60, 2), (180, 1)]


def test_gcp_lines_supersede_what_was_padded_beyond_them(tmp_path):
    text = (
        "2021-12-10, 23:58:00, 80\n2021-12-10, 23:59:00, 80\n2021-12-11, 00:00:00, 80\n"
        "2021-12-10, 23:59:00, 70\n2021-12-11, 00:00:00, 70\n2021-12-11, 00:01:00, 70\n"
        "2021-12-11, 00:00:13, 58\n2021-12-11, 00:01:13, 58\n2021-12-11, 00:05:00, 90\n"
    )
    market = read(tmp_path, text, "gcp")
    assert steps(market) == [(0, 80), (60, 70), (133, 58)]
    assert market.period_ns == 7 * MINUTE


def test_parcae_reads_segments_and_counts(tmp_path):
    rows = [
        [0, "add", {"nodes": ["a", "b", "c"], "duration": 60000}],
        [60000, "no-op", {"nodes": [], "duration": 60000}],
        [120000, "remove", {"nodes": ["a", "c"], "duration": 60000}],
    ]
    market = read(tmp_path, "\n".join(map(json.dumps, rows)), "parcae")
    assert (steps(market), market.period_ns) == ([(0, 3), (120, 1)], 3 * MINUTE)
    market = read(tmp_path, "0,1\n0,2\n60000,3\n120000,1\n180000,2\n", "parcae")
    assert (steps(market), market.period_ns) == ([(0, 2), (60, 3), (120, 1)], 3 * MINUTE)


@needs_data
@pytest.mark.parametrize("trace_id", SPOT_TRACES)
def test_named_traces_are_recounted(trace_id, monkeypatch, tmp_path):
    monkeypatch.setenv("TRILEMMA_DATA", str(DATA))
    which = TracedReclaims(kind="trace", trace=trace_id)
    market = capacity(which, tmp_path)
    entries = [time for time, _ in recording(which, tmp_path)[1]]
    assert entries == sorted(entries)
    trace = SPOT_TRACES[trace_id]
    content = named.locate(trace_id).read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (trace.sha256, trace.bytes)
    lines = [line for line in content.decode().splitlines() if line]
    by_minute, length_s = MINUTES[trace.format if lines[0][0] != "[" else "segments"](lines)
    assert market.period_ns == length_s * NS_PER_S
    assert (np.diff(market.times_ns) > 0).all()
    starts = market.times_ns[None, :] <= (np.arange(len(by_minute)) * MINUTE)[:, None]
    assert market.nodes[starts.sum(axis=1) - 1].tolist() == by_minute


def events(lines):
    rows = [(int(ms), 1 if change == "add" else -1) for ms, change, _ in (line.split(",") for line in lines)]
    return [sum(one for ms, one in rows if ms <= 60_000 * i) for i in range(rows[-1][0] // 60_000)], rows[-1][0] // 1000


def counts(lines):
    rows = [tuple(map(int, line.split(","))) for line in lines]
    return [[n for ms, n in rows if ms <= 60_000 * i][-1] for i in range(rows[-1][0] // 60_000)], rows[-1][0] // 1000


def segments(lines):
    out = []
    for _, change, more in map(json.loads, lines):
        out.append((out or [0])[-1] + {"add": 1, "remove": -1}.get(change, 0) * len(more["nodes"]))
    return out, 60 * len(lines)


def samples(lines):
    rows = [(datetime.fromisoformat(line[:20].replace(", ", "T")), int(line[21:])) for line in lines]
    seconds = [round((time - rows[0][0]).total_seconds()) for time, _ in rows]
    every = np.zeros(seconds[-1] + 1, int)
    for second, (_, count) in zip(seconds, rows, strict=True):
        every[second:] = count
    return every[:-1:60].tolist(), seconds[-1]


MINUTES = {"bamboo": events, "parcae": counts, "segments": segments, "gcp": samples}


@pytest.mark.parametrize(
    ("form", "text", "fault"),
    [
        ("csv", "", "expected the header time_s,nodes"),
        ("csv", "0,4\n", "expected the header time_s,nodes"),
        ("csv", "time_s,nodes\n0,4,1\n", "line 2: found '0,4,1', expected time_s,nodes"),
        ("csv", "time_s,nodes\n0,4\nnan,4\n", "line 3: found 'nan', expected time_s"),
        ("csv", "time_s,nodes\n0,4\n5,2.5\n", "line 3: found '2.5', expected a number of nodes"),
        ("csv", "time_s,nodes\n0,4\n5,-1\n", "found '-1', expected a number of nodes"),
        ("csv", "time_s,nodes\n9,4\n5,1\n", "line 3: time goes back by 4 s"),
        ("csv", "time_s,nodes\n0,4\n", "found no time between first and last entry"),
        ("csv", "time_s,nodes\n0,0\n5,1\n", "found no node at any time"),
        ("bamboo", "0,add\n", "expected ms,add|remove,node"),
        ("bamboo", "0,stop,a\n", "expected ms,add|remove,node"),
        ("bamboo", "0.5,add,a\n", "found '0.5', expected a time in ms"),
        ("bamboo", "0,remove,a\n", "found 'remove' of a, which is not there"),
        ("bamboo", "0,add,a\n1,add,a\n", "found 'add' of a, which is there"),
        ("gcp", "2021-12-10 13:07:45, 80\n", "expected date, time, count"),
        ("gcp", "2021-13-10, 13:07:45, 80\n", "expected date, time, count"),
        ("gcp", "2021-12-10, 13:07:45, many\n", "found 'many', expected a number of nodes"),
        ("parcae", "0\n", "expected ms,count or a JSON list"),
        ("parcae", '[0, "add"]\n', "expected [ms, change"),
        ("parcae", '[0, "add", {"nodes": ["a"]}]\n', "expected [ms, change"),
        ("parcae", '[0, "add", 5]\n', "expected [ms, change"),
        ("parcae", '[true, "add", {"nodes": ["a"], "duration": 1}]\n', "found True, expected a time in ms"),
        ("parcae", '[0, "no-op", {"nodes": ["a"], "duration": 1}]\n', "found 'no-op' of a"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, form, text, fault):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, form)
    message = str(caught.value)
    assert "market.txt" in message
    assert fault in message
    assert "\n" not in message


def test_a_missing_recording_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TRILEMMA_DATA", raising=False)
    with pytest.raises(InputError, match="trilemma data get bamboo-p3"):
        capacity(TracedReclaims(kind="trace", trace="bamboo-p3"), tmp_path)
    with pytest.raises(InputError, match="found 'azure2023-conv', expected one of bamboo-p3"):
        capacity(TracedReclaims(kind="trace", trace="azure2023-conv"), tmp_path)
    with pytest.raises(InputError, match=r"absent\.csv"):
        capacity(TracedReclaims(kind="trace", path="absent.csv", format="csv"), tmp_path)
    with pytest.raises(InputError, match="start_s: found 30, expected less than its length of 30 s"):
        read(tmp_path, CSV, start_s=30)
