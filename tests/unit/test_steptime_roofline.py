"""The roofline against arithmetic by hand, published figures, Monte-Carlo and an op database."""

import random
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest

from sim import catalog
from sim.catalog.types import Gpu, Layout
from sim.scenario.engine import Engine
from sim.steptime import cost as cost_module
from sim.steptime.cost import StepCost, device_fs, step_ns
from sim.steptime.layers import Experts
from sim.steptime.roofline import Roofline
from sim.steptime.shape import StepShape
from sim.steptime.work import StepWork, work

H100 = catalog.gpu("h100-sxm-80gb")
H200 = catalog.gpu("h200-sxm-141gb")


def model(name: str):
    return catalog.model(name, Path())


def cost(
    name: str, tp: int, gpu: Gpu = H100, *, seqs=1024, tokens=8192, kv=2.0, pp=1, ep=False, overlap=True, **engine
) -> StepCost:
    roofline = Roofline(
        model(name),
        gpu,
        Layout(tp, pp, ep),
        Engine(**engine),
        max_num_seqs=seqs,
        max_num_batched_tokens=tokens,
        async_scheduling=overlap,
        kv_bytes_per_element=kv,
    )
    return roofline.cost(tokens, seqs)


def work_of(name: str, tp: int, gpu: Gpu = H100, *, kv=2.0, tokens=8192, **engine) -> StepWork:
    return work(model(name), gpu, Layout(tp), Engine(**engine), kv_bytes_per_element=kv, max_tokens=tokens)


def decode(seqs: int, context: int) -> StepShape:
    return StepShape(decode_seqs=seqs, context_tokens=seqs * context, sampled=seqs)


