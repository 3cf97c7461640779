"""A calibration from a public table of serving points."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from calibrate import serving, write
from calibrate.card import scores
from calibrate.fit import Progress, fit
from calibrate.holdout import discrepancy, leave_out, parity, priors, transfer
from calibrate.parameters import parameters
from calibrate.points import Bench, data_of
from sim import catalog
from sim.calibration import Calibration, Measured
from sim.catalog.types import Model
from sim.steptime.layers import weight_dtype

GPU = "gpu"


def from_table(path: Path, where: Mapping[str, str], name: str, engine: str, progress: Progress) -> Calibration:
    """Fit one engine on one GPU, and score it on everything that it leaves out.

    Held out in turn: each concurrency, each tensor-parallel size, and all points of this GPU, predicted from those that
    the table has of the same engine on other GPUs; and all of them, predicted from the priors alone.

    Args:
        path: the table, see calibrate/serving.py.
        where: columns and values that choose the rows: backend, model, system, ...
        name: of the calibration.
        engine: what was measured, with its version.
        progress: of the fit.

    Raises:
        InputError: nothing usable is left of the table.
    """
    table = serving.read(path, where)
    benches = [Bench(point) for point in table.points]
    fitted = fit(data_of(benches), parameters(), progress)
    groups = serving.groups([bench.point for bench in benches])
    held = {key: leave_out(benches, fitted, key, progress) for key in groups}
    unknown = discrepancy(list(held.values()))
    held["priors"] = priors(benches, fitted.parameters, fitted.jacobian)
    others = _on_other_gpus(path, where, benches)
    if others:
        held[GPU] = transfer(fit(data_of(others), parameters(), progress), benches, fitted.jacobian)
    rows = [row for key, one in held.items() for row in parity(one, key, unknown)]
    return Calibration(
        schema_version=1,
        name=name,
        description=_description(where, len(benches)),
        date=date.today().isoformat(),
        engine=engine,
        sources=(f"{path.name}: {', '.join(f'{key}={value}' for key, value in where.items())}",),
        dropped=table.dropped,
        measured=_hull(benches),
        parameters=write.best(fitted),
        draws=write.draws(fitted, unknown),
        card=tuple(scores(rows)),
        parity=tuple(rows),
    )


def _on_other_gpus(path: Path, where: Mapping[str, str], benches: Sequence[Bench]) -> list[Bench]:
    """The same engine's points on GPUs that are not calibrated here."""
    mine = {bench.deployment.gpu.id for bench in benches}
    elsewhere = serving.read(path, {key: value for key, value in where.items() if key != "system"})
    return [Bench(point) for point in elsewhere.points if point.groups[GPU] not in mine]


def _hull(benches: Sequence[Bench]) -> Measured:
    pools = [bench.deployment for bench in benches]
    requests = [bench.longest for bench in benches]
    return Measured(
        gpus=write.names([pool.gpu.id for pool in pools]),
        models=write.names([same for pool in pools for same in _same_dimensions(pool.model)]),
        tensor_parallel_sizes=tuple(sorted({pool.layout.tensor_parallel_size for pool in pools})),
        weight_dtypes=write.names([weight_dtype(pool.model, pool.engine) for pool in pools]),
        enforce_eager=all(pool.engine.enforce_eager for pool in pools),
        max_num_batched_tokens=max(pool.defaults.max_num_batched_tokens for pool in pools),
        max_num_seqs=max(bench.concurrency for bench in benches),
        max_context=max(requests),
    )


def _same_dimensions(model: Model) -> list[str]:
    """Catalogue ids of models that differ in nothing that a step time depends on."""
    every = [catalog.model(one, Path()) for one in catalog.model_ids()]
    return [one.id for one in every if replace(one, id=model.id, parameters=model.parameters) == model]


def _description(where: Mapping[str, str], points: int) -> str:
    chosen = ", ".join(where.values())
    return f"{points} public serving points ({chosen}), fitted by simulating each with its measurement protocol."
