"""The catalogue against published figures and the files it was taken from."""

import csv
import hashlib
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sim.catalog as catalog
from sim.catalog import store
from sim.catalog.huggingface import from_config
from sim.catalog.parameters import parameters
from sim.errors import InputError
from tests.shared_data import DATA, needs_data

HERE = Path(".")
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 8,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1024,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
}


def read(config: dict) -> catalog.Model:
    return from_config("m", config, "config.json", "test", "today")


@pytest.mark.parametrize(
    ("model_id", "billions", "tolerance"),
    [
        ("deepseek-llm-7b", 6.91, 1e-3),
        ("deepseek-llm-67b", 67.42, 1e-3),
        ("deepseek-moe-16b", 16.38, 1e-3),
        ("deepseek-v2-lite", 15.71, 1e-3),
        ("deepseek-v2", 235.7, 1e-3),
        ("deepseek-v3", 671.0, 1e-3),
        ("deepseek-r1", 671.0, 1e-3),
        ("deepseek-v3.1", 671.0, 1e-3),
        ("deepseek-v3.2", 671.0, 2e-3),  # the published figure leaves out the indexer, 0.85 B
        ("deepseek-v4-flash", 284.0, 2e-3),
        ("deepseek-v4-pro", 1600.0, 2e-2),  # published as 1.6 T; the config gives 1.573 T
        ("deepseek-r1-distill-qwen-1.5b", 1.78, 2e-3),
        ("deepseek-r1-distill-qwen-7b", 7.62, 1e-3),
        ("deepseek-r1-distill-llama-8b", 8.03, 1e-3),
        ("deepseek-r1-distill-qwen-14b", 14.77, 1e-3),
        ("deepseek-r1-distill-qwen-32b", 32.76, 1e-3),
        ("deepseek-r1-distill-llama-70b", 70.55, 1e-3),
        ("llama-3.1-8b", 8.03, 1e-3),
        ("llama-3.1-70b", 70.55, 1e-3),
        ("qwen3-32b", 32.76, 1e-3),
    ],
)
def test_total_parameters_agree_with_published(model_id, billions, tolerance):
    assert parameters(catalog.model(model_id, HERE)).total / 1e9 == pytest.approx(billions, rel=tolerance)


@pytest.mark.parametrize(
    ("model_id", "billions", "tolerance"),
    [
        ("deepseek-moe-16b", 2.83, 2e-3),
        ("deepseek-v2-lite", 2.66, 2e-3),
        ("deepseek-v2", 21.38, 1e-3),
        ("deepseek-v3", 37.55, 1e-3),
        ("deepseek-v4-flash", 13.0, 6e-2),
        ("deepseek-v4-pro", 49.0, 2e-2),
        ("llama-3.1-8b", 8.03, 1e-3),
    ],
)
def test_active_parameters_agree_with_published(model_id, billions, tolerance):
    assert parameters(catalog.model(model_id, HERE)).active / 1e9 == pytest.approx(billions, rel=tolerance)


def test_other_families_agree_with_published():
    mixtral = LLAMA | {
        "architectures": ["MixtralForCausalLM"],
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    }
    counted = parameters(read(mixtral))
    assert counted.total / 1e9 == pytest.approx(46.7, rel=1e-3)
    assert counted.active / 1e9 == pytest.approx(12.9, rel=2e-3)
    qwen3_30b = LLAMA | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "num_hidden_layers": 48,
        "hidden_size": 2048,
        "head_dim": 128,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "vocab_size": 151936,
        "num_experts": 128,
        "num_experts_per_tok": 8,
    }
    counted = parameters(read(qwen3_30b))
    assert counted.total / 1e9 == pytest.approx(30.5, rel=2e-3)
    assert counted.active / 1e9 == pytest.approx(3.3, rel=2e-2)


@needs_data
@pytest.mark.parametrize(
    ("model_id", "file"),
    [
        ("deepseek-r1", "deepseek-ai--DeepSeek-R1"),
        ("deepseek-v3", "deepseek-ai--DeepSeek-V3"),
        ("deepseek-v3.2", "deepseek-ai--DeepSeek-V3.2"),
        ("deepseek-v2-lite", "deepseek-ai--DeepSeek-V2-Lite"),
        ("deepseek-v4-flash", "deepseek-ai--DeepSeek-V4-Flash"),
        ("deepseek-v4-pro", "deepseek-ai--DeepSeek-V4-Pro"),
        ("llama-3.1-8b", "meta-llama--Meta-Llama-3.1-8B"),
        ("deepseek-r1-distill-llama-70b", "meta-llama--Meta-Llama-3.1-70B"),
    ],
)
def test_catalogue_equals_the_checkpoint_config(model_id, file):
    known = catalog.model(model_id, HERE)
    path = DATA / "specs" / "model_configs" / f"{file}_config.json"
    found = catalog.model(path.name, path.parent)
    about = {name: getattr(known, name) for name in ("id", "source", "date", "parameters", "active_parameters")}
    assert replace(found, **about) == known


