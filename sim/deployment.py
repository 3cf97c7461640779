"""Each pool of a scenario resolved: its model, GPU, engine limits, memory and step times."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim import catalog, steptime
from sim.billing import usd_per_gpu_hour
from sim.catalog.types import Gpu, Layout, Model
from sim.defaults import EngineDefaults, engine_defaults
from sim.engine import EngineLimits
from sim.errors import InputError
from sim.kvbytes import kv_block_bytes
from sim.memory import MemoryPlan, plan
from sim.request import Requests
from sim.result import ReplicaInfo, Replication
from sim.scenario.engine import Engine
from sim.scenario.fleet import Pool
from sim.scenario.scenario import Scenario
from sim.steptime.calibrated import Calibrated
from sim.steptime.cost import StepCost, StepTimeModel
from sim.steptime.offload import offload
from sim.steptime.roofline import FS_PER_S
from sim.steptime.work import StepWork

FS_PER_US = 10**9


@dataclass(frozen=True, slots=True)
class Deployment:
    """A pool that fits: everything its replicas have in common."""

    pool: Pool
    model: Model
    gpu: Gpu
    layout: Layout
    engine: Engine
    defaults: EngineDefaults
    memory: MemoryPlan
    step_time: StepTimeModel
    cost: StepCost
    work: StepWork
    usd_per_gpu_hour: float | None

    @property
    def limits(self) -> EngineLimits:
        """What the scheduler works with."""
        return EngineLimits(
            max_num_batched_tokens=self.defaults.max_num_batched_tokens,
            max_num_seqs=self.defaults.max_num_seqs,
            max_model_len=self.defaults.max_model_len,
            block_size=self.defaults.block_size,
            num_gpu_blocks=self.memory.num_gpu_blocks,
            enable_prefix_caching=self.engine.enable_prefix_caching,
            enable_chunked_prefill=self.engine.enable_chunked_prefill,
            long_prefill_token_threshold=self.engine.long_prefill_token_threshold,
            priority=self.engine.scheduling_policy == "priority",
            reserve_full_isl=self.engine.scheduler_reserve_full_isl,
            watermark=self.engine.watermark,
            async_scheduling=self.defaults.async_scheduling,
            index_hit=0.0 if self.engine.kv_index is None else self.engine.kv_index.hit,
        )

    def replica_info(self) -> ReplicaInfo:
        """What a report says of each replica."""
        return ReplicaInfo(
            pool=self.pool.pool,
            model=self.model.id,
            gpu=self.gpu.id,
            gpus=self.layout.gpus,
            usd_per_gpu_hour=self.usd_per_gpu_hour,
            block_size=self.defaults.block_size,
            num_gpu_blocks=self.memory.num_gpu_blocks,
            peak_flops=steptime.peak_flops(self.model, self.gpu, self.engine) * self.layout.gpus,
            hbm_bytes_per_s=self.gpu.hbm_bytes_per_s * self.layout.gpus,
            step_time_label=self.step_time.label,
            kv_share=self.memory.num_gpu_blocks * self.memory.block_bytes / self.memory.gpu_memory_bytes,
        )


def deploy(scenario: Scenario, base_dir: Path, draw: int | None = None) -> tuple[Deployment, ...]:
    """Resolve every pool of a scenario; `draw`: with one of its calibration's posterior draws.

    Raises:
        InputError: a model or GPU is unknown, a layout is impossible, or a model does not fit.
    """
    return tuple(_deploy(scenario, index, base_dir, draw) for index in range(len(scenario.fleet)))


def extrapolations(deployments: tuple[Deployment, ...], *drawn: Requests) -> list[str]:
    """A sentence for each way in which a pool's step times must be extrapolated for what it is or for its requests."""
    longest = max(int((one.prompt_tokens.astype(np.int64) + one.output_tokens).max()) for one in drawn)
    found = [reservation for one in deployments for reservation in one.step_time.reservations]
    for one in deployments:
        measured, reach = one.step_time.max_context, min(longest, one.defaults.max_model_len)
        if measured is not None and reach > measured:
            found.append(
                f"Pool {one.pool.pool}: contexts reach {reach:,} tokens, but step times were measured up to "
                f"{measured:,}: beyond that they are extrapolated."
            )
    return found


def overreaches(
    deployments: tuple[Deployment, ...], pools: NDArray[np.int32], served: Sequence[Replication]
) -> list[str]:
    """A sentence for each way in which a pool's steps, as simulated, left the hull of its calibration.

    `pools`: of each row of the counters.
    """
    found = []
    for pool, one in enumerate(deployments):
        if not isinstance(one.step_time, Calibrated):
            continue
        hull, mine = one.step_time.measured, np.concatenate([each.counters[pools == pool] for each in served])
        tokens, running = (int(mine[name].max()) for name in ("peak_step_tokens", "peak_running"))
        for reached, measured, what in (
            (tokens, hull.max_num_batched_tokens, "steps reach {} tokens"),
            (running, hull.max_num_seqs, "batches reach {} requests"),
        ):
            if reached > measured:
                found.append(
                    f"Pool {one.pool.pool}: {what.format(f'{reached:,}')}, but step times were measured up to "
                    f"{measured:,}: beyond that they are extrapolated."
                )
    return found


def _deploy(scenario: Scenario, index: int, base_dir: Path, draw: int | None) -> Deployment:
    pool = scenario.fleet[index]
    where = f"fleet.{index}"
    try:
        model = catalog.model(pool.model or scenario.model, base_dir)
        gpu = catalog.gpu(pool.gpu)
        engine = _engine(scenario, pool)
        layout = Layout(pool.tensor_parallel_size, pool.pipeline_parallel_size, engine.enable_expert_parallel)
        defaults = engine_defaults(gpu, model, engine)
        memory = plan(
            model,
            gpu,
            layout,
            engine,
            block_size=defaults.block_size,
            max_num_batched_tokens=defaults.max_num_batched_tokens,
            max_num_seqs=defaults.max_num_seqs,
            max_model_len=defaults.max_model_len,
            offload=offload(scenario.step_time),
        )
        step_time = steptime.build(scenario.step_time, model, gpu, layout, engine, defaults, base_dir, draw)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return Deployment(
        pool=pool,
        model=model,
        gpu=gpu,
        layout=layout,
        engine=engine,
        defaults=defaults,
        memory=memory,
        step_time=step_time,
        cost=_cost(step_time, model, engine, defaults),
        work=steptime.work_of(model, gpu, layout, engine, defaults),
        usd_per_gpu_hour=usd_per_gpu_hour(pool),
    )


def _cost(step_time: StepTimeModel, model: Model, engine: Engine, defaults: EngineDefaults) -> StepCost:
    """The step-time model laid down, with what loading from an index service takes: a block's KV crosses once."""
    cost = step_time.cost(defaults.max_num_batched_tokens, defaults.max_num_seqs)
    index = engine.kv_index
    if index is None:
        return cost
    nbytes = kv_block_bytes(model, Layout(), defaults.kv_cache_dtype, defaults.block_size, range(model.layers))
    return cost._replace(
        load_fs=round(index.latency_us * FS_PER_US),
        load_block_fs=round(nbytes / (index.gb_per_s * 1e9) * FS_PER_S),
    )


def _engine(scenario: Scenario, pool: Pool) -> Engine:
    """The scenario's flags, with those that the pool states over them."""
    stated = {} if pool.engine is None else {key: getattr(pool.engine, key) for key in pool.engine.model_fields_set}
    return scenario.engine.model_copy(update=stated)
