"""Time-outs, retries and hedges on timetables worked out by hand: a hung replica answers nobody."""

from collections import Counter

import numpy as np
import pytest

from sim.result import Ending, Outcome
from sim.units import NS_PER_S
from tests.unit.small_fleet import ENGINE, lengths
from tests.unit.under_fire import AT_ONCE, Watched, fire

HUNG = {"kind": "drill", "of": "replica", "at_s": 0.0, "hang": True}
ONE = [{"pool": "a", "gpu": "h100-sxm-80gb"}]
TWO = [ONE[0] | {"replicas": 2}]
IN_TURN = {"kind": "round_robin"}


def sent(requests: int, per_s: float = 1.0, output: int = 4, **more) -> dict:
    arrivals = {"kind": "constant", "request_rate": per_s}
    return {"num_prompts": requests, "arrivals": arrivals, "lengths": lengths(50, output)} | more


def retry(**how) -> dict:
    return {"backoff_s": 1.0, "jitter": "none"} | how


def pauses(seen: Watched, timeout_s: float) -> np.ndarray:
    """From the end of each try to the next one of its request, s: [requests, retries]."""
    tries = seen.one.tries
    by_request = [tries.sent_ns[tries.request == request] for request in range(len(seen.one.requests))]
    return np.array([np.diff(times) for times in by_request]) / NS_PER_S - timeout_s


def test_a_request_is_tried_again_after_each_time_out_and_pause():
    """Patience 2 s; pauses of 1, 2 and then, at most, 3 s: tries at 0, 3, 7 and 12 s, given up at 14 s."""
    how = {"timeout_s": 2.0, "retry": retry(max_retries=3, max_backoff_s=3.0)}
    seen = fire(sent(1), fleet=ONE, failures=[HUNG], clients=how)
    one, tries = seen.one, seen.one.tries
    assert ((tries.sent_ns - one.sent_ns[0]) / NS_PER_S).tolist() == [0, 3, 7, 12]
    assert (one.ended_ns - one.sent_ns).tolist() == [14 * NS_PER_S]
    assert one.outcome.tolist() == [Outcome.TIMED_OUT]
    assert tries.ending.tolist() == [Ending.CANCELLED] * 4
    assert ((tries.left_ns - tries.sent_ns) / NS_PER_S).tolist() == [2] * 4, "the engine was told"


def test_full_jitter_is_uniform_up_to_the_whole_pause():
    """300 requests, pauses of up to 1, 2 and 4 s."""
    how = {"timeout_s": 2.0, "retry": retry(jitter="full", max_retries=3)}
    drawn = pauses(fire(sent(300, 30.0), fleet=ONE, failures=[HUNG], clients=how), 2.0)
    for pause, most in zip(drawn.T, (1, 2, 4), strict=True):
        assert 0 <= pause.min() < 0.05 * most
        assert 0.95 * most < pause.max() <= most
        assert pause.mean() == pytest.approx(most / 2, abs=4 * most / 12**0.5 / 300**0.5)


