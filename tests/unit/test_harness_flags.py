"""A scenario's engine as flags of `vllm serve`."""

import re

import pytest

from harness.flags import HUGGING_FACE, NOT_VLLM, serve_flags
from sim import catalog
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.scenario.load import load
from sim.shipped import find_scenario
from tests.shared_data import DATA, needs_data
from tests.unit.harness_cases import SCENARIO


@pytest.fixture
def flags(tmp_path):
    def of(*sets):
        without = "\n".join(line for line in SCENARIO.splitlines() if not line.startswith("engine:"))
        (tmp_path / "tiny.yaml").write_text(without)
        return serve_flags(load(tmp_path / "tiny.yaml", sets).scenario, tmp_path)

    return of


def test_what_is_not_stated_is_left_to_vllm(flags, tmp_path):
    model = ["--model", str(tmp_path / "model"), "--tensor-parallel-size", "1"]
    assert flags() == model
    assert flags("engine={enforce_eager: true, enable_prefix_caching: true, watermark: 0.0}") == [
        *model, "--enable-prefix-caching", "--watermark", "0.0", "--enforce-eager",
    ]  # fmt: skip


def test_switches_say_no_where_the_scenario_does(flags):
    assert flags("engine={enable_prefix_caching: false, enforce_eager: false}")[4:] == [
        "--no-enable-prefix-caching",
        "--no-enforce-eager",
    ]


def test_a_pool_overrides_the_engine_and_brings_its_parallelism(flags):
    found = flags(
        "model=deepseek-v2-lite",
        "engine={max_num_seqs: 8, block_size: 32}",
        "fleet.0.engine={max_num_seqs: 16, kv_cache_dtype: fp8}",
        "fleet.0.tensor_parallel_size=4",
        "fleet.0.pipeline_parallel_size=2",
    )
    assert found == [
        *("--model", "deepseek-ai/DeepSeek-V2-Lite", "--tensor-parallel-size", "4", "--pipeline-parallel-size", "2"),
        *("--kv-cache-dtype", "fp8", "--max-num-seqs", "16", "--block-size", "32"),
    ]


def test_a_pools_own_model_is_served(flags):
    assert flags("fleet.0.model=deepseek-llm-7b")[1] == "deepseek-ai/deepseek-llm-7b-base"


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["fleet.0.replicas=3"], "fleet: found 3 replicas, expected one"),
        (["model=deepseek-v4-pro"], "model: found deepseek-v4-pro, expected the path of a config.json"),
        (["model=other.json"], "model: found other.json, expected the path of a config.json in a folder"),
        (["engine.quantization=int4"], "engine.quantization: found int4, expected fp8"),
    ],
)
def test_what_one_server_cannot_be_is_one_sentence(flags, sets, sentence):
    with pytest.raises(InputError, match=sentence):
        flags(*sets)


def test_named_models_are_those_of_the_catalogue():
    assert set(HUGGING_FACE) <= set(catalog.model_ids())


@needs_data
def test_vllm_has_every_flag_that_a_scenario_can_state(flags):
    """Against the recorded `vllm serve --help=all` of 0.32."""
    known = set(re.findall(r"--[a-z0-9-]+", (DATA / "vllm" / "serve_help_all.txt").read_text()))
    stated = {
        "dtype": "float32",
        "quantization": "fp8",
        "kv_cache_dtype": "fp8",
        "max_model_len": 64,
        "max_num_batched_tokens": 64,
        "max_num_seqs": 64,
        "max_num_queued_reqs": 64,
        "gpu_memory_utilization": 0.5,
        "kv_cache_memory_bytes": 1 << 30,
        "num_gpu_blocks_override": 64,
        "block_size": 64,
        "enable_prefix_caching": False,
        "enable_chunked_prefill": False,
        "long_prefill_token_threshold": 64,
        "scheduling_policy": "priority",
        "scheduler_reserve_full_isl": False,
        "watermark": 0.5,
        "async_scheduling": False,
        "enforce_eager": False,
        "disable_custom_all_reduce": False,
        "enable_expert_parallel": False,
    }
    assert set(stated) == set(Engine.model_fields) - set(NOT_VLLM)
    for key, value in stated.items():
        (flag,) = [one for one in flags(f"engine={{{key}: {str(value).lower()}}}")[4:] if one.startswith("--")]
        assert flag in known, key


def test_a_server_has_no_index_service(flags):
    with pytest.raises(InputError, match=r"engine\.kv_index"):
        flags("engine.kv_index={hit: 0.5, gb_per_s: 10}")


@pytest.mark.parametrize("flag", ["--max-num-seqs=1", "--no-async-scheduling", "--model=x", "dummy"])
def test_an_extra_flag_may_not_say_what_the_scenario_says(flag):
    loaded = load(find_scenario("quickstart"), ["fleet.0.replicas=1"])
    with pytest.raises(InputError, match="serve-flag"):
        serve_flags(loaded.scenario, loaded.base_dir, [flag])
    assert serve_flags(loaded.scenario, loaded.base_dir, ["--load-format=dummy"])[-1] == "--load-format=dummy"
