"""The router `vllm_dp` against vLLM's own load balancer."""

import pytest

from tests.engine.vllm import require_vllm
from tests.unit.dp_router import compare

require_vllm()

from vllm.v1.engine.core_client import DPLBAsyncMPClient  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("seed", range(20))
def test_the_router_chooses_as_vllm(seed: int) -> None:
    expected, found, _ = compare(seed, DPLBAsyncMPClient.get_core_engine_for_request)
    assert found == expected
