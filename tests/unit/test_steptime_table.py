"""Measured tables: exact on tables from a known law, strict on everything else."""

import pytest

from sim.errors import InputError
from sim.steptime.cost import step_ns
from sim.steptime.shape import StepShape
from sim.steptime.table import MeasuredTable

BASE_MS, TOKEN_MS, PAIR_MS, SEQ_MS, CONTEXT_MS = 7.0, 0.05, 2e-6, 0.02, 1e-4
HEADER = "kind,tokens,context,step_ms\n"


def prefill_ms(tokens, context):
    return BASE_MS + TOKEN_MS * tokens + PAIR_MS * (tokens * context + tokens * (tokens + 1) / 2)


def decode_ms(seqs, context):
    # Two slopes: the second half of the context costs double.
    return BASE_MS + SEQ_MS * seqs + CONTEXT_MS * seqs * (context + max(context - 1000, 0))


@pytest.fixture
def table(tmp_path):
    rows = [f"prefill,{n},{c},{prefill_ms(n, c)!r}" for n in (128, 512, 2048) for c in (0, 4096)]
    rows += [f"decode,{b},{c},{decode_ms(b, c)!r}" for b in (1, 16, 64) for c in (100, 1000, 4000)]
    rows += [f"prefill,128,0,{prefill_ms(128, 0)!r}"]  # a repeat
    path = tmp_path / "steps.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return MeasuredTable(path)


@pytest.mark.parametrize(
    ("seqs", "context"), [(1, 100), (16, 550), (64, 1000), (64, 3333), (1, 4000), (16, 9000), (16, 0)]
)
def test_decode_follows_the_law_between_and_beyond_measured_contexts(table, seqs, context):
    shape = StepShape(decode_seqs=seqs, context_tokens=seqs * context, sampled=seqs)
    assert step_ns(table.cost(2048, 64), shape) / 1e6 == pytest.approx(decode_ms(seqs, context), rel=1e-6)


def test_decode_between_measured_batches(table):
    # Linear in sequences at a fixed context, as the law is.
    shape = StepShape(decode_seqs=40, context_tokens=40 * 700, sampled=40)
    assert step_ns(table.cost(2048, 64), shape) / 1e6 == pytest.approx(decode_ms(40, 700), rel=1e-6)


@pytest.mark.parametrize(("tokens", "context"), [(128, 0), (300, 0), (2048, 0), (512, 1024), (1000, 10_000)])
def test_prefill_separates_tokens_from_pairs(table, tokens, context):
    pairs = tokens * context + tokens * (tokens + 1) // 2
    shape = StepShape(tokens, 1, pairs, sampled=1)
    assert step_ns(table.cost(2048, 64), shape) / 1e6 == pytest.approx(prefill_ms(tokens, context), rel=1e-5)


def test_a_mixed_step_adds_decode_attention_only(table):
    tables = table.cost(2048, 64)
    shape = StepShape(512, 1, 512 * 513 // 2, 16, 16 * 800, 17)
    expected = prefill_ms(528, 0) - PAIR_MS * (528 * 529 / 2 - 512 * 513 / 2) + CONTEXT_MS * 16 * 800
    assert step_ns(tables, shape) / 1e6 == pytest.approx(expected, rel=1e-5)


def test_it_says_what_it_covers_and_refuses_larger_steps(table):
    assert "2048 tokens" in table.label
    assert "64 sequences" in table.label
    assert "4000 tokens" in table.label
    with pytest.raises(
        InputError, match=r"steps\.csv: tokens of prefill rows must reach .*max_num_batched_tokens \(8192\)"
    ):
        table.cost(8192, 64)
    with pytest.raises(InputError, match=r"tokens of decode rows must reach engine\.max_num_seqs \(256\)"):
        table.cost(2048, 256)


GOOD = HEADER + "prefill,128,0,9.0\ndecode,1,100,7.0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns must be kind, tokens, context, step_ms, found none"),
        ("kind,tokens,step_ms\n", "columns must be"),
        (GOOD.replace("step_ms", "ms"), "columns must be"),
        (HEADER, "kind must include 'prefill' rows"),
        (HEADER + "prefill,128,0,9\n", "kind must include 'decode' rows"),
        (HEADER + "decode,1,10,9\n", "kind must include 'prefill' rows"),
        (HEADER + "prefill,128,64,9\ndecode,1,100,7\n", "prefill rows must include context 0"),
        (GOOD + "idle,1,1,1\n", "line 4: kind must be prefill or decode, found 'idle'"),
        (GOOD + "decode,0,1,1\n", "line 4: tokens must be an integer from 1"),
        (GOOD + "decode,2.5,1,1\n", "line 4: tokens must be an integer"),
        (GOOD + "decode,2,-1,1\n", "line 4: context must be an integer from 1"),
        (GOOD + "decode,2,0,1\n", "line 4: context must be an integer from 1"),
        (GOOD + "decode,99999999999999999999,1,1\n", "line 4: tokens must be an integer"),
        (GOOD + "decode,2,100,nan\n", "line 4: step_ms must be a positive number"),
        (GOOD + "decode,2,100,inf\n", "line 4: step_ms must be a positive number"),
        (GOOD + "decode,2,100,-1\n", "line 4: step_ms must be a positive number"),
        (GOOD + "decode,2,100\n", "line 4: step_ms must be a positive number"),
        (GOOD + "decode,2,100,1,5\n", "line 4: step_ms must be a positive number"),
        (
            GOOD + "decode,2,200,8\n",
            "decode rows must hold every tokens x context, found none for tokens 1, context 200",
        ),
    ],
)
def test_malformed_tables_are_one_sentence(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        MeasuredTable(path)
    assert message in str(caught.value)
    assert "bad.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_tables_are_one_sentence(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00kind")
    for path in (tmp_path, tmp_path / "missing.csv", tmp_path / "binary.csv"):
        with pytest.raises(InputError, match=r"step_time\.path must be a readable CSV"):
            MeasuredTable(path)


def test_one_context_and_one_batch_are_enough(tmp_path):
    path = tmp_path / "small.csv"
    path.write_text(GOOD)
    tables = MeasuredTable(path).cost(128, 1)
    assert step_ns(tables, StepShape(decode_seqs=1, context_tokens=5000, sampled=1)) == 7_000_000
    assert step_ns(tables, StepShape(64, 1, 64 * 65 // 2, sampled=1)) == 9_000_000
