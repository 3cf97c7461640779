"""What a profile measures, in which order, and what it leaves on disk; without vLLM."""

import csv
import importlib.util
import json
from dataclasses import replace

import pytest

from calibrate import profiles
from harness.profile_engine import Step
from harness.profile_files import ABOUT, COLUMNS, CONFIG, JOURNAL, STEPS, Journal
from harness.profile_grid import Ladder, Limits, Prefill, grid
from sim.errors import InputError
from sim.steptime.shape import StepShape
from tests.unit.measured import ENGINE, TINY
from ui.cli import BAD_INPUT, main

CPU = Limits(budget=2048, seqs=64, model_len=2048, blocks=4095, block_size=32)
H100 = Limits(budget=8192, seqs=1024, model_len=4096, blocks=6800, block_size=16, graphs=(1, 2, 4, 8, 16, 512))
TIGHT = replace(CPU, blocks=100)
UNCHUNKED = replace(CPU, chunked=False)
SHORT = replace(CPU, budget=256, seqs=8, model_len=512)
THRESHOLD = replace(CPU, threshold=100)
ENGINES = [CPU, H100, TIGHT, UNCHUNKED, SHORT, THRESHOLD]
SCENARIO = """
schema_version: 1
name: tiny
model: config.json
engine: {dtype: float32, enforce_eager: true, block_size: 32}
fleet: [{pool: a, gpu: cpu-x86-2core}]
workload:
  kind: synthetic
  num_prompts: 1
  arrivals: {kind: poisson, request_rate: 1}
  lengths: {kind: separate, input: {kind: fixed, tokens: 10}, output: {kind: fixed, tokens: 10}}
"""


def ladders(limits):
    return [visit for visit in grid(limits).visits if isinstance(visit, Ladder)]


def prefills(limits):
    return [visit for visit in grid(limits).visits if isinstance(visit, Prefill)]


