"""The op database adapter: the figures it is known for, and refusals in a sentence."""

import sys

import pytest

from sim import catalog
from sim.catalog.types import Layout
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.steptime.cost import step_ns
from sim.steptime.opdb import OpDatabase
from sim.steptime.shape import StepShape
from tests.unit.test_steptime_roofline import decode, model, prefill


def database(name, tp, gpu="h100-sxm-80gb", kv=2.0, ep=False, **engine):
    return OpDatabase(
        model(name),
        catalog.gpu(gpu),
        Layout(tp, 1, ep),
        Engine(**engine),
        async_scheduling=True,
        kv_bytes_per_element=kv,
    )


@pytest.fixture
def _installed():
    pytest.importorskip("aiconfigurator_core")


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(("tp", "decode_ms"), [(4, 20.74), (8, 13.73)])
def test_known_latencies_of_llama_70b(tp, decode_ms):
    tables = database("llama-3.1-70b", tp).cost(8192, 256)
    assert step_ns(tables, decode(64, 2048)) / 1e6 == pytest.approx(decode_ms, rel=0.002)
    if tp == 4:
        assert step_ns(tables, prefill(2048)) / 1e6 == pytest.approx(130.2, rel=0.002)
        # mixed_step_latency(2048, 64, 2048, 512): 64 decodes halfway through their 512 tokens.
        mixed = StepShape(2048, 1, 2048 * 2049 // 2, 64, 64 * (2048 + 256), 65)
        assert step_ns(tables, mixed) / 1e6 == pytest.approx(143.9, rel=0.06)


@pytest.mark.usefixtures("_installed")
def test_interpolation_agrees_with_the_database_off_its_grid():
    handle = pytest.importorskip("aiconfigurator_core.sdk.engine").EngineHandle.compile(
        "meta-llama/Meta-Llama-3.1-70B", "h100_sxm", "vllm", tp_size=4
    )
    tables = database("llama-3.1-70b", 4).cost(16384, 1024)
    for seqs, context in ((3, 777), (40, 3000), (100, 1500), (200, 600), (700, 10_000)):
        expected = handle.decode_step_latency(seqs, context, 2)
        assert step_ns(tables, decode(seqs, context)) / 1e6 == pytest.approx(expected, rel=0.05), (seqs, context)
    for tokens in (300, 1500, 6000, 12000):
        expected = handle.predict_prefill_latency(1, tokens, 0)
        assert step_ns(tables, prefill(tokens)) / 1e6 == pytest.approx(expected, rel=0.05), tokens
    later = handle.predict_prefill_latency(1, 4096 + 20_000, 20_000)
    assert step_ns(tables, prefill(4096, 20_000)) / 1e6 == pytest.approx(later, rel=0.1)
    assert 0 < tables.comm_mixed_fs[2048] / tables.mixed_fs[2048] < 0.3


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("ep", [False, True])
def test_mixture_of_experts_with_latent_attention(ep):
    tables = database("deepseek-r1", 8, "h200-sxm-141gb", ep=ep).cost(8192, 256)
    assert 20 < step_ns(tables, decode(64, 2048)) / 1e6 < 50


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("name", "tp", "gpu", "engine", "message"),
    [
        ("deepseek-llm-67b", 4, "h100-sxm-80gb", {}, "no measurements of deepseek-llm-67b on h100-sxm-80gb, only of"),
        ("llama-3.1-70b", 4, "h20-96gb", {}, "only of llama-3.1-8b"),
        ("llama-3.1-70b", 3, "h100-sxm-80gb", {}, "tensor_parallel_size 3"),
        ("llama-3.1-70b", 4, "h100-sxm-80gb", {"quantization": "int4"}, "quantization fp8 or none, found int4"),
    ],
)
def test_refusals_are_one_sentence(name, tp, gpu, engine, message):
    with pytest.raises(InputError) as caught:
        database(name, tp, gpu, **engine)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("_installed")
def test_sizes_beyond_the_samples_are_refused():
    with pytest.raises(InputError, match="up to 16384"):
        database("llama-3.1-8b", 1).cost(32768, 256)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiconfigurator_core.sdk.engine", None)
    monkeypatch.setitem(sys.modules, "aiconfigurator_core", None)
    with pytest.raises(InputError, match=r'pip install "trilemma\[opdb\]"'):
        database("llama-3.1-70b", 4)
