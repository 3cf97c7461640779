import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sim.report import measured, summarise
from sim.result import Draw, Measured
from tests.unit.synthetic_run import REPLICA, random_replication, run
from ui.console import print_report, render

GOLDEN = Path(__file__).parent.parent / "golden" / "console.txt"

VLLM_LABELS = """\
============ Serving Benchmark Result ============
Successful requests:
Failed requests:
Maximum request concurrency:
Request rate configured (RPS):
Benchmark duration (s):
Total input tokens:
Total generated tokens:
Request throughput (req/s):
Request goodput (req/s):
Output token throughput (tok/s):
Peak output token throughput (tok/s):
Peak concurrent requests:
Total token throughput (tok/s):
---------------Time to First Token----------------
Mean TTFT (ms):
Median TTFT (ms):
P90 TTFT (ms):
P95 TTFT (ms):
P99 TTFT (ms):
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):
Median TPOT (ms):
P90 TPOT (ms):
P95 TPOT (ms):
P99 TPOT (ms):
---------------Inter-token Latency----------------
Mean ITL (ms):
Median ITL (ms):
P90 ITL (ms):
P95 ITL (ms):
P99 ITL (ms):
----------------End-to-end Latency----------------
Mean E2EL (ms):
Median E2EL (ms):
P90 E2EL (ms):
P95 E2EL (ms):
P99 E2EL (ms):
==================================================
""".splitlines()
"""What vllm/benchmarks/serve.py prints (0.32.0) with --goodput, --max-concurrency, --metric-percentiles 90,95,99."""


@pytest.fixture
def record():
    return run([random_replication(seed) for seed in range(5)], slo={"ttft_ms": 700.0, "tpot_ms": 60.0})


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(record, file=None, **kwargs):
    file = file or io.StringIO()
    print_report(record, summarise(record), file=file, **kwargs)
    return file.getvalue()


def test_the_block_has_vllms_labels_in_vllms_order(record):
    record = replace(
        record,
        replications=tuple(replace(one, requests=replace(one.requests, concurrency=64)) for one in record.replications),
    )
    lines = printed(record).splitlines()[: len(VLLM_LABELS)]
    assert [line[:40].rstrip() if ":" in line else line for line in lines] == VLLM_LABELS
    values = [float(line[41:51]) for line in lines if ":" in line]  # where vLLM's "{:<40} {:<10.2f}" has them
    assert len(values) == 33
    with_interval = [line for line in lines if re.match(r".{51} ± [\d.]+", line)]
    assert len(with_interval) == 31  # all but the two settings


def test_the_whole_report_is_the_golden_one(record):
    assert printed(record, saved=Path("runs/by-hand-7-01234567")) == GOLDEN.read_text()


@pytest.mark.parametrize("factors", [(), (0.9, 1.0, 1.1, 1.05)])
def test_the_report_fits_80_columns(record, factors):
    one = record.replications[0]
    drawn = replace(
        one.requests, klass=one.requests.klass + (one.sent_ns % 2).astype("int16"), classes=("chat", "code")
    )
    mixed = run(
        (replace(one, requests=drawn, counters=one.counters.repeat(2)),) * 2,
        slo={"ttft_ms": 700.0, "tpot_ms": 60.0},
        replicas=(REPLICA, replace(REPLICA, pool="burst", gpu="h200-141gb")),
    )
    text = printed(with_draws(mixed, *factors))
    assert max(map(len, text.splitlines())) <= 80
    assert "\n  chat: " in text
    assert re.search(r"\n  code +\d+ +[\d.]+ ± [\d.]+ ", text)
    assert "\n  burst: 1 x 4 h200-141gb, deepseek-llm-67b\n" in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_no_ansi_off_the_terminal_or_with_no_color(record, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    plain = printed(record)
    assert "\x1b" not in plain
    coloured = printed(record, Terminal())
    assert "\x1b[1;31mmissed" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(record, Terminal()) == plain


def with_draws(record, *factors):
    """Draws in which every number of the first replication is so many times as large."""
    best = measured(record, record.replications[0], None)

    def times(factor, numbers):
        return {key: value and factor * value for key, value in numbers.items()}

    def drawn(factor):
        parts = (tuple(times(factor, one) for one in part) for part in (best.classes, best.pools))
        return Measured(times(factor, best.whole), *parts)

    return replace(record, draws=tuple(Draw(i, 0, drawn(factor)) for i, factor in enumerate(factors)))


def test_calibration_stands_in_brackets_behind_sampling(record):
    calibrated = printed(with_draws(record, 0.999, 1.001))
    found = summarise(with_draws(record, 0.999, 1.001))["p99_ttft_ms"]
    assert f"P99 TTFT (ms):                           754.80     ± 20.72 (± {found.calibration_half_width:.2f})\n" in (
        calibrated
    )
    legend = "(±) 95 % range over 2 draws of the calibration, its longer side\n"
    assert calibrated.index("± 95 % interval of the mean of 5 replications\n") < calibrated.index(legend)
    # nothing else differs from the report without a calibration, but where a note has no room
    bare = re.sub(r" ?\(±[^)]*\)", "", calibrated.replace(legend, ""))
    assert " ".join(bare.split()) == " ".join(printed(record).split())
    alone = with_draws(replace(record, replications=record.replications[:1]), 0.9, 1.1)
    text = printed(alone)
    assert "one replication, so no intervals\n(±) 95 %" in text
    assert not re.search("[^(]± ", text)


def test_one_replication_shows_no_interval_and_says_so(record):
    alone = printed(replace(record, replications=record.replications[:1]))
    assert "±" not in alone
    assert "one replication, so no intervals" in alone


def test_without_slo_there_is_no_goodput_and_no_verdict(record):
    text = printed(run(record.replications))
    assert "goodput" not in text
    assert "good requests" not in text
    assert "None given (slo:" in text


def test_unknown_numbers_are_dashes(record):
    one = record.replications[0]
    drawn = replace(one.requests, output_tokens=one.requests.output_tokens * 0 + 1)
    short = replace(one, requests=drawn, itl_ns=one.itl_ns[:0], itl_count=one.itl_count[:0])
    assert re.search(r"Mean TPOT \(ms\): +-\n", printed(run([short])))


def test_reasoning_adds_the_time_to_the_first_answer_token(record):
    one = record.replications[0]
    thinking = replace(one, requests=replace(one.requests, reasoning_tokens=one.requests.output_tokens // 2))
    assert "P99 time to first answer token (ms)" in printed(run([thinking]))
    assert "answer token" not in printed(record)


def test_rendering_names_the_place_the_run_was_saved_in(record):
    assert render(record, summarise(record), Path("x/y")).plain.endswith("\nSaved in x/y\n")