@needs_data
def test_deepseek_v2_equals_the_reference_config():
    path = DATA / "specs" / "model_configs" / "deepseek-ai--inference_config_236B.json"
    theirs, ours = json.loads(path.read_text()), catalog.model("deepseek-v2", HERE)
    assert (ours.vocab_size, ours.hidden_size, ours.layers, ours.heads) == tuple(
        theirs[k] for k in ("vocab_size", "dim", "n_layers", "n_heads")
    )
    assert (ours.moe.routed_experts, ours.moe.shared_experts, ours.moe.experts_per_token) == (160, 2, 6)
    assert (ours.mla.q_lora_rank, ours.mla.kv_lora_rank) == (theirs["q_lora_rank"], theirs["kv_lora_rank"])


@needs_data
@pytest.mark.parametrize("file", sorted((DATA / "specs" / "model_configs").glob("*_config.json"), key=str))
def test_every_checkpoint_config_can_be_read(file):
    assert parameters(catalog.model(file.name, file.parent)).total > 1e9


SPEC_NAMES = {
    "a100-sxm-40gb": "A100-40GB SXM",
    "a100-sxm-80gb": "A100-80GB SXM",
    "h100-sxm-80gb": "H100 SXM5",
    "h100-pcie-80gb": "H100 PCIe",
    "h200-sxm-141gb": "H200 SXM",
    "h20-96gb": "H20",
    "h800-sxm-80gb": "H800 SXM",
    "b200-sxm-192gb": "B200 SXM",
    "gb200": "GB200 (per GPU)",
    "l40s-48gb": "L40S",
    "mi300x-192gb": "MI300X",
}
GPUS = [one for one in catalog.gpu_ids() if not one.startswith("cpu-")]


@needs_data
@pytest.mark.parametrize("gpu_id", GPUS)
def test_gpus_equal_the_specification_table(gpu_id):
    with (DATA / "specs" / "gpu_specs.csv").open() as file:
        row = next(r for r in csv.DictReader(file) if r["gpu"] == SPEC_NAMES[gpu_id])
    gpu = catalog.gpu(gpu_id)
    assert gpu.hbm_bytes_per_s == pytest.approx(float(row["hbm_bw_TBps"]) * 1e12)
    assert gpu.bf16_flops == pytest.approx(float(row["bf16_dense_TFLOPS"]) * 1e12)
    assert (gpu.fp8_flops or 0) == pytest.approx(float(row["fp8_dense_TFLOPS"] or 0) * 1e12)
    assert (gpu.fp4_flops or 0) == pytest.approx(float(row["fp4_dense_TFLOPS"] or 0) * 1e12)
    assert gpu.nvlink_bytes_per_s == pytest.approx(float(row["nvlink_bidir_GBps"]) * 1e9 / 2)
    assert gpu.nic_bytes_per_s == pytest.approx(float(row["nic_per_gpu_GBps"]) * 1e9)
    assert gpu.tdp_w == float(row["tdp_w"])
    assert gpu.gpus_per_node == int(row["node_gpus"])
    # the driver shows a little less than what is advertised, in GB or in GiB
    assert 0.92 * float(row["hbm_gb"]) * 1e9 < gpu.memory_bytes < float(row["hbm_gb"]) * 2**30


