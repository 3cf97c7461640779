"""Tiny models: read by the catalogue, and complete for a tokenizer."""

import json
from typing import get_args

import pytest

from harness.tiny import Kind, make_tiny
from sim import catalog
from sim.errors import InputError
from ui.cli import main

KINDS = get_args(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalogue_reads_it(kind, tmp_path):
    model = catalog.model(str(make_tiny(kind, tmp_path / kind).relative_to(tmp_path)), tmp_path)
    architecture, layers, latent, experts = {
        "llm": ("LlamaForCausalLM", 8, False, False),
        "moe": ("DeepseekForCausalLM", 6, False, True),
        "v2": ("DeepseekV2ForCausalLM", 4, True, True),
        "v3": ("DeepseekV3ForCausalLM", 4, True, True),
    }[kind]
    assert (model.architecture, model.layers) == (architecture, layers)
    assert (model.mla is not None, model.moe is not None) == (latent, experts)
    assert model.vocab_size >= 10_000
    assert model.native_dtype == "float32"


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_a_word(kind, tmp_path):
    make_tiny(kind, tmp_path)
    config, tokenizer = (json.loads((tmp_path / name).read_text()) for name in ("config.json", "tokenizer.json"))
    assert sorted(tokenizer["model"]["vocab"].values()) == list(range(config["vocab_size"]))
    local_class = (tmp_path / "configuration_deepseek.py").is_file()
    assert local_class == ("auto_map" in config) == (kind == "moe")


def test_made_again_it_is_the_same_and_another_model_is_not_overwritten(tmp_path):
    make_tiny("llm", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    make_tiny("llm", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(InputError, match="found another model's config"):
        make_tiny("v3", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_command_prints_the_path(tmp_path, capsys):
    assert main(["tiny-model", "v3", str(tmp_path / "v3")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'v3' / 'config.json'}\n"


def test_an_unknown_kind_is_one_sentence(tmp_path, capsys):
    assert main(["tiny-model", "v9", str(tmp_path / "v9")]) == 2
    assert "v9" in capsys.readouterr().err
    assert not (tmp_path / "v9").exists()


def test_a_place_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        make_tiny("llm", tmp_path / "file")