def prefill(tokens: int, context: int = 0) -> StepShape:
    return StepShape(tokens, 1, tokens * context + tokens * (tokens + 1) // 2, sampled=1)


def ms(tables: StepCost, shape: StepShape) -> float:
    return step_ns(tables, shape) / 1e6


def test_weights_floor_of_67b_on_four_h100():
    # claims: 134.85 GB over 4 x 3.35 TB/s at 80 %: 12.6 ms; the embedding table (1.68 GB) is not streamed.
    floor = (134.85e9 - 102400 * 8192 * 2) / 4 / (0.8 * 3.35e12) * 1e3
    doubled = replace(H100, hbm_bytes_per_s=2 * H100.hbm_bytes_per_s)
    memory = 2 * (
        ms(cost("deepseek-llm-67b", 4), decode(1, 1)) - ms(cost("deepseek-llm-67b", 4, doubled), decode(1, 1))
    )
    assert memory == pytest.approx(floor, rel=0.01)
    assert floor == pytest.approx(12.6, rel=0.02)
    fixed_ms = 95 * (9 * 3 + 11 + 2 * 4.8) * 1e-3  # kernels, attention and all-reduces of a layer
    assert ms(cost("deepseek-llm-67b", 4), decode(1, 1)) == pytest.approx(floor + fixed_ms, rel=0.03)


def test_prefill_of_67b_on_four_h100_is_near_half_of_peak():
    # claims: 2,048 tokens take 140 ms at 50 % MFU, without communication hidden or apart.
    tables, counted = cost("deepseek-llm-67b", 4), work_of("deepseek-llm-67b", 4)
    took = ms(tables, prefill(2048))
    assert took == pytest.approx(140, rel=0.15)
    flops = counted.flops_per_token * 2048 + counted.flops_per_pair * 2048 * 2049 / 2 + counted.flops_per_sampled
    assert flops == pytest.approx(2048 * 2 * 66.6e9, rel=0.04)
    assert 0.42 < flops / (took / 1e3) / (4 * 989e12) < 0.55


@pytest.mark.parametrize(
    ("tp", "custom", "seqs", "expected"),
    [
        *((4, True, 32, 10.8), (4, True, 64, 13.8), (4, True, 128, 17.1), (4, True, 256, 16.0)),
        *((4, False, 32, 17.1), (4, False, 64, 19.1), (4, False, 128, 22.2), (4, False, 256, 22.3)),
        *((8, True, 32, 19.6), (8, True, 64, 22.1), (8, True, 128, 23.9), (8, True, 256, 25.5)),
    ],
)
def test_decode_communication_share(tp, custom, seqs, expected):
    # claims C5, by hand from other all-reduce measurements; percent of the step.
    tables = cost("deepseek-llm-67b", tp, disable_custom_all_reduce=not custom)
    share = 100 * tables.comm_decode_fs[seqs] / (ms(tables, decode(seqs, 1344)) * 1e12)
    assert share == pytest.approx(expected, abs=5)


@pytest.mark.parametrize(("tokens", "expected"), [(512, 29), (1024, 25), (2048, 22), (8192, 20)])
def test_prefill_communication_share_with_nccl(tokens, expected):
    tables = cost("deepseek-llm-67b", 4, disable_custom_all_reduce=True)
    share = 100 * tables.comm_mixed_fs[tokens] / (ms(tables, prefill(tokens)) * 1e12)
    assert share == pytest.approx(expected, abs=3)


@pytest.mark.parametrize(("routed", "k", "tokens"), [(256, 8, 1), (256, 8, 64), (64, 6, 20), (160, 6, 400)])
def test_experts_touched_matches_monte_carlo(routed, k, tokens):
    rng = np.random.default_rng(7)
    draws = [len(np.unique(rng.random((tokens, routed)).argpartition(k, axis=1)[:, :k].ravel())) for _ in range(400)]
    expected = Experts(1, routed, k, 1.0, "fp8").touched(np.array([float(tokens)]))[0]
    assert abs(np.mean(draws) - expected) <= 5 * np.std(draws) / 20 + 0.01


@pytest.mark.parametrize(
    ("name", "kv", "expected"),
    [
        ("deepseek-v3", 2.0, 70272),  # 61 x (512 + 64) x 2 bytes
        ("deepseek-v3", 1.0, 35136),
        ("deepseek-v2-lite", 2.0, 31104),
        ("deepseek-llm-67b", 2.0, 389120),  # 2 x 95 x 8 x 128 x 2
        ("deepseek-llm-7b", 2.0, 491520),
    ],
)
def test_kv_bytes_a_context_token(name, kv, expected):
    assert work_of(name, 1, kv=kv).bytes_per_context == expected


def test_tensor_parallelism_divides_kv_heads_but_not_latents():
    assert work_of("deepseek-llm-67b", 8).bytes_per_context == 389120
    assert work_of("deepseek-llm-67b", 16).bytes_per_context == 2 * 389120
    assert work_of("deepseek-v3", 8).bytes_per_context == 8 * 70272


def test_absorbed_mla_decode_flops():
    # heads x (2 kv_lora_rank + rope) x 2 a layer, and prefill with keys of 192 and values of 128 dimensions.
    counted = work_of("deepseek-v3", 8)
    assert counted.flops_per_context == 61 * 128 * (2 * 512 + 64) * 2
    assert counted.flops_per_pair == 61 * 128 * (192 + 128) * 2


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("deepseek-llm-67b", 67.42e9, 67.42e9),
        ("llama-3.1-70b", 70.55e9, 70.55e9),
        ("deepseek-moe-16b", 16.38e9, 2.83e9),
        ("deepseek-v2", 235.7e9, 21.4e9),
        ("deepseek-v3", 671.0e9, 37.6e9),
        ("qwen3-32b", 32.76e9, 32.76e9),
    ],
)
def test_matrices_add_up_to_the_published_parameters(name, total, active):
    # All experts are touched by very many tokens; the embedding table is looked up, not multiplied.
    dims = model(name)
    embedding = dims.vocab_size * dims.hidden_size
    counted = work_of(name, 1, tokens=20000, quantization="fp8")  # one byte a weight, logits two
    exact = counted.weight_bytes[-1] - 2 * embedding
    if dims.mla is not None:  # the absorbed factors stay in two bytes
        exact -= dims.layers * 512 * dims.heads * 256
    assert exact + 2 * embedding == pytest.approx(total, rel=0.005)
    assert counted.flops_per_token / 2 + 2 * embedding == pytest.approx(active, rel=0.01)


