"""The scenario: one frozen description of model, traffic, engine, fleet and SLO."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.admission import Admission
from sim.scenario.autoscaler import Autoscaler
from sim.scenario.base import Block, NotABoolean
from sim.scenario.clients import Clients
from sim.scenario.cost import Cost
from sim.scenario.engine import Engine
from sim.scenario.failures import Failures
from sim.scenario.fleet import LeastOutstanding, Pool, Router
from sim.scenario.recovery import Recovery
from sim.scenario.slo import Slo
from sim.scenario.startup import Startup
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
    clients: Clients = Clients()
    admission: Admission = Admission()
    startup: Startup = Startup()
    failures: Annotated[tuple[Failures, ...], Field(strict=False)] = ()
    recovery: Recovery = Recovery()
    autoscalers: Annotated[tuple[Autoscaler, ...], Field(strict=False)] = ()
    cost: Cost = Cost()
    step_time: StepTime = Roofline(kind="roofline")
    slo: Slo = Slo()
    run: Run = Run()

    @model_validator(mode="after")
    def _unique_pools(self) -> "Scenario":
        names = [pool.pool for pool in self.fleet]
        if len(set(names)) < len(names):
            raise ValueError(f"pool names must differ, found {names}")
        return self

    @model_validator(mode="after")
    def _known_pools(self) -> "Scenario":
        pools = {pool.pool: pool for pool in self.fleet}
        scaled = [one.pool for one in self.autoscalers]
        for index, name in enumerate(scaled):
            if name not in pools:
                raise ValueError(f"autoscalers.{index}.pool: found {name}, expected one of {', '.join(pools)}")
            if name in scaled[:index]:
                raise ValueError(f"autoscalers.{index}.pool: found {name} again, expected one autoscaler a pool")
        for index, pool in enumerate(self.fleet):
            wanted = pool.fallback_for
            if wanted is not None and (wanted not in pools or pools[wanted].market != "spot" or wanted == pool.pool):
                raise ValueError(
                    f"fleet.{index}.fallback_for: found {wanted}, expected the name of a pool on market: spot"
                )
            if wanted is not None and pool.market == "spot":
                raise ValueError(f"fleet.{index}.market: found spot on a pool with fallback_for, expected another")
            if pool.replicas == 0 and wanted is None and pool.pool not in scaled:
                raise ValueError(
                    f"fleet.{index}.replicas: found 0, expected at least 1 where no autoscaler or fallback_for adds any"
                )
        return self

    @model_validator(mode="after")
    def _one_kind_of_batching(self) -> "Scenario":
        pads = [self.engine.batching is not None] * len(self.fleet)
        for index, pool in enumerate(self.fleet):
            if pool.engine is not None and "batching" in pool.engine.model_fields_set:
                pads[index] = pool.engine.batching is not None
            if pads[index] != pads[0]:
                raise ValueError(
                    f"fleet.{index}.engine.batching: found {'one' if pads[index] else 'none'}, expected "
                    f"{'one' if pads[0] else 'none'} as in the first pool: all pools batch with padding or none does"
                )
        return self

    @property
    def waits_for_ever(self) -> bool:
        """Whether nobody would notice a replica that hangs."""
        patient = self.clients.timeout_s is None and self.run.max_time_s is None
        return patient and self.recovery.health.probe == "liveness"

    @model_validator(mode="after")
    def _somebody_notices(self) -> "Scenario":
        hangs = any(getattr(one, "hang", False) or getattr(one, "hang_share", 0) > 0 for one in self.failures)
        if hangs and self.waits_for_ever:
            raise ValueError(
                "failures: a hung replica passes liveness checks, so the run would never end; expected "
                "clients.timeout_s, recovery.health.probe: inference or run.max_time_s"
            )
        return self
