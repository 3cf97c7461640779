"""The real engine, where it is installed: environment, and the skip with its reason where it is not."""

import os

import pytest

os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR", OMP_NUM_THREADS="1")


def require_vllm() -> None:
    """Skip the importing test module unless vLLM can be imported."""
    try:
        import vllm  # noqa: F401, PLC0415
    except Exception as error:  # an ill-fitting torch or torchvision fails in many ways
        pytest.skip(f"the real engine is not here: import vllm: {error}", allow_module_level=True)