@pytest.mark.parametrize("name", ["deepseek-llm-67b", "deepseek-v3", "deepseek-v3.2", "deepseek-v4-flash"])
def test_more_work_never_takes_much_less_time(name):
    # Decode messages stay with one kernel family; larger ones get faster where vLLM hands over to NCCL.
    tables = cost(name, 8, H200)
    assert (np.diff(tables.decode_fs[:513]) >= -1e-9 * tables.decode_fs[512]).all()
    coarse = tables.mixed_fs[[1, 64, 512, 1024, 2048, 4096, 8192]]
    assert (np.diff(coarse) > 0).all()
    assert (np.diff(tables.sampled_fs) >= -1).all()
    assert (tables.comm_mixed_fs <= tables.mixed_fs).all()
    assert (tables.comm_decode_fs <= tables.decode_fs).all()
    times = [ms(tables, decode(64, context)) for context in (100, 1000, 2047, 2048, 2049, 8000, 100_000)]
    assert times == sorted(times)


def test_decode_only_steps_are_padded_to_captured_sizes():
    tables = cost("deepseek-llm-67b", 4)
    assert len(set(tables.decode_fs[9:17].tolist())) == 1
    assert tables.decode_fs[17] > tables.decode_fs[16]
    assert tables.decode_fs[512] != tables.decode_fs[513] != tables.decode_fs[514]


def test_without_graphs_a_small_step_waits_for_launches():
    small = "deepseek-r1-distill-qwen-1.5b"  # 28 layers, 3.1 GB: about 2 ms a step with graphs
    eager, graphed = cost(small, 1, enforce_eager=True), cost(small, 1)
    assert ms(graphed, decode(1, 100)) < 3.5
    assert ms(eager, decode(1, 100)) == pytest.approx(28 * 0.2, rel=0.1)
    # A large step keeps the GPU behind its launches either way.
    assert ms(eager, prefill(8192)) == pytest.approx(ms(graphed, prefill(8192)), rel=0.01)


def test_async_scheduling_hides_the_host():
    hidden, serial = cost("deepseek-llm-67b", 4), cost("deepseek-llm-67b", 4, overlap=False)
    host_ms = 1.5 + 0.010 * 64
    assert ms(serial, decode(64, 1000)) - ms(hidden, decode(64, 1000)) == pytest.approx(host_ms, abs=1e-5)
    tiny = decode(1, 1)
    assert ms(cost("deepseek-r1-distill-qwen-1.5b", 1, H200, overlap=True), tiny) >= 1.5


def test_four_bit_weights_speed_decode_but_not_prefill():
    bf16, int4 = cost("deepseek-llm-67b", 4), cost("deepseek-llm-67b", 4, quantization="int4")
    assert ms(int4, decode(1, 1)) < 0.5 * ms(bf16, decode(1, 1))
    assert ms(int4, prefill(8192)) == pytest.approx(ms(bf16, prefill(8192)), rel=0.01)
    assert (
        work_of("deepseek-llm-67b", 4, quantization="int4").flops_per_token
        == work_of("deepseek-llm-67b", 4).flops_per_token
    )


def test_fp8_weights_on_a_gpu_without_fp8_compute_in_bf16():
    a100 = catalog.gpu("a100-sxm-80gb")
    assert a100.fp8_flops is None
    bf16, fp8 = cost("deepseek-llm-67b", 8, a100), cost("deepseek-llm-67b", 8, a100, quantization="fp8")
    assert ms(fp8, prefill(8192)) == pytest.approx(ms(bf16, prefill(8192)), rel=0.01)
    assert ms(fp8, decode(1, 1)) < 0.7 * ms(bf16, decode(1, 1))
    hopper, hopper_fp8 = cost("deepseek-llm-67b", 8), cost("deepseek-llm-67b", 8, quantization="fp8")
    assert ms(hopper_fp8, prefill(8192)) < 0.85 * ms(hopper, prefill(8192))


def test_sparse_attention_stops_growing_at_its_selection():
    dense, sparse = cost("deepseek-v3", 8, H200), cost("deepseek-v3.2", 8, H200)
    assert sparse.knots.tolist() == [0, 2048]
    rise = [ms(tables, decode(64, 128_000)) - ms(tables, decode(64, 4096)) for tables in (dense, sparse)]
    # Beyond the selection only the indexer's keys are read: 132 of 1152 bytes.
    assert rise[1] / rise[0] == pytest.approx(132 / 1152, rel=0.05)
    below, at = ms(sparse, decode(64, 2047)), ms(sparse, decode(64, 2048))
    assert 0 <= at - below < 0.01


