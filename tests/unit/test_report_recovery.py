"""Minutes to recover, by hand and against the definition written out; goodput through time; Clopper and Pearson."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from sim.report import summarise
from sim.report.goodput import Bins, bin_width_ns, bins, goodput
from sim.report.objective import Objective
from sim.report.recovery import minutes_to_recover, patience_ns, recovery
from sim.result import Cause, Outcome, State
from sim.stats import clopper_pearson
from tests.unit.synthetic_run import MS, S, replication, requests, run, timeline, under_fire

ALL = (Objective("all", {}, 99.0),)
TTFT = (Objective("all", {"ttft": 100.0}, 99.0),)


def fallen(*seconds, lasts=None):
    """A crash of another replica at each time; each is back so many seconds later, by default 1, None: never."""
    rows = [(0, i, 0, State.READY, Cause.PLAN) for i in range(len(seconds))]
    for i, at in enumerate(seconds):
        rows.append((at * S, i, 0, State.DEAD, Cause.CRASH))
        down = 1 if lasts is None else lasts[i]
        if down is not None:
            rows.append(((at + down) * S, i, 0, State.READY, Cause.PLAN))
    return timeline(sorted(rows, key=lambda row: row[0]))


def traffic(times, outcome, late=()):
    """A request at each second of `times`, answered in 50 ms; those at indices `late` only after 500 ms."""
    sent = np.asarray(times) * S
    done = np.asarray(outcome) == Outcome.FINISHED
    answered = np.where(done, sent + 50 * MS, -1)
    answered[list(late)] += 450 * MS
    one = replication(
        requests([8] * len(sent), [1] * len(sent), sent),
        sent=sent,
        scheduled=np.where(done, sent, -1),
        first=answered,
        last=answered,
        outcome=outcome,
        end=int(sent.max()) + S,
    )
    return replace(one, ended_ns=np.where(done, answered, sent + S))


def outage(length, bad, *, every=1, late=False):
    """Requests at every second but those in `bad` answered well: the others failed, or were late."""
    times = np.arange(0, length, every)
    hit = np.isin(times, bad)
    outcome = np.where(hit & (not late), Outcome.FAILED, Outcome.FINISHED)
    return traffic(times, outcome, np.flatnonzero(hit) if late else ())


def minutes(one, *incidents_s, aims=ALL, width_s=10, lasts=None):
    return minutes_to_recover(bins(one, aims, width_s * S), fallen(*incidents_s, lasts=lasts))


def test_the_time_to_recover_by_hand():
    one = outage(900, range(300, 420))
    assert minutes(one, 300) == [2.0]  # from 420 s on all is well
    assert minutes(one, 305) == [pytest.approx(115 / 60)]
    assert minutes(one, 290, 340) == [pytest.approx(130 / 60)]  # one incident, since its first failure
    assert minutes(one, 300, 600) == [2.0, 0.0]  # the second harmed nobody
    assert minutes(outage(900, range(300, 900)), 300) == [None]
    assert minutes(outage(900, range(300, 880)), 300) == [None]  # 20 s at the end are no proof
    assert minutes(outage(900, range(300, 850)), 300) == [pytest.approx(550 / 60)]


def test_a_good_bin_amid_bad_ones_is_no_recovery():
    assert minutes(outage(900, [*range(300, 360), *range(380, 420)]), 300) == [2.0]
    assert minutes(outage(900, [*range(300, 360), *range(600, 660)]), 300) == [1.0]  # 60 s and more lie between


def test_a_slow_collapse_is_no_recovery():
    """A replica is away from 300 to 700 s, and clients give up from 400 s on: the good minute before proves nothing."""
    assert minutes(outage(1200, range(400, 1200)), 300, lasts=[400]) == [None]
    assert minutes(outage(1200, range(400, 800)), 300, lasts=[400]) == [pytest.approx(500 / 60)]
    assert minutes(outage(1200, range(400, 800)), 300, lasts=[None]) == [8.0]  # from 780 s on, 20 of 420 s are bad
    assert minutes(outage(1200, ()), 300, lasts=[None]) == [0.0]  # it was not needed
    assert minutes(outage(1200, range(400, 800)), 300, lasts=[20]) == [0.0]  # back in time: that was something else


def test_the_last_requests_of_a_storm_are_no_recovery():
    """Clients try for 120 s: those that were sent in the last 100 s are answered as the others have given up."""
    one = outage(900, range(300, 800))
    found, fall = bins(one, ALL, 10 * S), fallen(300)
    assert minutes_to_recover(found, fall) == [pytest.approx(500 / 60)]
    assert minutes_to_recover(found, fall, 120 * S) == [None]
    assert minutes_to_recover(found, fall, 90 * S) == [pytest.approx(500 / 60)]
    assert minutes_to_recover(found, fallen(850), 120 * S) == [0.0]  # later still: judged by what is left


def test_how_long_a_client_goes_on_trying():
    retry = {"max_retries": 3, "backoff_s": 1.0, "multiplier": 2.0, "max_backoff_s": 3.0}
    assert patience_ns({"timeout_s": 30.0, "retry": retry}) == (4 * 30 + 1 + 2 + 3) * S
    assert patience_ns({"timeout_s": 30.0, "retry": None}) == 30 * S
    assert patience_ns({"timeout_s": None, "retry": retry}) == 0


def test_late_answers_count_as_bad_only_against_an_slo():
    slow = outage(900, range(300, 420), late=True)
    assert minutes(slow, 300, aims=TTFT) == [2.0]
    assert minutes(slow, 300, aims=ALL) == [0.0]


def test_the_yardstick_is_the_share_before():
    """With 20 % bad before, 80 % good is as well as ever, and 70 % is not."""
    before, after = [t for t in range(300) if t % 10 < 2], [t for t in range(420, 900) if t % 10 < 2]
    assert minutes(outage(900, [*before, *range(300, 420), *after]), 300) == [2.0]
    worse = [t for t in range(420, 900) if t % 10 < 3]
    assert minutes(outage(900, [*before, *range(300, 420), *worse]), 300) == [None]


def test_empty_bins_prove_nothing():
    sparse = outage(3600, range(1200, 1300), every=40)
    assert minutes(sparse, 1190) == [pytest.approx((1320 - 1190) / 60)]  # the first request after 1,300 s
    assert minutes(sparse, 1410) == [0.0]  # nobody was there to be harmed, and the next one was served


def test_incidents_before_or_after_all_traffic_are_left_out():
    late_start = traffic(np.arange(300, 900), [Outcome.FINISHED] * 600)
    assert minutes(late_start, 10) == []
    assert minutes(late_start, 10, 600) == [0.0]
    assert minutes(late_start, 1000) == []
    assert minutes(traffic(np.arange(900), [Outcome.FAILED] * 900), 300) == []  # nothing good to come back to
    assert minutes(late_start) == []


def test_wide_bins_do_not_hide_what_begins_at_their_end():
    one = outage(7200, range(1190, 1500))
    assert minutes(one, 1190, width_s=300) == [pytest.approx(310 / 60)]


def test_an_incident_at_the_end_is_judged_by_what_is_left():
    assert minutes(outage(900, range(880, 890)), 880) == [pytest.approx(10 / 60)]
    assert minutes(outage(900, range(880, 900)), 880) == [None]


def naive(times, good, falls, lasts, width):
    """The definition of sim/report/recovery.py, word by word, in seconds."""
    groups = []
    for at in sorted(set(falls)):
        if groups and at - groups[-1][-1] <= 60:
            groups[-1].append(at)
        else:
            groups.append([at])
    pairs = list(zip(times, good, strict=True))
    yardstick, found = None, []
    for group in groups:
        first, last = group[0], group[-1]
        begin = first // width * width
        before = [g for t, g in pairs if t < begin]
        if yardstick is None and any(before):
            yardstick = sum(before) / len(before)
        if yardstick is None or not any(t >= begin for t in times):
            continue
        back = [at + down for at, down in zip(falls, lasts, strict=True) if down is not None]
        back = sorted(at for at in back if at > first)[: len(group)]
        whole = max(back[-1], last) if len(back) == len(group) else max(times)
        over = None
        for start in range(begin, max(times) + 1, width):
            hold = max(start, min(whole, max(times))) + 60
            inside = [g for t, g in pairs if start <= t and t // width * width < hold]
            proven = start + 30 <= max(times) or last + 30 > max(times)
            asked = any(start <= t < start + width for t in times)
            if asked and proven and sum(inside) >= 0.95 * yardstick * len(inside):
                over = start
                break
        if over is None:
            found.append(None)
        elif not any(begin <= t < over for t in times):
            found.append(0.0)
        else:
            found.append((over - first) / 60)
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 900), st.booleans() | st.just(True)), min_size=1, max_size=80),
    st.dictionaries(st.integers(0, 950), st.none() | st.integers(1, 400), max_size=5),
    st.sampled_from([10, 30, 120]),
)
def test_the_time_to_recover_is_as_defined(pairs, incidents, width):
    falls = sorted(incidents)
    lasts = [incidents[at] for at in falls]
    times, good = zip(*sorted(pairs), strict=True)
    one = traffic(times, [Outcome.FINISHED if well else Outcome.TIMED_OUT for well in good])
    found = minutes(one, *falls, width_s=width, lasts=lasts)
    assert found == pytest.approx(naive(times, good, falls, lasts, width))


@pytest.mark.parametrize(
    ("last_s", "width_s"),
    [
        (0, 10),
        (2399, 10),
        (2400, 15),
        (3600, 20),
        (86_399, 600),
        (863_999, 3600),
        (864_000, 2 * 3600),
        (8_639_999, 10 * 3600),
    ],
)
def test_bins_are_round_and_at_most_240(last_s, width_s):
    one = traffic([0, last_s], [Outcome.FINISHED] * 2)
    width = bin_width_ns([one])
    assert width == width_s * S
    assert len(bins(one, ALL, width).sent) <= 240


def test_bins_by_hand():
    found = bins(under_fire(), TTFT, 3 * S)
    assert found.sent.tolist() == [4, 1, 0, 1]  # neither the rejected one nor the one that was not sent
    assert found.failed.tolist() == [2, 1, 0, 0]
    assert found.judged.tolist() == [4, 1, 0, 1]  # the open one has waited for longer than 100 ms
    assert found.good.tolist() == [0, 0, 0, 0]
    easy = bins(under_fire(), ALL, 3 * S)
    assert (easy.good.tolist(), easy.judged.tolist()) == ([2, 0, 0, 0], [4, 1, 0, 0])


def test_each_class_is_good_by_its_own_limits():
    one = outage(20, range(20), late=True)
    drawn = replace(one.requests, klass=(np.arange(20) % 2).astype(np.int16), classes=("fast", "slow"))
    aims = (Objective("fast", {"ttft": 100.0}, 99.0), Objective("slow", {"ttft": 1000.0}, 99.0))
    assert bins(replace(one, requests=drawn), aims, 10 * S).good.tolist() == [5, 5]


def test_goodput_is_averaged_over_replications():
    short, long = (Bins(10 * S, 0, *[np.array(column)] * 4) for column in ([4], [2, 6]))
    found = goodput([short, long])
    assert found.sent.mean == (3.0, 3.0)
    assert found.sent.low == pytest.approx((3 - 12.7062, 3 - 3 * 12.7062), abs=1e-3)  # t(1) = 12.7062, se = 1 and 3
    assert (found.width_s, goodput([long]).good.low) == (10, None)


def test_recoveries_are_joined():
    found = recovery([[1.0, None], [], [3.0, 8.0]])
    assert (found.incidents, found.recovered, found.median_minutes, found.longest_minutes) == (4, 3, 3.0, 8.0)
    exact = binomtest(3, 4).proportion_ci(0.95, "exact")
    assert (found.share_low, found.share_high) == pytest.approx((exact.low, exact.high))
    assert recovery([[None]]).median_minutes is None


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (2, 10), (1, 1), (37, 200)])
def test_the_interval_of_a_share_is_scipys_exact_one(k, n):
    exact = binomtest(k, n).proportion_ci(0.95, "exact")
    assert clopper_pearson(k, n) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_nothing_is_known_of_a_share_without_trials():
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_a_summary_tells_of_recovery():
    one = replace(outage(900, range(300, 420)), timeline=fallen(300))
    summary = summarise(run([one, one]))
    assert (summary.recovery.incidents, summary.recovery.recovered) == (2, 2)
    assert summary.recovery.median_minutes == 2.0
    assert summary.goodput.width_s == 10
    assert summary.goodput.failed.mean[30:43] == (*[10.0] * 12, 0.0)
    assert summary.to_json()["goodput"]["good"]["mean"][29:31] == (10.0, 0.0)