@pytest.mark.parametrize(
    ("budget", "burst", "retried"),
    [
        (0.0, 3, 3),
        (0.5, 1, 1 + 19 // 2),  # full as the first one is sent; half a retry for each of the other 19
        (1.0, 1, 20),
        (0.0, 50, 20),
    ],
)
def test_retries_are_paid_from_a_bucket_that_first_tries_fill(budget, burst, retried):
    """20 requests, one every 10 s, each of which fails before the next is sent and wants one retry."""
    how = {"timeout_s": 1.0, "retry": retry(max_retries=1, budget=budget, budget_burst=burst)}
    seen = fire(sent(20, 0.1), fleet=ONE, failures=[HUNG], clients=how)
    assert len(seen.one.tries) - 20 == retried
    assert (seen.one.outcome == Outcome.TIMED_OUT).all()


def test_the_bucket_holds_no_more_than_its_burst():
    """Ten that are answered fill no more than two; then, in a hang, 2, 1.25, 0.5, 0.75 and 1 are there."""
    how = {"timeout_s": 1.0, "retry": retry(max_retries=1, budget=0.25, budget_burst=2)}
    hang = HUNG | {"at_s": 105.0}
    seen = fire(sent(15, 0.1), fleet=ONE, failures=[hang], clients=how)
    again = Counter(seen.one.tries.request.tolist())
    assert [again[request] for request in range(15)] == [1] * 10 + [2, 2, 1, 1, 2]


def test_a_hedge_goes_out_at_its_deadline_and_the_first_answer_counts():
    """In turn: the request hangs at replica 0 until its copy, 3 s later, is answered by replica 1."""
    how = {"hedge": {"after_s": 3.0}, "timeout_s": 60.0}
    one = fire(sent(1), fleet=TWO, router=IN_TURN, failures=[HUNG], clients=how).one
    tries = one.tries
    assert tries.replica.tolist() == [0, 1]
    assert np.diff(tries.sent_ns).tolist() == [3 * NS_PER_S]
    assert tries.ending.tolist() == [Ending.CANCELLED, Ending.ANSWERED]
    assert tries.left_ns.tolist() == [one.ended_ns[0]] * 2, "the slow one is taken out of its engine then"
    assert (one.outcome[0], one.replica[0], one.last_token_ns[0]) == (Outcome.FINISHED, 1, one.ended_ns[0])


def test_a_first_try_that_is_faster_than_its_copy_wins():
    """Requests of 200 steps and a copy after 0.5 s, on the other replica: that is a step or more behind."""
    seen = fire(sent(1, output=200), fleet=TWO, router=IN_TURN, clients={"hedge": {"after_s": 0.5}})
    tries = seen.one.tries
    assert tries.ending.tolist() == [Ending.ANSWERED, Ending.CANCELLED]
    assert 0 < tries.produced[1] < tries.produced[0] == 200


def test_a_request_lives_on_in_its_copy():
    """Replica 0 crashes at 2 s under the first try of 400 steps, whose copy is at replica 1: nothing is tried again."""
    crash = {"kind": "drill", "of": "replica", "at_s": 2.0}
    how = {"hedge": {"after_s": 0.5}, "retry": retry()}
    one = fire(sent(1, output=400), fleet=TWO, router=IN_TURN, failures=[crash], clients=how).one
    assert one.tries.ending.tolist() == [Ending.LOST, Ending.ANSWERED]
    assert one.outcome.tolist() == [Outcome.FINISHED]


def test_who_answers_in_time_is_not_asked_twice():
    seen = fire(sent(20), fleet=TWO, clients={"hedge": {"after_s": 1.0}})
    assert len(seen.one.tries) == 0


@pytest.mark.parametrize(
    ("cancellation", "ending", "whole"), [("engine", "CANCELLED", False), ("none", "ABANDONED", True)]
)
def test_an_engine_that_is_not_told_goes_on(cancellation, ending, whole):
    """Ten of 400 steps, about 3 s each, whose clients leave after a second; five more at the end, ten seconds later."""
    how = {"timeout_s": 1.0, "cancellation": cancellation}
    seen = fire(sent(10, output=400), fleet=ONE, clients=how, startup=AT_ONCE)
    one, tries = seen.one, seen.one.tries
    assert (one.outcome == Outcome.TIMED_OUT).all()
    assert {Ending(one).name for one in tries.ending.tolist()} == {ending}
    assert ((one.ended_ns - one.sent_ns) == NS_PER_S).all()
    early = tries.sent_ns < 4 * NS_PER_S
    assert (tries.produced[early] == 400).all() == whole
    if not whole:
        assert (tries.left_ns - tries.sent_ns == NS_PER_S).all()
        assert (tries.produced < 200).all()


def test_a_retry_asks_for_the_same_answer_or_for_another():
    """First tries hang; after the drill, at 30 s, retries are answered: with the same lengths, or those of others."""
    drill = HUNG | {"for_s": 30.0}
    work = sent(200, 10.0) | {"lengths": lengths(50, 100, 0.9)}
    lengths_of = {}
    for answer in ("same", "redrawn"):
        how = {"timeout_s": 25.0, "retry": retry(max_retries=1, backoff_s=20.0, answer=answer)}
        seen = fire(work, fleet=ONE, failures=[drill], clients=how)
        tries, drawn = seen.one.tries, seen.one.requests.output_tokens
        answered = (tries.ending == Ending.ANSWERED) & (tries.sent_ns > 20.5 * NS_PER_S)
        lengths_of[answer] = tries.produced[answered], drawn[tries.request[answered]]
    produced, asked = lengths_of["same"]
    assert len(produced) > 100
    assert (produced == asked).all()
    produced, asked = lengths_of["redrawn"]
    assert (produced != asked).mean() > 0.9
    assert set(produced.tolist()) <= set(drawn.tolist())
    assert produced.mean() == pytest.approx(drawn.mean(), rel=0.15)
    assert abs(np.corrcoef(produced, asked)[0, 1]) < 0.3


def test_what_is_refused_for_good_is_not_tried_again():
    """Prompts of 509 and answers of 4 exceed 512."""
    seen = fire(sent(5) | {"lengths": lengths(509, 4)}, fleet=ONE, clients={"retry": retry()})
    assert seen.one.outcome.tolist() == [Outcome.REJECTED] * 5
    assert len(seen.one.tries) == 0


def test_the_next_turn_of_a_session_waits_for_the_last_try_of_the_one_before():
    """Two turns, 4 s to think: the first is given up after 2 s, 1 s and 2 s more."""
    how = {"timeout_s": 2.0, "retry": retry(max_retries=1)}
    work = sent(2, sessions={"turns": 2, "think_s": 4.0})
    one = fire(work, fleet=ONE, failures=[HUNG], clients=how).one
    first, later = np.argsort(one.sent_ns)
    assert one.requests.after[later] == first
    assert one.ended_ns[first] - one.sent_ns[first] == 5 * NS_PER_S
    assert one.sent_ns[later] == one.ended_ns[first] + one.requests.arrival_ns[later]


def test_a_loop_sends_the_next_when_a_client_gives_up():
    """Two at a time, six in all, a patience of 3 s: at 0, 3 and 6 s."""
    work = sent(6, arrivals={"kind": "closed_loop", "concurrency": 2})
    one = fire(work, fleet=ONE, failures=[HUNG], clients={"timeout_s": 3.0}, engine=ENGINE | {"max_num_seqs": 1}).one
    assert (np.sort(one.sent_ns) / NS_PER_S).tolist() == [0, 0, 3, 3, 6, 6]