def blocks(tokens, limits):
    return -(-tokens // limits.block_size)


@pytest.mark.parametrize("limits", ENGINES)
def test_no_visit_asks_for_more_than_the_engine_holds(limits):
    for visit in prefills(limits):
        assert visit.seqs <= limits.seqs
        assert visit.seqs * visit.tokens <= limits.budget
        assert visit.context + visit.tokens < limits.model_len
        assert visit.seqs * blocks(visit.context + visit.tokens + 1, limits) <= limits.blocks
    for visit in ladders(limits):
        most = visit.levels[0]
        assert most <= limits.seqs
        assert visit.context + sum(2 + len(visit.beside(n, limits)) for n in visit.levels) < limits.model_len
        for level in visit.levels:
            beside = visit.beside(level, limits)
            assert all(level + tokens <= limits.budget for tokens in beside)
            assert level < limits.seqs or not beside
            assert level * blocks(visit.context + 1, limits) + blocks(max(beside, default=0), limits) <= limits.blocks


@pytest.mark.parametrize("limits", ENGINES)
def test_the_first_tier_alone_covers_every_kind_of_step(limits):
    first = [visit for visit in grid(limits).visits if visit.tier == 0]
    alone = [visit for visit in first if isinstance(visit, Prefill)]
    decode = [visit for visit in first if isinstance(visit, Ladder)]
    assert len(alone) >= 3
    assert {level for visit in decode for level in visit.levels} >= {1, 2, 4, 8}
    assert len({visit.context for visit in decode}) >= 3
    assert any(visit.beside(level, limits) for visit in decode for level in visit.levels)
    assert any(visit.context for visit in alone) == (limits.chunked and not limits.threshold)


def test_more_kv_cache_allows_more_steps_and_leaves_fewer_out():
    tight, roomy = grid(TIGHT), grid(CPU)
    assert sum(len(v.levels) for v in ladders(TIGHT)) < sum(len(v.levels) for v in ladders(CPU))
    assert sum(tight.left_out.values()) > sum(roomy.left_out.values())
    assert "decode: more than the KV cache or max_model_len holds" in tight.left_out
    assert "decode: more than the KV cache or max_model_len holds" not in roomy.left_out


def test_visits_have_names_of_their_own():
    for limits in ENGINES:
        names = [visit.name for visit in grid(limits).visits]
        assert len(names) == len(set(names))


def test_the_shape_of_a_continued_prompt_counts_the_pairs_with_what_was_computed():
    new, old = 3, 5
    pairs = sum(old + position for position in range(1, new + 1))
    assert Prefill(0, 1, new, old).shape == StepShape(3, 1, pairs, 0, 0, 1)
    assert Prefill(0, 2, new).shape == StepShape(6, 2, 2 * 6, 0, 0, 2)


def step(decodes, wall_ms):
    return Step(StepShape(0, 0, 0, decodes, 10 * decodes, decodes), wall_ms, wall_ms / 2)


ABOUT_IT = {"model": CONFIG, "gpu": "cpu-x86-2core", "vllm_version": "0.32.0", "engine": ENGINE}


def test_what_is_written_is_what_calibrate_reads(tmp_path):
    out = tmp_path / "profile"
    journal = Journal(out, {"flags": []})
    journal.put(CONFIG, json.dumps(TINY))
    for repeat, wall_ms in enumerate((4.0, 2.0, 3.0)):
        journal.add("a", repeat, [step(1, wall_ms), step(2, 10 * wall_ms)])
    assert journal.write(ABOUT_IT) == 6
    journal.close()
    with (out / STEPS).open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    points = json.loads((out / ABOUT).read_text())["points"]
    assert [(one["decode_seqs"], one["n"], one["median_ms"], one["iqr_ms"]) for one in points] == [
        (1, 3, 3.0, 1.0),
        (2, 3, 30.0, 10.0),
    ]
    read = profiles.read(out)
    assert read.shapes == (step(1, 0).shape, step(2, 0).shape)
    assert list(read.wall_ms) == [3.0, 30.0]
    assert list(read.model_ms) == [1.5, 15.0]


def test_a_journal_cut_anywhere_keeps_every_whole_visit(tmp_path):
    whole = Journal(tmp_path / "whole", {"flags": ["--x"]})
    for repeat in range(3):
        whole.add("a", repeat, [step(repeat + 1, 1.0)])
    whole.close()
    text = (tmp_path / "whole" / JOURNAL).read_bytes()
    ends = [number + 1 for number, byte in enumerate(text) if byte == ord("\n")]
    for cut in range(ends[0], len(text) + 1):
        out = tmp_path / str(cut)
        out.mkdir()
        (out / JOURNAL).write_bytes(text[:cut])
        again = Journal(out, {"flags": ["--x"]})
        kept = [repeat for repeat in range(3) if again.done("a", repeat)]
        assert len(kept) in (sum(end <= cut for end in ends) - 1, sum(end - 1 <= cut for end in ends) - 1)
        assert kept == list(range(len(kept)))
        for repeat in range(3):
            if not again.done("a", repeat):
                again.add("a", repeat, [step(repeat + 1, 1.0)])
        assert again.write(ABOUT_IT) == 3
        again.close()
        assert (out / JOURNAL).read_bytes() == text


def test_a_folder_of_something_else_is_refused(tmp_path):
    Journal(tmp_path / "mine", {"flags": ["--x"]}).close()
    with pytest.raises(InputError, match="another flags"):
        Journal(tmp_path / "mine", {"flags": ["--y"]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("")
    with pytest.raises(InputError, match="other files"):
        Journal(tmp_path / "other", {"flags": []})


@pytest.fixture
def scenario(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    (tmp_path / "tiny.yaml").write_text(SCENARIO)
    return str(tmp_path / "tiny.yaml")


def test_a_dry_run_shows_the_flags_and_starts_nothing(scenario, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["profile", scenario, "--dry-run", "--out", str(out), "--serve-flag=--load-format=dummy"]) == 0
    shown = capsys.readouterr().out
    for flag in ("--dtype float32", "--block-size 32", "--enforce-eager", "--load-format=dummy", str(out)):
        assert flag in shown
    assert not out.exists()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_one_sentence_says_how_to_get_it(scenario, tmp_path, capsys):
    assert main(["profile", scenario, "--out", str(tmp_path / "out"), "--quiet"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install vllm" in said
    assert not (tmp_path / "out").exists()
