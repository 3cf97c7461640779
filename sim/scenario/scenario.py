"""The scenario: one frozen description of model, traffic, engine, fleet and SLO."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, NotABoolean
from sim.scenario.engine import Engine
from sim.scenario.fleet import LeastOutstanding, Pool, Router
from sim.scenario.slo import Slo
from sim.scenario.steptime import Roofline, StepTime
from sim.scenario.workload import Workload


class Run(Block):
    """How the scenario is simulated."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    replications: Annotated[int, Field(ge=1, le=1000)] = 5
    max_time_s: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    """Stop the clock here; what is unfinished then is counted as in flight. Default: until all have ended."""
    state: Literal["steady", "terminating"] = "terminating"
    """steady: drop the warm-up (MSER-5) before averaging; terminating: the whole run counts, as in vllm bench."""


class Scenario(Block):
    """What a planner writes: everything a run depends on, beside the catalogue."""

    schema_version: Annotated[Literal[1], NotABoolean]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
    description: str = ""
    model: str
    """Catalogue id, or the path of a Hugging Face config.json."""
    workload: Workload
    engine: Engine = Engine()
    fleet: Annotated[tuple[Pool, ...], Field(min_length=1, strict=False)]
    router: Router = LeastOutstanding(kind="least_outstanding")
    step_time: StepTime = Roofline(kind="roofline")
    slo: Slo = Slo()
    run: Run = Run()

    @model_validator(mode="after")
    def _unique_pools(self) -> "Scenario":
        names = [pool.pool for pool in self.fleet]
        if len(set(names)) < len(names):
            raise ValueError(f"pool names must differ, found {names}")
        return self
