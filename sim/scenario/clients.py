"""What clients do when an answer is late or fails: wait, give up, try again, ask twice."""

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.base import Block, Count, PositiveSeconds, Seconds, Share


class Retry(Block):
    """Try again after a time-out, a refusal (HTTP 503) or a lost connection."""

    max_retries: Annotated[int, Field(ge=1, le=100)] = 3
    backoff_s: Seconds = 1.0
    """Pause before the first retry."""
    multiplier: Annotated[float, Field(ge=1, le=100)] = 2.0
    """Each later pause is so many times as long."""
    max_backoff_s: Seconds = 60.0
    jitter: Literal["full", "none"] = "full"
    """full: each pause is drawn uniformly from 0 to its length; none: the pause as it is."""
    budget: Share | None = None
    """Retries as a share of first tries: a token bucket, filled by this much with every first try, from which each
    retry takes one; when it is empty, requests fail instead. None: no limit."""
    budget_burst: Count = 10
    """What that bucket holds, and starts with."""
    answer: Literal["same", "redrawn"] = "same"
    """Length of the answer to a retry: the same again, or drawn anew, as sampling at a high temperature would: that of
    a random request of the same class."""


class Hedge(Block):
    """Send a second copy of a request that takes long; the first answer counts, the other copy is cancelled."""

    after_s: PositiveSeconds


class Clients(Block):
    """The clients' patience. By default it has no end, and nothing is tried twice."""

    timeout_s: PositiveSeconds | None = None
    """A client that has no whole answer after this time gives up this try."""
    cancellation: Literal["engine", "none"] = "engine"
    """Where a client's going away ends: engine: the router passes it on and vLLM aborts the request; none: the engine
    goes on with work that nobody waits for (as behind a router that does not pass disconnects on)."""
    retry: Retry | None = None
    hedge: Hedge | None = None
