"""The real engine, where it is installed: environment, and the skip with its reason where it is not."""

import os

import pytest

os.environ.update(
    HF_HUB_OFFLINE="1",
    VLLM_NO_USAGE_STATS="1",
    VLLM_LOGGING_LEVEL="ERROR",
    OMP_NUM_THREADS="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
)


def require_vllm() -> None:
    """Skip the importing test module unless vLLM's scheduler can be imported."""
    try:
        import vllm.v1.core.sched.scheduler  # noqa: F401, PLC0415  (import vllm alone is lazy)
    except Exception as error:  # an ill-fitting torch or torchvision fails in many ways
        pytest.skip(f"the real engine is not here: {type(error).__name__}: {error}", allow_module_level=True)
