"""Resolved flags against the tables of vllm/engine/arg_utils.py (0.32.0), API server's column."""

from pathlib import Path

import pytest

import sim.catalog as catalog
from sim.defaults import engine_defaults
from sim.errors import InputError
from sim.scenario.engine import Engine


def resolve(gpu="h100-sxm-80gb", model="llama-3.1-8b", **flags):
    return engine_defaults(catalog.gpu(gpu), catalog.model(model, Path(".")), Engine(**flags))


@pytest.mark.parametrize(
    ("gpu", "tokens", "seqs"),
    [
        ("a100-sxm-40gb", 2048, 256),
        ("a100-sxm-80gb", 2048, 256),  # by name, though it has more than 70 GiB
        ("l40s-48gb", 2048, 256),
        ("h100-sxm-80gb", 8192, 1024),
        ("h100-pcie-80gb", 8192, 1024),
        ("h800-sxm-80gb", 8192, 1024),
        ("h20-96gb", 8192, 1024),
        ("h200-sxm-141gb", 8192, 1024),
        ("b200-sxm-192gb", 16384, 1024),
        ("gb200", 16384, 1024),
        ("mi300x-192gb", 16384, 1024),
    ],
)
def test_batch_defaults_by_gpu(gpu, tokens, seqs):
    found = resolve(gpu)
    assert (found.max_num_batched_tokens, found.max_num_seqs) == (tokens, seqs)


@pytest.mark.parametrize(
    ("flags", "tokens", "seqs", "length"),
    [
        ({}, 8192, 1024, 131072),
        ({"max_num_batched_tokens": 512}, 512, 512, 131072),  # default seats give way to the budget
        ({"max_num_seqs": 2, "max_model_len": 100}, 200, 2, 100),  # default budget gives way to seats x length
        ({"max_num_seqs": 2, "max_model_len": 100, "max_num_batched_tokens": 4096}, 4096, 2, 100),
        ({"enable_chunked_prefill": False}, 131072, 1024, 131072),
        ({"enable_chunked_prefill": False, "max_model_len": 4096}, 8192, 1024, 4096),
    ],
)
def test_batch_defaults_by_flags(flags, tokens, seqs, length):
    found = resolve(**flags)
    assert (found.max_num_batched_tokens, found.max_num_seqs, found.max_model_len) == (tokens, seqs, length)


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"max_num_batched_tokens": 64, "max_num_seqs": 128}, ["max_num_batched_tokens 64", "max_num_seqs 128"]),
        ({"enable_chunked_prefill": False, "max_num_batched_tokens": 4096}, ["4096", "max_model_len 131072"]),
        ({"max_model_len": 200_000}, ["200000", "131072"]),
        ({"max_model_len": 100, "long_prefill_token_threshold": 101}, ["long_prefill_token_threshold 101"]),
        ({"kv_cache_dtype": "fp8_ds_mla"}, ["kv_cache_dtype fp8_ds_mla", "llama-3.1-8b"]),
    ],
)
def test_flags_that_vllm_refuses(flags, names):
    with pytest.raises(InputError) as raised:
        resolve(**flags)
    assert all(name in str(raised.value) for name in names)


@pytest.mark.parametrize(
    ("model", "gpu", "kv_dtype", "block_size"),
    [
        ("llama-3.1-8b", "h100-sxm-80gb", "auto", 16),
        ("deepseek-moe-16b", "h100-sxm-80gb", "auto", 16),
        ("deepseek-v3", "h100-sxm-80gb", "auto", 16),  # FLASH_ATTN_MLA
        ("deepseek-v3", "h100-sxm-80gb", "fp8", 64),  # FLASHMLA
        ("deepseek-v3", "b200-sxm-192gb", "auto", 32),  # FLASHINFER_MLA
        ("deepseek-v2-lite", "a100-sxm-80gb", "auto", 16),  # TRITON_MLA
        ("deepseek-v3.2", "h200-sxm-141gb", "auto", 64),  # indexer
        ("deepseek-v4-flash", "h200-sxm-141gb", "auto", 256),
    ],
)
def test_block_size_by_attention_backend(model, gpu, kv_dtype, block_size):
    assert resolve(gpu, model, kv_cache_dtype=kv_dtype).block_size == block_size
    assert resolve(gpu, model, kv_cache_dtype=kv_dtype, block_size=128).block_size == 128


@pytest.mark.parametrize(
    ("model", "asked", "found"),
    [
        ("llama-3.1-8b", "auto", "bfloat16"),
        ("llama-3.1-8b", "fp8", "fp8"),
        ("deepseek-v3", "auto", "bfloat16"),
        ("deepseek-v3", "fp8", "fp8"),
        ("deepseek-v3.2", "auto", "bfloat16"),
        ("deepseek-v3.2", "fp8", "fp8_ds_mla"),
        ("deepseek-v4-pro", "auto", "fp8_ds_mla"),
        ("deepseek-v4-pro", "bfloat16", "bfloat16"),
    ],
)
def test_kv_cache_dtype(model, asked, found):
    assert resolve(model=model, kv_cache_dtype=asked).kv_cache_dtype == found


def test_float32_engine_keeps_a_float32_cache():
    assert resolve(dtype="float32").kv_cache_dtype == "float32"
