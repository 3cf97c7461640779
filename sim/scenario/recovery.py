"""How failures are noticed and mended: health checks, Kubernetes, repair."""

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.base import Block, Count, PositiveSeconds, Seconds
from sim.scenario.duration import Duration


class Health(Block):
    """The router's check of each replica."""

    period_s: PositiveSeconds = 10.0
    failures: Annotated[int, Field(ge=1, le=1000)] = 3
    """Failed checks in a row after which a replica is taken out (ejected); its open requests fail then."""
    successes: Annotated[int, Field(ge=1, le=1000)] = 1
    """Good checks in a row after which it is let in (again)."""
    probe: Literal["liveness", "inference"] = "liveness"
    """liveness: GET /health, which a hung engine still answers; inference: a one-token request, which it does not."""


class Recovery(Block):
    """Kubernetes' defaults (1.32): a silent node is noticed after 50 s, its pods are replaced 300 s later."""

    health: Health = Health()
    node_grace_s: Seconds = 50.0
    """node-monitor-grace-period: 50 s since Kubernetes 1.32, 40 s before."""
    toleration_s: Seconds = 300.0
    """tolerationSeconds of node.kubernetes.io/unreachable."""
    restart_s: Seconds = 0.0
    """From a crash to the new process; a container that crashes again within 10 minutes waits 10 s, 20 s, ... 300 s."""
    drain_s: Seconds = 120.0
    """Longest time that a replica that is scaled in may finish what it has."""
    repair: Duration | None = None
    """A failed node or GPU is back after this time. Default: rented nodes are replaced by new ones, reserved and owned
    ones are not there any more."""
    repair_crews: Count | None = None
    """Repairs at one time; default any number."""
