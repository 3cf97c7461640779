"""Attention and linear layers on different devices, and other inputs of the roofline, against arithmetic by hand."""

from pathlib import Path

import pytest

from sim import catalog
from sim.deployment import deploy
from sim.errors import InputError
from sim.scenario.scenario import Scenario
from sim.steptime.cost import StepCost, step_ns
from sim.steptime.shape import StepShape

H, LAYERS, HEADS, KV_HEADS, HEAD = 8192, 95, 64, 8, 128  # DeepSeek-LLM-67B
LINEAR = LAYERS * (H * (HEADS + 2 * KV_HEADS) * HEAD + H * H + 3 * H * 22016)
KV_TOKEN = 2 * LAYERS * KV_HEADS * HEAD * 2
ONE = StepShape(decode_seqs=1, context_tokens=1, sampled=1)


def deployed(step_time: dict, tp: int = 4, model: str = "deepseek-llm-67b", **engine: object):
    return deploy(
        Scenario.model_validate(
            {
                "schema_version": 1,
                "name": "split",
                "model": model,
                "workload": {
                    "kind": "synthetic",
                    "num_prompts": 1,
                    "arrivals": {"kind": "poisson", "request_rate": 1.0},
                    "lengths": {"kind": "separate"}
                    | {side: {"kind": "fixed", "tokens": 9} for side in ("input", "output")},
                },
                "engine": engine,
                "fleet": [{"pool": "a", "gpu": "h100-sxm-80gb", "tensor_parallel_size": tp}],
                "step_time": step_time,
            }
        ),
        Path(),
    )[0]


def cost(step_time: dict, **others) -> StepCost:
    return deployed(step_time, **others).cost


def split(part: str, device: str, count: int = 1, link: str = "nvlink_c2c", **more) -> dict:
    return {"kind": "split", "offloaded": part, "device": device, "count": count, "link": link, **more}


def ms(tables: StepCost, shape: StepShape = ONE) -> float:
    return step_ns(tables, shape) / 1e6


