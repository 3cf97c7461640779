"""The recorded numbers of KV blocks are what the installed engine says."""

import json

import pytest

from tests.engine.kv_blocks import FILE, MODELS, measure
from tests.engine.vllm import require_vllm

require_vllm()

pytestmark = pytest.mark.engine

QUICK = ["moe-v1-bfloat16", "v3-mla-bfloat16"]


def check(name: str) -> None:
    assert measure(name) == json.loads(FILE.read_text())["models"][name]


@pytest.mark.parametrize("name", QUICK)
def test_real_engine(name: str) -> None:
    check(name)


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in MODELS if name not in QUICK])
def test_real_engine_on_all_models(name: str) -> None:
    check(name)
