"""What quantised weights take, how fast they are, how many GPUs they need, and what is published of their accuracy."""

from pathlib import Path

import pytest

from sim import catalog
from sim.catalog.types import Layout
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.weights import weight_bytes
from tests.unit.test_steptime_roofline import cost, decode, ms, prefill
from tests.unit.test_steptime_split import deployed

MODEL = catalog.model("deepseek-llm-67b", Path())
VOCABULARY = 2 * 102400 * 8192
NORMS = (2 * 95 + 1) * 8192
LINEAR = 67.425e9 - VOCABULARY - NORMS


@pytest.mark.parametrize(("quantization", "per_weight"), [(None, 2.0), ("int8", 1.0), ("int4", 0.5 + 2 / 128)])
def test_embedding_head_and_norms_keep_16_bits(quantization, per_weight):
    found = weight_bytes(MODEL, Layout(), Engine(quantization=quantization), 0)
    assert found == pytest.approx(LINEAR * per_weight + 2 * (VOCABULARY + NORMS), rel=1e-5)


def test_int4_saves_72_4_percent_of_the_weights():
    whole, int4 = (weight_bytes(MODEL, Layout(), Engine(quantization=q), 0) for q in (None, "int4"))
    assert whole / 1e9 == pytest.approx(134.85, abs=0.01)
    assert int4 / 1e9 == pytest.approx(37.3, abs=0.05)
    assert 1 - int4 / whole == pytest.approx(0.724, abs=0.001)


@pytest.mark.parametrize(("quantization", "gpus"), [(None, 2), ("int8", 1), ("int4", 1)])
def test_gpus_that_hold_the_model(quantization, gpus):
    roofline = {"kind": "roofline"}
    assert deployed(roofline, tp=gpus, quantization=quantization).memory.kv_tokens > 4096
    if gpus > 1:
        with pytest.raises(InputError, match="does not fit"):
            deployed(roofline, tp=gpus // 2, quantization=quantization)


def test_w4a16_reads_less_and_computes_as_much_while_w8a8_does_both_faster():
    bf16, int8, int4 = (cost("deepseek-llm-67b", 4, quantization=q) for q in (None, "int8", "int4"))
    bytes_ms = LINEAR / 4 / (0.8 * 3.35e12) * 1e3  # of one byte a weight
    one = decode(1, 1)
    assert ms(bf16, one) - ms(int4, one) == pytest.approx((2 - 0.5 - 2 / 128) * bytes_ms, rel=0.01)
    assert ms(bf16, one) - ms(int8, one) == pytest.approx(bytes_ms, rel=0.25)  # less what quantising activations takes
    many = prefill(8192)
    assert ms(int4, many) == pytest.approx(ms(bf16, many), rel=0.01)
    # Twice the peak at 68 instead of 75 % of it.
    flops_ms = 2 * LINEAR * 8192 / 4 / 989e12 * 1e3
    saved = flops_ms / 0.75 - flops_ms / 2 / 0.68
    quantising = 8192 * 95 * 3 * (2 * 8192 + (8192 + 22016) / 4) / (0.8 * 3.35e12) * 1e3
    assert ms(bf16, many) - ms(int8, many) == pytest.approx(saved - quantising, rel=0.02)


def test_published_accuracy_is_cited():
    large = catalog.accuracy("llama-3.1-70b-instruct-w4a16")
    lost = {name: 100 - percent for name, percent in large.recovery_percent.items()}
    assert [name for name, percent in lost.items() if percent > 1] == ["openllm-v2"]
    assert max(lost.values()) == pytest.approx(2.6)
