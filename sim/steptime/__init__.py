"""Step times: roofline, split devices, measured table, op database, all behind StepTimeModel."""

from dataclasses import replace
from pathlib import Path

from sim import catalog
from sim.calibration import load
from sim.catalog.types import Gpu, Layout, Model
from sim.defaults import EngineDefaults, KvDtype
from sim.scenario import steptime as spec
from sim.scenario.engine import Engine
from sim.steptime.calibrated import Calibrated, efficiency_of
from sim.steptime.cost import StepTimeModel
from sim.steptime.efficiency import PRIOR, Efficiency
from sim.steptime.hardware import precision
from sim.steptime.layers import weight_dtype
from sim.steptime.offload import offload
from sim.steptime.opdb import OpDatabase
from sim.steptime.roofline import Roofline
from sim.steptime.split import Split
from sim.steptime.table import MeasuredTable
from sim.steptime.work import StepWork, work


def build(  # what a replica is, in the order in which it is resolved
    step_time: spec.StepTime,
    model: Model,
    gpu: Gpu,
    layout: Layout,
    engine: Engine,
    defaults: EngineDefaults,
    base_dir: Path,
    draw: int | None = None,
) -> StepTimeModel:
    """The step-time model that a scenario names, for one replica; relative paths start at `base_dir`.

    `draw`: which of a calibration's posterior draws to take instead of its best estimate.

    Raises:
        InputError: A table is malformed, a device or link is unknown, or the op database is missing or lacks the
            combination.
    """
    match step_time:
        case spec.Roofline():
            faster = step_time.kv_read_speedup
            efficiency = replace(PRIOR, kv_16bit=PRIOR.kv_16bit * faster, kv_8bit=PRIOR.kv_8bit * faster)
            all_reduce_s = None if step_time.all_reduce_us is None else step_time.all_reduce_us * 1e-6
            return physics(model, gpu, layout, engine, defaults, efficiency, all_reduce_s=all_reduce_s)
        case spec.Split():
            return _split(step_time, model, gpu, layout, engine, defaults)
        case spec.Calibrated():
            calibration = load(step_time.calibration, base_dir)
            efficiency = efficiency_of(calibration, draw)
            return Calibrated(
                calibration, physics(model, gpu, layout, engine, defaults, efficiency), model, gpu, layout, engine
            )
        case spec.MeasuredTable():
            return MeasuredTable(base_dir / step_time.path)
        case spec.OpDatabase():
            return OpDatabase(
                model,
                gpu,
                layout,
                engine,
                async_scheduling=defaults.async_scheduling,
                kv_bytes_per_element=_kv_bytes_per_element(model, defaults.kv_cache_dtype),
            )


def _split(
    step_time: spec.Split, model: Model, gpu: Gpu, layout: Layout, engine: Engine, defaults: EngineDefaults
) -> Split:
    there = offload(step_time)
    assert there is not None
    link = catalog.link(step_time.link)
    if step_time.hop_us is not None:
        link = replace(link, latency_us=step_time.hop_us)
    here = physics(model, gpu, layout, engine, defaults, PRIOR, linear=there.part != "linear")
    kv_bytes_per_element = _kv_bytes_per_element(model, defaults.kv_cache_dtype)
    return Split(there, link, model, gpu, layout, engine, kv_bytes_per_element, here)


def physics(  # a replica, as for `build`
    model: Model,
    gpu: Gpu,
    layout: Layout,
    engine: Engine,
    defaults: EngineDefaults,
    efficiency: Efficiency,
    *,
    all_reduce_s: float | None = None,
    linear: bool = True,
) -> Roofline:
    """The roofline of one replica with the given efficiencies; the rest as `Roofline` takes it."""
    return Roofline(
        model,
        gpu,
        layout,
        engine,
        max_num_seqs=defaults.max_num_seqs,
        max_num_batched_tokens=defaults.max_num_batched_tokens,
        async_scheduling=defaults.async_scheduling,
        kv_bytes_per_element=_kv_bytes_per_element(model, defaults.kv_cache_dtype),
        efficiency=efficiency,
        all_reduce_s=all_reduce_s,
        linear=linear,
    )


def work_of(model: Model, gpu: Gpu, layout: Layout, engine: Engine, defaults: EngineDefaults) -> StepWork:
    """FLOPs and bytes of a replica's steps, whatever the source of its times."""
    return work(
        model,
        gpu,
        layout,
        engine,
        kv_bytes_per_element=_kv_bytes_per_element(model, defaults.kv_cache_dtype),
        max_tokens=defaults.max_num_batched_tokens,
    )


def peak_flops(model: Model, gpu: Gpu, engine: Engine) -> float:
    """One GPU's dense peak in the precision in which the linear layers compute."""
    return precision(weight_dtype(model, engine), gpu).flops


def _kv_bytes_per_element(model: Model, dtype: KvDtype) -> float:
    """Scales and unquantised parts included: fp8_ds_mla rows take 656 bytes, V4's 584 (sim.kvbytes)."""
    if dtype == "fp8_ds_mla":
        assert model.mla is not None
        return (584 if model.o_lora_rank else 656) / (model.mla.kv_lora_rank + model.mla.qk_rope_head_dim)
    return {"bfloat16": 2.0, "float32": 4.0, "fp8": 1.0}[dtype]
