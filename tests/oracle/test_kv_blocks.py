"""KV blocks of tiny models as the real engine counted them (golden/kv_blocks.json), and as sim.memory does."""

import json

import pytest

import sim.catalog as catalog
from sim.catalog.huggingface import from_config
from sim.catalog.types import Layout
from sim.memory import plan
from sim.scenario.engine import Engine
from tests.engine.kv_blocks import FILE, MODELS

RECORDED = json.loads(FILE.read_text())["models"]


@pytest.mark.parametrize("name", MODELS)
def test_as_the_real_engine(name: str) -> None:
    tiny = MODELS[name]
    found = plan(
        from_config(name, tiny.config, name, "test", "today"),
        catalog.gpu("h100-sxm-80gb"),
        Layout(),
        Engine(dtype=tiny.dtype, kv_cache_memory_bytes=tiny.kv_cache_memory_bytes),
        block_size=tiny.block_size,
        max_num_batched_tokens=2048,
        max_num_seqs=8,
        max_model_len=1024,
    )
    assert {"num_gpu_blocks": found.num_gpu_blocks, "block_size": found.block_size} == RECORDED[name]


def test_recorded_models() -> None:
    assert RECORDED.keys() == MODELS.keys()
    architectures = {tiny.config["architectures"][0] for tiny in MODELS.values()}
    assert architectures == {
        "LlamaForCausalLM",
        "DeepseekForCausalLM",
        "DeepseekV2ForCausalLM",
        "DeepseekV3ForCausalLM",
    }