@needs_data
@pytest.mark.parametrize("gpu_id", catalog.gpu_ids())
def test_prices_equal_the_rows(gpu_id):
    cards = {"a100-sxm-40gb": "A100-40GB", "a100-sxm-80gb": "A100-80GB", "h100-sxm-80gb": "H100"}
    cards |= {"h200-sxm-141gb": "H200", "b200-sxm-192gb": "B200", "l40s-48gb": "L40S"}
    with (DATA / "prices" / "gpu_prices.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["gpu"] == cards.get(gpu_id) and r["instance"][:2] != "NC"]
    listed = {r["region"]: float(r["price_per_gpu_h"]) for r in rows if r["price_per_gpu_h"]}

    def quoted(row: dict[str, str]) -> bool:
        discount = 1 - float(row["spot_per_gpu_h"]) / listed.get(row["region"], float("inf"))
        return discount > 0.001 and abs(discount - 0.9) > 0.001

    on_demand = [float(r["price_per_gpu_h"]) for r in rows if r["price_per_gpu_h"]]
    spot = [float(r["spot_per_gpu_h"]) for r in rows if r["spot_per_gpu_h"] and quoted(r)]
    for market, values in (("on_demand", on_demand), ("spot", spot), ("reserved", [])):
        price = catalog.price(gpu_id, market)
        if not values:
            assert price is None
        else:
            expected = (statistics.median(values), min(values), max(values))
            assert (price.usd_per_gpu_hour, price.low, price.high) == pytest.approx(expected)


def test_every_entry_has_source_and_date():
    entries = [entry for name in store.FILES if name != "prices.yaml" for entry in store.entries(name).values()]
    entries += [price for markets in store.entries("prices.yaml").values() for price in markets.values()]
    assert len(entries) > 45
    for entry in entries:
        assert len(entry["source"]) > 5
        assert str(entry["date"]).startswith("2026-")


def test_hash_covers_every_file():
    folder = Path(catalog.__file__).parent
    joined = b"".join(path.read_bytes() for path in sorted(folder.glob("*.yaml")))
    assert catalog.catalogue_sha256() == hashlib.sha256(joined).hexdigest()


def test_import_reads_nothing():
    code = "import sys, sim.catalog; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("ask", "meant"),
    [
        (lambda: catalog.gpu("h100-sxm"), "did you mean 'h100-sxm-80gb'"),
        (lambda: catalog.gpu("H200-SXM-141GB"), "did you mean 'h200-sxm-141gb'"),
        (lambda: catalog.model("deepseek-lm-67b", HERE), "did you mean 'deepseek-llm-67b'"),
        (lambda: catalog.model("zzz", HERE), "unknown model 'zzz'; known: deepseek-llm-7b, "),
    ],
)
def test_unknown_id_suggests(ask, meant):
    with pytest.raises(InputError, match="unknown") as raised:
        ask()
    assert meant in str(raised.value)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"hidden_size": "512"}, "hidden_size"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"vocab_size": True}, "vocab_size"),
        ({"vocab_size": 1.5}, "vocab_size"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"num_key_value_heads": 16}, "num_key_value_heads"),
        ({"architectures": None}, "architectures"),
        ({"architectures": ["GPT2LMHeadModel"]}, "architectures"),
        ({"architectures": "LlamaForCausalLM"}, "architectures"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings"),
        ({"torch_dtype": "int8"}, "torch_dtype"),
        ({"quantization_config": "fp8"}, "quantization_config"),
        ({"quantization_config": {"quant_method": "magic"}}, "quant_method"),
        ({"quantization_config": {"quant_method": ["fp8"]}}, "quant_method"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 8}}, "bits"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32}}, "group_size"),
        ({"rope_scaling": {"rope_type": "linear", "factor": "4"}}, "factor"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": float("nan")}}, "factor"),
        ({"expert_dtype": "int3"}, "expert_dtype"),
        ({"architectures": ["DeepseekV3ForCausalLM"]}, "kv_lora_rank"),
        ({"architectures": ["DeepseekForCausalLM"], "moe_layer_freq": 2}, "moe_layer_freq"),
        (
            {"architectures": ["MixtralForCausalLM"], "num_local_experts": 4, "num_experts_per_tok": 5},
            "num_experts_per",
        ),
    ],
)
def test_wrong_config_is_one_sentence(tmp_path, change, key):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | change))
    with pytest.raises(InputError) as raised:
        catalog.model("config.json", tmp_path)
    message = str(raised.value)
    assert message.startswith(str(tmp_path / "config.json"))
    assert key in message
    assert "\n" not in message


@pytest.mark.parametrize("content", ["", "[1]", "{", "null", "[" * 100_000, "\x00"])
def test_a_file_that_is_no_config(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json: expected"):
        catalog.model("config.json", tmp_path)


def test_a_missing_file_and_a_directory(tmp_path):
    (tmp_path / "dir.json").mkdir()
    for name in ("missing.json", "dir.json"):
        with pytest.raises(InputError, match=f"{name}: cannot read"):
            catalog.model(name, tmp_path)


@pytest.mark.parametrize(
    ("quantization", "dtype"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "fp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "compressed-tensors", "config_groups": {"0": {"num_bits": 4, "type": "int"}}}, "int4"),
        ({"quant_method": "compressed-tensors", "config_groups": {"0": {"num_bits": 8, "type": "float"}}}, "fp8"),
    ],
)
def test_quantisation_is_read(quantization, dtype):
    assert read(LLAMA | {"quantization_config": quantization}).native_dtype == dtype


def test_modelopt_file_beside_the_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    excluded = {"quant_algo": "NVFP4", "exclude_modules": ["lm_head", "model.layers.0.self_attn.q_proj"]}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": excluded}))
    found = catalog.model("config.json", tmp_path)
    assert (found.native_dtype, found.expert_dtype) == ("bfloat16", "fp4")


@pytest.mark.parametrize(
    ("scaling", "length"),
    [
        (None, 4096),
        ({"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}, 4096),
        ({"rope_type": "linear", "factor": 2.0}, 8192),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 4096),
    ],
)
def test_context_is_extended_as_vllm_does(scaling, length):
    for key in ("rope_scaling", "rope_parameters"):
        assert read(LLAMA | {key: scaling}).max_model_len == length
