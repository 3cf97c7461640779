"""Calibrations made by hand, and scenarios that name them."""

from pathlib import Path

from sim.calibration import Calibration, Draws, Measured
from sim.result import Run
from sim.run import simulate
from sim.scenario.load import Loaded
from tests.unit.small_fleet import SMALL, scenario

NO_HOST = {"host_step_s": 1e-9, "host_request_s": 1e-9}
HULL = {
    "gpus": ("h100-sxm-80gb",),
    "models": (SMALL,),
    "tensor_parallel_sizes": (1,),
    "weight_dtypes": ("bfloat16",),
    "enforce_eager": False,
    "max_num_batched_tokens": 512,
    "max_num_seqs": 16,
    "max_context": 512,
}


def written(folder: Path, parameters: dict | None = None, draws: list[dict] | None = None, **hull: object) -> dict:
    """Write a calibration with these efficiencies, draws of them and hull; returns the step_time block."""
    rows = draws and [tuple(one.values()) for one in draws]
    made = Calibration(
        schema_version=1,
        name="by-hand",
        description="made for a test",
        date="2026-01-01",
        engine="vLLM 0.32.0",
        sources=("nowhere",),
        measured=Measured.model_validate(HULL | hull),
        parameters=parameters or {},
        draws=Draws(names=tuple(draws[0]), rows=tuple(rows)) if draws else None,
    )
    path = folder / f"calibration-{len(list(folder.iterdir()))}.yaml"
    path.write_text(made.to_yaml())
    return {"kind": "calibrated", "calibration": path.name}


def loaded(folder: Path, workload: dict, step_time: dict, **blocks: object) -> Loaded:
    """A scenario of the small fleet, one replica unless the blocks say otherwise."""
    fleet = [{"pool": "a", "gpu": "h100-sxm-80gb"}]
    case = scenario(workload, **({"fleet": fleet, "step_time": step_time} | blocks))
    return Loaded(case, folder / "small.yaml", (), "")


def run(folder: Path, workload: dict, step_time: dict, **blocks: object) -> Run:
    """Simulate it."""
    return simulate(loaded(folder, workload, step_time, **blocks), progress=lambda done, of: None)
