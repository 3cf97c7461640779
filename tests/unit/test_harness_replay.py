"""The replay of requests against a real little server: what is sent when, and what is noted of the answers."""

import asyncio
import json
import os
import re
import resource
import time
from itertools import pairwise

import numpy as np
import pytest

from harness.client import Answer, Target
from harness.prompts import Prompts
from harness.replay import replay, warm_up
from harness.server import free_port, run_server
from sim.errors import InputError
from sim.request import Requests
from tests.unit import fake_openai
from tests.unit.harness_cases import asked, fake_command

VOCABULARY = 10_240


def requests(prompt, output, arrival_ms=None, *, own=None, after=None, shared=None, concurrency=None):
    """Columns by hand; `shared` is (stream, end) of each request's one shared segment, or None."""
    n = len(prompt)
    shared = shared or [None] * n
    return Requests(
        arrival_ns=np.array(arrival_ms or [0] * n, np.int64) * 1_000_000,
        prompt_tokens=np.array(prompt, np.int32),
        output_tokens=np.array(output, np.int32),
        max_tokens=np.array(output, np.int32),
        klass=np.zeros(n, np.int16),
        reasoning_tokens=np.zeros(n, np.int32),
        own_stream=np.array(own or range(100, 100 + n), np.int64),
        after=np.array(after or [-1] * n, np.int32),
        segment_offset=np.concatenate([[0], np.cumsum([one is not None for one in shared])]),
        segment_stream=np.array([one[0] for one in shared if one], np.int64),
        segment_end=np.array([one[1] for one in shared if one], np.int32),
        classes=("default",),
        concurrency=concurrency,
    )


@pytest.fixture
def send(tmp_path, monkeypatch):
    """Send requests to a fake server that behaves as given; return answers, what it was asked, and time zero."""

    def run(drawn, **behaviour):
        how = {"asked": str(tmp_path / "asked.jsonl"), "pids": str(tmp_path / "pids")} | behaviour
        monkeypatch.setenv("FAKE_OPENAI", json.dumps(how))
        port = free_port()
        with run_server(fake_command(port), port, tmp_path / "server.log") as server:
            target = Target(server.base_url, fake_openai.MODEL, "salt")
            answers = [Answer() for _ in range(len(drawn))]
            asyncio.run(warm_up(target, VOCABULARY))
            start_ns = time.monotonic_ns() + 500_000_000
            prompts = Prompts(drawn, VOCABULARY)
            asyncio.run(replay(target, drawn, prompts, answers, start_ns, lambda *_: None, lambda: server.died))
        return answers, asked(tmp_path), start_ns

    return run


def by_length(rows):
    """What was asked, by the length of the prompt."""
    return {len(row["body"]["prompt"]): row["body"] for row in rows}


def test_a_request_asks_for_exactly_its_tokens(send):
    drawn = requests([40, 41, 42], [5, 1, 9])
    answers, rows, _ = send(drawn)
    assert {size: body["max_tokens"] for size, body in by_length(rows).items()} == {40: 5, 41: 1, 42: 9}
    for row in rows:
        body = row["body"]
        assert body["ignore_eos"]
        assert body["temperature"] == 0
        assert body["cache_salt"] == "salt"
        assert all(256 <= token < 0.9 * VOCABULARY for token in body["prompt"])
    assert [answer.tokens for answer in answers] == [5, 1, 9]
    assert [answer.prompt_tokens for answer in answers] == [40, 41, 42]
    assert [answer.error for answer in answers] == [""] * 3


