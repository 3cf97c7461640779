"""Step times from a calibration: the roofline with fitted efficiencies, and what remained as factors by size."""

import numpy as np

from sim.calibration import Calibration, Residuals, known_as
from sim.catalog.types import Gpu, Layout, Model
from sim.errors import InputError
from sim.scenario.engine import Engine
from sim.steptime.cost import StepCost, Table
from sim.steptime.efficiency import NAMES, Efficiency
from sim.steptime.layers import weight_dtype
from sim.steptime.roofline import Roofline


class Calibrated:
    """Step times of one replica."""

    def __init__(
        self, calibration: Calibration, roofline: Roofline, model: Model, gpu: Gpu, layout: Layout, engine: Engine
    ) -> None:
        """Take a roofline that has the calibration's efficiencies, and what it is the roofline of."""
        self.label = f"calibrated: {calibration.name} ({calibration.engine})"
        self.measured = calibration.measured
        self.max_context = calibration.measured.max_context
        self.frontend_s = roofline.frontend_s
        self.reservations = tuple(_outside(calibration, model, gpu, layout, engine))
        self._roofline = roofline
        self._residuals = calibration.residuals

    def cost(self, max_tokens: int, max_seqs: int) -> StepCost:
        """Tables for steps of at most `max_tokens` tokens and `max_seqs` requests."""
        cost = self._roofline.cost(max_tokens, max_seqs)
        return cost if self._residuals is None else corrected(cost, self._residuals)


def efficiency_of(calibration: Calibration, draw: int | None) -> Efficiency:
    """The best estimate, or draw number `draw` (counted round if there are fewer).

    Raises:
        InputError: An efficiency is unknown.
    """
    values = dict(calibration.parameters)
    if draw is not None and calibration.draws is not None:
        rows = calibration.draws.rows
        values |= zip(calibration.draws.names, rows[draw % len(rows)], strict=True)
    for name in values:
        if name not in NAMES:
            raise InputError(
                f"calibration {calibration.name}: parameters: found {name!r}, expected one of {', '.join(NAMES)}"
            )
    return Efficiency(**values)


def corrected(cost: StepCost, residuals: Residuals) -> StepCost:
    """Multiply device times by the factors that the physics left over; beyond the measured sizes the last one holds."""
    tokens, seqs = np.arange(len(cost.mixed_fs)), np.arange(len(cost.decode_fs))
    mixed = np.interp(tokens, residuals.tokens, residuals.mixed)
    decode = np.interp(seqs, residuals.seqs, residuals.decode)
    return cost._replace(
        mixed_fs=_scaled(cost.mixed_fs, mixed),
        decode_fs=_scaled(cost.decode_fs, decode),
        comm_mixed_fs=_scaled(cost.comm_mixed_fs, mixed),
        comm_decode_fs=_scaled(cost.comm_decode_fs, decode),
    )


def _scaled(table: Table, factor: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Table:
    scaled: Table = np.rint(table * factor).astype(np.int64)
    return scaled


def _outside(calibration: Calibration, model: Model, gpu: Gpu, layout: Layout, engine: Engine) -> list[str]:
    """A sentence for each way in which a replica is not one that was measured."""
    hull = calibration.measured
    known = (
        ("GPU", gpu.id, hull.gpus),
        ("model", known_as(model), hull.models),
        ("tensor_parallel_size", layout.tensor_parallel_size, hull.tensor_parallel_sizes),
        ("weights in", weight_dtype(model, engine), hull.weight_dtypes),
        ("enforce_eager", engine.enforce_eager, (hull.enforce_eager,)),
    )
    found = [
        f"Calibration {calibration.name} was not measured with {what} {mine}, only with "
        f"{', '.join(str(one) for one in theirs)}: step times are extrapolated by the roofline."
        for what, mine, theirs in known
        if mine not in theirs
    ]
    if layout.pipeline_parallel_size > 1:
        found.append(f"Calibration {calibration.name} was measured without pipeline parallelism.")
    return found