def test_v4_compresses_most_of_its_context():
    flash = work_of("deepseek-v4-flash", 1)
    ratios = model("deepseek-v4-flash").sparse.compress_ratios[:43]
    dense_entries = sum(1 / ratio for ratio in ratios if ratio == 128)
    index_bytes = 132 * sum(1 / ratio for ratio in ratios if ratio == 4)
    assert flash.bytes_per_context == pytest.approx(dense_entries * 512 * 2 + index_bytes)
    assert flash.bytes_per_context < 0.05 * work_of("deepseek-v3", 1).bytes_per_context
    assert flash.bytes_per_decode == pytest.approx((43 * 128 + 512 * ratios.count(4)) * 512 * 2)


def test_expert_parallel_ranks_wait_for_the_slowest():
    even, parallel = cost("deepseek-v3", 8, H200), cost("deepseek-v3", 8, H200, ep=True)
    assert ms(parallel, decode(1, 100)) > ms(even, decode(1, 100))
    assert ms(parallel, decode(1, 100)) < 8 * ms(even, decode(1, 100))


def test_pipeline_stages_run_one_after_another():
    one, two = cost("llama-3.1-8b", 1), cost("llama-3.1-8b", 1, pp=2)
    assert ms(two, decode(8, 500)) - ms(one, decode(8, 500)) == pytest.approx(0.010, abs=0.001)


def test_a_faster_gpu_is_faster():
    for name in ("deepseek-llm-67b", "deepseek-v3"):
        assert ms(cost(name, 8, H200), decode(64, 2000)) < ms(cost(name, 8), decode(64, 2000))
    b200 = catalog.gpu("b200-sxm-192gb")
    assert ms(cost("deepseek-v3", 8, b200), prefill(8192)) < ms(cost("deepseek-v3", 8), prefill(8192))


@pytest.mark.parametrize(("name", "gpu"), [("deepseek-v3.2", "h200-sxm-141gb"), ("deepseek-llm-7b", "l40s-48gb")])
def test_largest_steps_fit_int64(name, gpu):
    # Compiled int64 arithmetic against Python's unbounded integers: 1024 sequences of 1M context beside a chunk of
    # 16384 tokens at 1M context.
    tables = cost(name, 1, catalog.gpu(gpu), tokens=16384)
    exact = StepCost(*(x.astype(object) if isinstance(x, np.ndarray) else x for x in tables))
    compiled = numba.njit(device_fs)
    million = 1_000_000
    shape = StepShape(16384 - 1023, 1, 16384 * million, 1023, 1023 * million, 1024)
    assert compiled(tables, shape) == device_fs(exact, shape) > 0
    rng = random.Random(3)
    for _ in range(300):
        seqs, tokens = rng.randrange(0, 1000), rng.randrange(0, 8000)
        shape = StepShape(tokens, 1, rng.randrange(10**10), seqs, seqs * rng.randrange(1, million), rng.randrange(1024))
        assert compiled(tables, shape) == device_fs(tables, shape) == device_fs(exact, shape)


def test_step_ns_joins_host_and_device():
    tables = cost("deepseek-llm-67b", 4, overlap=False)
    shape = decode(3, 10)
    assert step_ns(tables, shape) == (device_fs(tables, shape) + int(tables.host_fs[3])) // cost_module.FS_PER_NS


@pytest.mark.parametrize("tp", [4, 8])
def test_agrees_with_the_op_database(tp):
    engine = pytest.importorskip("aiconfigurator_core.sdk.engine")
    handle = engine.EngineHandle.compile("meta-llama/Meta-Llama-3.1-70B", "h100_sxm", "vllm", tp_size=tp)
    tables = cost("llama-3.1-70b", tp, tokens=16384)
    for seqs, context in ((1, 512), (1, 2048), (16, 2048), (64, 512), (64, 2048), (256, 512), (256, 2048), (64, 8192)):
        expected = handle.decode_step_latency(seqs, context, 2)
        assert ms(tables, decode(seqs, context + 1)) == pytest.approx(expected, rel=0.15), (seqs, context)
    for tokens in (128, 512, 2048, 8192):
        assert ms(tables, prefill(tokens)) == pytest.approx(handle.predict_prefill_latency(1, tokens, 0), rel=0.15)