def test_the_warm_up_shares_no_cached_block_with_the_run(tmp_path, send):
    send(requests([40], [2]))
    rows = [json.loads(line)["body"] for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert [row["cache_salt"] == "salt" for row in rows] == [False, True]


def test_shared_segments_are_shared_tokens_and_nothing_else_is():
    drawn = requests([40, 60, 60], [1, 1, 1], shared=[(7, 30), (7, 30), (8, 30)])
    first, second, third = (Prompts(drawn, VOCABULARY).of(index) for index in range(3))
    assert (first[:30] == second[:30]).all()
    assert (first[30:] == second[30:40]).sum() <= 1  # by chance, one in 9,000
    assert (second[:30] == third[:30]).sum() <= 1
    assert (Prompts(drawn, VOCABULARY).of(0) == first).all()
    # The same position of the same stream is the same token, wherever the segment ends.
    longer = requests([90], [1], shared=[(7, 80)])
    assert (Prompts(longer, VOCABULARY).of(0)[:30] == first[:30]).all()


def test_the_next_turn_repeats_the_conversation_with_the_real_answer_after_its_pause(send):
    drawn = requests([40, 55, 80], [6, 5, 3], [0, 300, 200], own=[9, 9, 9], after=[-1, 0, 1])
    answers, rows, _ = send(drawn)
    first, second, third = (row["body"]["prompt"] for row in rows)
    assert second[:40] == first
    assert second[40:46] == fake_openai.answer(first, 0, 6)
    assert third[:55] == second
    assert third[55:60] == fake_openai.answer(second, 0, 5)
    assert [len(one) for one in (first, second, third)] == [40, 55, 80]
    pauses = [(late.sent_ns - early.chunk_ns[-1]) / 1e6 for early, late in pairwise(answers)]
    assert 300 <= pauses[0] < 5000
    assert 200 <= pauses[1] < 5000


def test_an_open_loop_sends_at_the_planned_times_whatever_is_unanswered(send):
    planned = [0, 100, 200, 300, 300, 400]
    answers, rows, start_ns = send(requests([32 + i for i in range(6)], [4] * 6, planned), pause_s=0.25)
    sent_ms = [answer.sent_ns / 1e6 for answer in answers]
    came_ms = sorted((row["at_ns"] - start_ns) / 1e6 for row in rows)
    assert all(sent >= due for sent, due in zip(sent_ms, planned, strict=True))
    assert np.median(np.array(sent_ms) - planned) < 100  # on time, but for a busy machine
    assert all(came >= due for came, due in zip(came_ms, planned, strict=True))
    assert max(sent_ms) < min(answer.chunk_ns[-1] for answer in answers) / 1e6  # none waited for an answer


def test_a_closed_loop_keeps_its_number_in_flight(send):
    answers, _, _ = send(requests([32] * 7, [5] * 7, concurrency=2), pause_s=0.02)
    assert [answer.error for answer in answers] == [""] * 7
    spans = sorted((answer.sent_ns, answer.chunk_ns[-1]) for answer in answers)
    at_once = [sum(start <= other[0] <= end for start, end in spans) for other in spans]
    assert max(at_once) == 2
    assert [answer.sent_ns for answer in answers] == sorted(answer.sent_ns for answer in answers)


def test_simultaneous_requests_are_sent_in_their_order(send):
    answers, _, _ = send(requests([32] * 40, [1] * 40, [100] * 20 + [150] * 20))
    assert [answer.sent_ns for answer in answers] == sorted(answer.sent_ns for answer in answers)


def test_many_requests_in_flight_need_many_connections(send):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, hard))
    try:
        answers, _, _ = send(requests([32] * 80, [2] * 80), pause_s=0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [answer.error for answer in answers] == [""] * 80


def test_tokens_are_counted_not_chunks(send):
    answers, _, _ = send(requests([32], [10]), chunk=[1, 4, 2])
    assert answers[0].chunk_tokens == [1, 4, 2, 1, 2]
    assert answers[0].tokens == 10
    assert answers[0].chunk_ns == sorted(answers[0].chunk_ns)
    assert len(answers[0].chunk_ns) == 5


def test_a_long_prompt_fits_in_the_first_event(send):
    answers, _, _ = send(requests([200_000], [3]))
    assert (answers[0].error, answers[0].prompt_tokens) == ("", 200_000)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("503", "HTTP 503: .*too many requests are waiting"),
        ("cut", "^Client"),
        ("garbage", "JSONDecodeError"),
        ("error", "EngineCore encountered an issue"),
        ("short", "the stream ended after 7 of 8 tokens"),
    ],
)
def test_what_goes_wrong_with_one_answer_is_noted_and_the_others_go_on(send, bad, sentence):
    answers, rows, _ = send(requests([40, 41, 42], [8] * 3, [0, 100, 200]), bad={"2": bad})
    assert len(rows) == 3
    errors = [answer.error for answer in answers]
    assert errors[::2] == ["", ""]
    assert re.search(sentence, errors[1]), errors[1]
    assert answers[1].sent_ns >= 0


def test_a_server_that_counts_other_prompt_tokens_is_no_success(send):
    with pytest.raises(InputError, match="the server counted 33 prompt tokens, 32 were sent"):
        send(requests([40], [2]), prompt_off=1)


def test_a_dead_server_ends_the_run_early_and_keeps_what_came(send):
    late = 3_600_000  # an hour later: never waited for
    answers, rows, _ = send(requests([40, 41, 42, 43], [6] * 4, [0, 300, 300, late]), dies_at_request=2)
    assert len(rows) in (2, 3)
    assert answers[0].error == ""
    assert answers[0].tokens == 6
    assert all(answer.error for answer in answers[1:])
    assert answers[3].error == "not sent"
    assert answers[3].sent_ns == -1
