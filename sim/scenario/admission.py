"""What is not let in, or not kept waiting (beside vLLM's own max_num_queued_reqs)."""

from typing import Annotated

from pydantic import Field

from sim.scenario.base import Block, Positive, PositiveSeconds


class Admission(Block):
    """Rules of the gateway before the replicas; what it turns away gets HTTP 503."""

    queue_timeout_s: PositiveSeconds | None = None
    """A request that no engine has scheduled so long after it was queued is dropped."""
    shed_above: Positive | None = None
    """Shed new requests while ready replicas have more unfinished requests than this on average."""
    spare_priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    """Requests of this priority or a smaller (more urgent) one are not shed."""
