"""KV blocks, weights and overhead against vLLM's own log lines and published tables."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import sim.catalog as catalog
from sim.catalog.huggingface import from_config
from sim.catalog.parameters import parameters
from sim.catalog.types import Layout
from sim.defaults import engine_defaults
from sim.errors import InputError
from sim.kvbytes import kv_block_bytes
from sim.memory import plan
from sim.overhead import Overhead, estimate_overhead
from sim.scenario.engine import Engine
from sim.units import GIB, MIB
from sim.weights import stage_layers, weight_bytes
from tests.shared_data import DATA, needs_data

H100 = catalog.gpu("h100-sxm-80gb")
H200 = catalog.gpu("h200-sxm-141gb")
THREE_GIB = Overhead(activation_bytes=2 * GIB, graph_bytes=GIB, other_bytes=0, estimated=False)


def known(model_id):
    return catalog.model(model_id, Path("."))


def planned(model, gpu, layout=Layout(), overhead=None, **flags):  # noqa: B008  (frozen)
    engine = Engine(**flags)
    found = engine_defaults(gpu, model, engine)
    return plan(
        model,
        gpu,
        layout,
        engine,
        block_size=found.block_size,
        max_num_batched_tokens=found.max_num_batched_tokens,
        max_num_seqs=found.max_num_seqs,
        max_model_len=found.max_model_len,
        overhead=overhead,
    )


def tiny(**change):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 8,
        "hidden_size": 512,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "intermediate_size": 1024,
        "vocab_size": 10240,
        "max_position_embeddings": 2048,
    }
    return from_config("ds-llm-tiny", config | change, "tiny", "test", "today")


@pytest.mark.parametrize("block_size", [16, 32, 128])
def test_log_line_of_the_real_engine(block_size):
    # vLLM 0.32.0 on CPU, 8 layers, 2 KV heads x 64, --kv-cache-memory-bytes 1G: "CPU KV cache size: 262,144 tokens"
    found = planned(tiny(), H100, block_size=block_size, kv_cache_memory_bytes=2**30)
    assert found.kv_tokens == 262_144
    assert found.num_gpu_blocks == 262_144 // block_size
    half = planned(tiny(), H100, block_size=block_size, kv_cache_memory_bytes=2**30, dtype="float32")
    assert half.kv_tokens == 131_072


@pytest.mark.parametrize(
    ("memory_gib", "tp", "quantization", "kv_gib", "kv_tokens"),
    [
        (79.1, 2, None, 10.8, 29_800),
        (79.1, 4, None, 147, 406_000),
        (79.1, 8, None, 420, 1_160_000),
        (40.0, 4, None, 6.3, 17_000),
        (40.0, 8, None, 138, 381_000),
        (79.1, 1, "int4", 33, 92_000),
    ],
)
def test_kv_room_of_deepseek_67b(memory_gib, tp, quantization, kv_gib, kv_tokens):
    # arithmetic by hand: 0.9 of the visible memory, less 3 GiB a GPU and the weights; 380 KiB a token
    gpu = replace(H100, memory_bytes=int(memory_gib * GIB))
    found = planned(
        known("deepseek-llm-67b"),
        gpu,
        Layout(tp),
        THREE_GIB,
        gpu_memory_utilization=0.9,
        quantization=quantization,
    )
    assert found.kv_bytes * tp / GIB == pytest.approx(kv_gib, rel=0.03)
    assert found.kv_tokens == pytest.approx(kv_tokens, rel=0.05)


def test_weights_of_deepseek_67b():
    model = known("deepseek-llm-67b")
    assert weight_bytes(model, Layout(), Engine(), 0) / 1e9 == pytest.approx(134.85, rel=1e-4)
    assert weight_bytes(model, Layout(), Engine(quantization="int4"), 0) / 1e9 == pytest.approx(37.3, abs=0.05)
    assert weight_bytes(model, Layout(), Engine(dtype="float32"), 0) / 1e9 == pytest.approx(269.7, rel=1e-4)


SPEC_NAMES = {
    "DeepSeek-V2-Lite": "deepseek-v2-lite",
    "DeepSeek-V2 / V2.5": "deepseek-v2",
    "DeepSeek-V3": "deepseek-v3",
    "DeepSeek-R1 / R1-0528": "deepseek-r1",
    "DeepSeek-V3.1": "deepseek-v3.1",
    "DeepSeek-V3.2-Exp / V3.2": "deepseek-v3.2",
    "DeepSeek-V4-Flash": "deepseek-v4-flash",
    "DeepSeek-V4-Pro": "deepseek-v4-pro",
}


@needs_data
def test_kv_bytes_a_token_equal_the_specification_table():
    with (DATA / "specs" / "deepseek_models.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 17
    for row in rows:
        name = row["model"]
        model = known(SPEC_NAMES.get(name, "deepseek-" + name.lower() if name.startswith("R1") else name))
        found = kv_block_bytes(model, Layout(), "bfloat16", 1024, range(model.layers)) / 1024
        indexer = 8052 if model.id == "deepseek-v3.2" else 0  # the table notes it apart
        assert found == pytest.approx(int(row["kv_bytes_per_token_bf16"]) + indexer, abs=1.0), name


def test_packed_fp8_layout_of_mla():
    v32, v4 = known("deepseek-v3.2"), known("deepseek-v4-flash")
    assert kv_block_bytes(v32, Layout(8), "fp8_ds_mla", 64, range(61)) == 61 * 64 * (656 + 132)
    # 21 layers keep one of four tokens with an index entry, 20 one of 128, 2 none (config; 584 B rows)
    assert kv_block_bytes(v4, Layout(8), "fp8_ds_mla", 256, range(43)) == 21 * 64 * (584 + 132) + 20 * 2 * 584


def test_tensor_parallel_ranks_hold_the_model_once():
    model = known("llama-3.1-70b")
    norms = 2 * (80 * 2 * 8192 + 8192)
    whole = weight_bytes(model, Layout(), Engine(), 0)
    assert whole == 2 * parameters(model).total
    for tp in (2, 4, 8):
        assert tp * (weight_bytes(model, Layout(tp), Engine(), 0) - norms) + norms == whole


def test_kv_heads_are_replicated_beyond_their_number():
    model = known("llama-3.1-70b")  # 8 KV heads
    eight, sixteen = (kv_block_bytes(model, Layout(tp), "bfloat16", 16, range(80)) for tp in (8, 16))
    assert eight == sixteen == 16 * 80 * 2 * 128 * 2
    split = 2 * (8192 * 2 * 8 * 128) / 8 * 80  # bytes of K and V projections on a rank of TP8
    rest = (2 * (parameters(model).total - 80 * 2 * 8192 - 8192)) - 8 * split
    norms = 2 * (80 * 2 * 8192 + 8192)
    assert weight_bytes(model, Layout(16), Engine(), 0) == pytest.approx(rest / 16 + split + norms, rel=1e-6)


def test_pipeline_stages_hold_the_model_once():
    model = known("deepseek-v3")
    for stages in (2, 4, 8):
        layout = Layout(8, stages)
        assert [len(stage_layers(model, layout, s)) for s in range(stages)] == {
            2: [31, 30],
            4: [15, 15, 16, 15],
            8: [7, 7, 8, 8, 8, 8, 8, 7],
        }[stages]
        total = sum(weight_bytes(model, layout, Engine(), s) for s in range(stages))
        assert total == pytest.approx(weight_bytes(model, Layout(8), Engine(), 0), abs=stages)


def test_expert_parallelism_keeps_whole_experts():
    model = known("deepseek-v3")
    engine = Engine()
    assert weight_bytes(model, Layout(8, 1, True), engine, 0) == weight_bytes(model, Layout(8), engine, 0)
    # 256 experts on 7 ranks would leave one of them with 37; heads do not allow 7, so take 96 heads and 12 ranks
    odd = replace(model, heads=96, intermediate_size=18432)
    more = weight_bytes(odd, Layout(12, 1, True), engine, 0) - weight_bytes(odd, Layout(12), engine, 0)
    expert = 3 * 7168 * 2048 * (1 + 4 / 128**2) * 58
    assert more == pytest.approx((22 - 256 / 12) * expert, rel=1e-6)


def test_deepseek_v3_weights_follow_its_checkpoint():
    # 671 B in fp8 blocks, embedding, head, router and norms in 16 bits, kv_b_proj twice (absorbed, 16 bits)
    model = known("deepseek-v3")
    wide = 2 * 129280 * 7168 + 58 * 7168 * 256
    kv_b = 61 * 512 * 128 * 256
    expected = (671.03e9 - wide) * (1 + 4 / 128**2) + 2 * wide + 2 * kv_b
    assert weight_bytes(model, Layout(), Engine(), 0) == pytest.approx(expected, rel=1e-4)


def test_v4_flash_fits_two_gpus_as_measured():
    # a public vLLM start-up log on two GB10 shows 79 GiB a rank (specs/failures_and_startup.csv): ours is 2.1 % less
    assert weight_bytes(known("deepseek-v4-flash"), Layout(2), Engine(), 0) / GIB == pytest.approx(79, rel=0.025)


def test_llama_8b_start_up_log():
    # vLLM 0.31.0, one A100-80GB (79.25 GiB), defaults: 15.0 GiB loaded, 15.26 with the rest of what stays, 1.44 of
    # peak activation (CUDA graphs within), 56.21 GiB of KV, 460,496 tokens. The overhead's constants come from it.
    model, gpu = known("llama-3.1-8b"), catalog.gpu("a100-sxm-80gb")
    measured = Overhead(int(1.44 * GIB), 0, int(0.26 * GIB), estimated=False)
    assert weight_bytes(model, Layout(), Engine(), 0) / GIB == pytest.approx(15.0, abs=0.05)
    assert planned(model, gpu, overhead=measured).kv_tokens == pytest.approx(460_496, rel=0.001)
    assert planned(model, gpu).kv_tokens == pytest.approx(460_496, rel=0.002)


def test_qwen3_235b_start_up_log():
    # not used for the constants: Qwen3-235B-A22B-FP8, TP4 on H100, 0.9: 8.11 GiB, 178,880 tokens
    # (vllm-project/vllm#21348, 2025-07)
    config = {
        "architectures": ["Qwen3MoeForCausalLM"],
        "num_hidden_layers": 94,
        "hidden_size": 4096,
        "head_dim": 128,
        "num_attention_heads": 64,
        "num_key_value_heads": 4,
        "intermediate_size": 12288,
        "moe_intermediate_size": 1536,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    }
    model = from_config("qwen3-235b", config, "config", "test", "today")
    found = planned(model, H100, Layout(4), gpu_memory_utilization=0.9)
    assert found.kv_tokens / 178_880 - 1 == pytest.approx(-0.042, abs=0.01)


@needs_data
def test_overhead_estimate_on_h100():
    model = known("deepseek-llm-67b")
    found = estimate_overhead(model, Layout(4), Engine(), 8192, 1024)
    assert found.estimated
    assert found.total_bytes / GIB == pytest.approx(3.0, rel=0.02)  # the 3 GiB a GPU of the claims' table: -1 %
    misc = yaml.safe_load((DATA / "specs" / "aiconfigurator_systems" / "h100_sxm.yaml").read_text())["misc"]
    reserve = misc["other_mem"] + misc["nccl_mem"][4]  # 3.9 GiB, "for safer deployment"
    assert found.total_bytes / reserve - 1 == pytest.approx(-0.24, abs=0.02)
    eager = estimate_overhead(model, Layout(4), Engine(enforce_eager=True), 8192, 1024)
    assert eager.total_bytes == found.total_bytes - found.graph_bytes


def test_activation_grows_with_the_token_budget():
    model = known("deepseek-llm-67b")
    small, large = (estimate_overhead(model, Layout(2), Engine(), n, 256).activation_bytes for n in (8192, 32768))
    assert large == 4 * small  # the forward pass decides both
    # sampling decides with many seats: 16-bit logits and their float32 copy
    assert estimate_overhead(model, Layout(2), Engine(), 2048, 1024).activation_bytes == 1024 * 102400 * 6


def test_override_wins():
    assert planned(tiny(), H100, num_gpu_blocks_override=500).num_gpu_blocks == 500


def test_the_fewest_blocks_of_all_stages_count():
    model = known("deepseek-v3")
    found = planned(model, catalog.gpu("h200-sxm-141gb"), Layout(8, 2))
    by_stage = []
    for stage, layers in ((0, 31), (1, 30)):
        weights = weight_bytes(model, Layout(8, 2), Engine(), stage)
        kv = found.requested_bytes - weights - found.overhead.total_bytes
        by_stage.append(kv // (layers * 16 * 576 * 2))
    assert found.num_gpu_blocks == min(by_stage)


def test_one_longest_request_must_fit_beside_the_null_block():
    enough = 2048 // 16 + 1
    assert planned(tiny(), H100, num_gpu_blocks_override=enough).num_gpu_blocks == enough
    with pytest.raises(InputError, match="does not fit one request of max_model_len 2048"):
        planned(tiny(), H100, num_gpu_blocks_override=enough - 1)


def test_model_that_does_not_fit_names_the_smallest_layout():
    model = known("deepseek-llm-67b")
    with pytest.raises(InputError) as raised:
        planned(model, H100)
    message = str(raised.value)
    assert "125.6" in message  # GiB of weights
    assert "79.1 GiB x 0.92 = 72.8 GiB" in message
    assert message.endswith("the smallest usual layout that fits is tensor_parallel_size 2, pipeline_parallel_size 1")
    assert "\n" not in message
    assert planned(model, H100, Layout(2)).num_gpu_blocks > 0


def test_smallest_layout_goes_on_to_pipeline_stages():
    with pytest.raises(InputError, match="fits is tensor_parallel_size 8, pipeline_parallel_size 2"):
        planned(known("deepseek-r1"), H100, Layout(8))
    assert planned(known("deepseek-r1"), H100, Layout(8, 2)).num_gpu_blocks > 0


def test_no_layout_fits():
    with pytest.raises(InputError, match="no layout of up to 16 pipeline stages fits"):
        planned(known("deepseek-v4-pro"), replace(H100, memory_bytes=4 * GIB), Layout(8))


def test_kv_cache_larger_than_the_card():
    with pytest.raises(InputError, match=r"KV blocks asked for exceed 79\.1 GiB"):
        planned(known("llama-3.1-8b"), H100, kv_cache_memory_bytes=70 * GIB)


@pytest.mark.parametrize(
    ("model_id", "layout", "names"),
    [
        ("deepseek-r1-distill-qwen-1.5b", Layout(8), "12 attention heads"),
        ("deepseek-llm-67b", Layout(3), "64 attention heads"),
        ("deepseek-r1-distill-qwen-7b", Layout(7), "4 KV heads"),
        ("deepseek-llm-7b", Layout(1, 31), "30 layers"),
        ("deepseek-llm-7b", Layout(2, 1, True), "is dense"),
    ],
)
def test_impossible_layout(model_id, layout, names):
    with pytest.raises(InputError, match=names):
        planned(known(model_id), H100, layout)


def test_sentence_adds_up():
    found = planned(known("deepseek-llm-67b"), H100, Layout(4))
    left = found.requested_bytes - found.weight_bytes - found.overhead.total_bytes
    assert found.kv_bytes == left
    assert f"{left / GIB:.1f} GiB a GPU for KV" in found.sentence()
    assert "estimated" in found.sentence()
    assert (
        "kv_cache_memory_bytes gives 1.0 GiB a GPU for KV, "
        in planned(tiny(), H100, kv_cache_memory_bytes=GIB).sentence()
    )


def test_the_sentence_says_what_v4_does_not_deduct():
    """By hand: a window of 128 entries in 43 layers (584 B; the specs table has 5.4 MiB of it at bf16's 1,024 B), and
    float32 compressor states of 21 layers of ratio 4 and 20 of ratio 128."""
    assert pytest.approx(5.4, abs=0.05) == 43 * 128 * 1024 / MIB
    by_hand = 43 * 128 * 584 + 21 * 8 * 4 * (512 + 128) * 4 + 20 * 128 * 2 * 512 * 4
    said = planned(known("deepseek-v4-flash"), H200, Layout(8)).sentence()
    assert f"an upper bound: {by_hand / MIB:.1f} MiB of window and compressor state a sequence" in said
    assert "upper bound" not in planned(known("deepseek-v3"), H200, Layout(8)).sentence()