def prefill(tokens: int) -> StepShape:
    return StepShape(tokens, 1, tokens * (tokens + 1) // 2, sampled=1)


@pytest.mark.parametrize(
    ("device", "gb_per_s", "claimed_ms"), [("cpu-ddr5-600", 600, 225), ("cpu-ddr5-300", 300, 450), ("nvme-8", 56, 2408)]
)
def test_decode_streams_the_linear_layers_from_the_device(device, gb_per_s, claimed_ms):
    found = ms(cost(split("linear", device)))
    # Claims: all 134.85 GB, of which embedding and logits stay on the GPUs; there attention takes some 3 ms.
    assert found == pytest.approx(claimed_ms, rel=0.03)
    twice = ms(cost(split("linear", device, count=2)))
    assert found - twice == pytest.approx(2 * LINEAR / (gb_per_s * 1e9) * 1e3 / 2, abs=0.01)


def test_the_article_turns_12_6_ms_into_at_least_seventeen_times_that():
    together = 1e3 * 134.85e9 / 4 / (0.8 * 3.35e12)
    assert together == pytest.approx(12.6, abs=0.05)
    apart = ms(cost(split("linear", "cpu-ddr5-600", hop_us=0)))
    assert apart / together > 17


def test_prefill_on_a_cpu_is_bound_by_its_flops():
    # Claims: 8,192 tokens in some 18 s at 60 TFLOPS.
    bound = 2 * LINEAR * 8192 / 60e12 * 1e3
    assert bound == pytest.approx(18e3, rel=0.01)
    found = ms(cost(split("linear", "cpu-ddr5-600", hop_us=0)), prefill(8192))
    activations = 8192 * LAYERS * 2 * (HEADS + KV_HEADS) * HEAD * 2 / 450e9 * 1e3
    attention = LAYERS * 4 * HEADS * HEAD * 8192**2 / 2 / 4 / (0.6 * 989e12) * 1e3
    assert found == pytest.approx(bound + activations + attention, rel=0.01)


@pytest.mark.parametrize("hop_us", [100, 200])
@pytest.mark.parametrize("part", ["linear", "attention"])
def test_190_hops_a_step(part, hop_us):
    with_hops = cost(split(part, "memory-node", 4, link="rpc", hop_us=hop_us))
    without = cost(split(part, "memory-node", 4, link="rpc", hop_us=0))
    for shape in (ONE, prefill(512)):
        assert ms(with_hops, shape) - ms(without, shape) == pytest.approx(190 * hop_us / 1e3, abs=1e-5)
    assert with_hops.comm_decode_fs[1] - without.comm_decode_fs[1] == 190 * hop_us * 10**9


def test_hops_send_queries_keys_values_and_outputs_over_as_many_links_as_both_sides_have():
    nbytes = 1000 * LAYERS * 2 * (HEADS + KV_HEADS) * HEAD * 2
    for count, links in ((1, 1), (2, 2), (8, 4)):
        rdma, fast = (
            cost(split("attention", "memory-node", count, link=link, hop_us=0)) for link in ("rdma", "nvlink")
        )
        added = ms(rdma, prefill(1000)) - ms(fast, prefill(1000))
        assert added == pytest.approx(nbytes / links * (1 / 50e9 - 1 / 450e9) * 1e3, abs=1e-4)


def test_attention_reads_kv_at_the_devices_bandwidth():
    tables = cost(split("attention", "memory-node", 3))
    shapes = (StepShape(decode_seqs=8, context_tokens=context, sampled=8) for context in (8, 8 + 100_000))
    short, long = (ms(tables, shape) for shape in shapes)
    assert long - short == pytest.approx(100_000 * KV_TOKEN / (3 * 3.6e12) * 1e3, abs=1e-4)
    slow = cost(split("attention", "cpu-ddr5-600"))
    assert ms(slow, prefill(2000)) - ms(tables, prefill(2000)) == pytest.approx(
        LAYERS * 4 * HEADS * HEAD * 2000 * 2001 / 2 * (1 / 60e12 - 1 / 330e12) * 1e3
        + 2000 * LAYERS * 2 * (HEADS + KV_HEADS) * HEAD * 2 * (1 - 1 / 3) / 450e9 * 1e3,  # three links instead of one
        abs=1e-3,
    )


def test_kv_blocks_come_from_where_the_kv_lies():
    there = deployed(split("attention", "memory-node", 4)).memory
    assert there.num_gpu_blocks == int(4 * 86.4e9) // (16 * KV_TOKEN)
    assert "4 x memory-node hold 321.9 GiB of KV, 55,509 blocks" in there.sentence()
    here = deployed(split("linear", "cpu-ddr5-600")).memory
    vocabulary_and_norms = 2 * 102400 * H * 2 / 4 + (2 * LAYERS + 1) * H * 2
    assert here.weight_bytes == pytest.approx(vocabulary_and_norms, rel=1e-6)
    plain = deployed({"kind": "roofline"}).memory
    assert here.kv_bytes - plain.kv_bytes == plain.weight_bytes - here.weight_bytes


def test_a_gpu_can_be_the_device():
    h20 = cost(split("attention", "h20-96gb"))
    step = [ms(h20, StepShape(decode_seqs=8, context_tokens=tokens, sampled=8)) for tokens in (100_000, 200_000)]
    assert step[1] - step[0] == pytest.approx(100_000 * KV_TOKEN / (0.9 * 4e12) * 1e3, abs=1e-3)


def test_experts_are_read_as_far_as_they_are_touched():
    # DeepSeek-V3 in FP8: 671 B parameters on eight CPUs; one token touches 8 of 256 experts in 58 layers.
    tables = cost(split("linear", "cpu-ddr5-600", 8), tp=8, model="deepseek-v3")
    active = 37e9 - 2 * 129280 * 7168  # published active parameters without embedding and logits
    on_gpus_and_hops = 61 * (0.060 + 5 * 0.003 + 2 * 0.001)  # latent attention, kernels, hops of a layer
    assert ms(tables) == pytest.approx(active / (8 * 600e9) * 1e3 + on_gpus_and_hops, rel=0.1)


@pytest.mark.parametrize(
    ("step_time", "model", "sentence"),
    [
        (split("linear", "cpu"), "deepseek-llm-67b", "unknown device 'cpu'.*known: cpu-ddr5-600"),
        (split("linear", "cpu-ddr5-600", link="rdm"), "deepseek-llm-67b", "unknown link 'rdm', did you mean 'rdma'"),
        (split("linear", "memory-node"), "deepseek-llm-67b", r"step_time.count: 122.5 GiB .* exceed the 80.5 GiB of 1"),
        (split("attention", "memory-node"), "deepseek-v3.2", "knows no sparse attention"),
    ],
)
def test_mistakes_are_sentences(step_time, model, sentence):
    with pytest.raises(InputError, match=sentence):
        deployed(step_time, tp=8, model=model, quantization="int4" if model == "deepseek-v3.2" else None)


def test_given_all_reduces():
    slow, fast = (cost({"kind": "roofline", "all_reduce_us": us}) for us in (120, 45))
    # Two a layer and the embedding's; claims: 190 x 75 us = 14 ms a step.
    assert ms(slow) - ms(fast) == pytest.approx(191 * 0.075, abs=1e-5)
    assert slow.comm_decode_fs[1] == slow.comm_mixed_fs[512] == 191 * 120 * 10**9
    alone = [cost({"kind": "roofline"} | more, tp=1, model="deepseek-llm-7b") for more in ({}, {"all_reduce_us": 120})]
    assert ms(alone[0]) == ms(alone[1])


def test_faster_kv_reads():
    plain, fast = (cost({"kind": "roofline"} | more) for more in ({}, {"kv_read_speedup": 3.0}))
    assert plain.attention_slope_fs[1, 0] == pytest.approx(3 * fast.attention_slope_fs[1, 0], rel=1e-6)
    assert (plain.decode_fs == fast.decode_fs).all()
    eight_bit = cost({"kind": "roofline"}, kv_cache_dtype="fp8")
    # Half the bytes, read at 80 instead of 90 % of the bandwidth.
    assert eight_bit.attention_slope_fs[1, 0] == pytest.approx(plain.attention_slope_fs[1, 0] / 2 * 0.9 / 0.8, rel=1e-6)


def test_links_and_devices_of_the_catalogue():
    for link_id in ("nvlink", "nvlink_c2c", "pcie", "rdma", "rpc"):
        link = catalog.link(link_id)
        assert link.low_us <= link.latency_us <= link.high_us
    rdma = catalog.link("rdma")
    assert (190 * rdma.low_us / 1e3, 190 * rdma.high_us / 1e3) == pytest.approx((1, 4), rel=0.06)  # claims
    assert catalog.device("memory-node").bytes_per_s == 0.9 * catalog.gpu("h20-96gb").hbm_bytes_per_s
