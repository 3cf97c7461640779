"""A small calibration for tests."""

from pathlib import Path

from sim.calibration import Calibration, Draws, Measured


def calibration(**changes) -> Calibration:
    """Llama-3.1-70B on H100, with the efficiencies of the roofline unless told otherwise."""
    return Calibration(
        **{
            "schema_version": 1,
            "name": "tested",
            "description": "made for a test",
            "date": "2026-11-24",
            "engine": "vLLM 0.0",
            "sources": ("a test",),
            "measured": Measured(
                gpus=("h100-sxm-80gb",),
                models=("llama-3.1-70b",),
                tensor_parallel_sizes=(4,),
                weight_dtypes=("bfloat16",),
                enforce_eager=False,
                max_num_batched_tokens=8192,
                max_num_seqs=64,
                max_context=2048,
            ),
            "parameters": {"memory": 0.8},
        }
        | changes
    )


def draws(*rows: dict[str, float]) -> Draws:
    """Draws that differ in the named efficiencies."""
    return Draws(names=tuple(rows[0]), rows=tuple(tuple(row.values()) for row in rows))


def write(folder: Path, one: Calibration) -> Path:
    """Write it as `trilemma calibrate` would."""
    path = folder / f"{one.name}.yaml"
    path.write_text(one.to_yaml(), encoding="utf-8")
    return path
