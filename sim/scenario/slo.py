"""The service-level objective."""

from typing import Annotated

from pydantic import Field

from sim.scenario.base import Block, Positive


class Slo(Block):
    """Limits that a request must keep to count as good (`--goodput ttft:500 tpot:50`), and the share that must."""

    ttft_ms: Positive | None = None
    tpot_ms: Positive | None = None
    e2el_ms: Positive | None = None
    ttfat_ms: Positive | None = None
    """Time to the first answer token, after the reasoning."""
    percentile: Annotated[float, Field(gt=0, le=100)] = 99.0
    """At least this percentage of the requests must be good."""
    availability: Annotated[float, Field(gt=0, lt=100)] | None = None
    """At least this percentage of the requests must be answered at all, however late: its complement is the error
    budget."""
