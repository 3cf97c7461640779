"""Where a design stands to what calibrations measured. Runs in a worker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibrate.learnt import Learnt, learnt
from sim.calibration import Calibration, known_as, load, shipped
from sim.deployment import Deployment, deploy
from sim.result import Run
from sim.run import simulate
from sim.scenario.load import Loaded
from sim.scenario.load import load as load_scenario
from sim.steptime.layers import weight_dtype
from sim.study.evaluation import Design, Evaluation, silent, told


@dataclass(frozen=True, slots=True)
class Card:
    """A calibration to be shown, and what it learnt."""

    calibration: Calibration
    """Without its draws."""
    learnt: tuple[Learnt, ...]
    shipped: dict[str, Calibration]
    """All that are shipped, without what makes them large."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What of a pool's replicas a hull speaks of."""

    name: str
    gpu: str
    model: str
    tensor_parallel_size: int
    pipeline_parallel_size: int
    weight_dtype: str
    enforce_eager: bool


@dataclass(frozen=True, slots=True)
class Point:
    """How one replica worked in one replication."""

    pool: str
    requests: float
    """Running at once, mean over the steps (of those in decode)."""
    tokens: float
    """Of a step, mean."""
    most_requests: int
    most_tokens: int


@dataclass(frozen=True, slots=True)
class Operating:
    """Where a design operates."""

    evaluation: Evaluation
    pools: tuple[Pool, ...]
    points: tuple[Point, ...]
    longest: int
    """Context of a request, tokens."""


def card(design: Design, named: str) -> Card:
    """Read a calibration, shipped or named relative to the design's scenario.

    Raises:
        InputError: there is none.
    """
    loaded = _loaded(design)
    found = load(named, loaded.base_dir)
    return Card(found.model_copy(update={"draws": None}), tuple(learnt(found)), _shipped())


@dataclass(frozen=True, slots=True)
class Side:
    """One way in which a design may leave what was measured."""

    what: str
    measured: str
    mine: str
    inside: bool


def sides(calibration: Calibration, known: Operating) -> tuple[Side, ...]:
    """Hold a design against a hull, as sim/steptime/calibrated.py and sim/deployment.py do for their warnings."""
    hull, pools, points = calibration.measured, known.pools, known.points
    sets = (
        ("GPU", hull.gpus, {one.gpu for one in pools}),
        ("Model", hull.models, {one.model for one in pools}),
        ("Tensor parallel", hull.tensor_parallel_sizes, {one.tensor_parallel_size for one in pools}),
        ("Pipeline parallel", (1,), {one.pipeline_parallel_size for one in pools}),
        ("Weights in", hull.weight_dtypes, {one.weight_dtype for one in pools}),
        ("Enforce eager", (hull.enforce_eager,), {one.enforce_eager for one in pools}),
    )
    tops = (
        ("Tokens a step", hull.max_num_batched_tokens, max((one.most_tokens for one in points), default=0)),
        ("Requests running at once", hull.max_num_seqs, max((one.most_requests for one in points), default=0)),
        ("Context, tokens", hull.max_context, known.longest),
    )
    return (
        *(Side(what, _join(there), _join(sorted(mine)), mine <= set(there)) for what, there, mine in sets),
        *(Side(what, f"up to {most:,}", f"up to {reached:,}", reached <= most) for what, most, reached in tops),
    )


def _join(words: Iterable[object]) -> str:
    return ", ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in words)


def operating(design: Design) -> Operating:
    """Simulate a design and see where its steps lie.

    Raises:
        InputError: it cannot be built.
    """
    loaded = _loaded(design)
    run = simulate(loaded, progress=silent)
    deployments = deploy(loaded.scenario, loaded.base_dir)
    reached = max(
        int((one.requests.prompt_tokens.astype(np.int64) + one.requests.output_tokens).max(initial=0))
        for one in run.replications
    )
    return Operating(
        told(design, loaded.sha256, run),
        tuple(_pool(one) for one in deployments),
        tuple(_points(run)),
        min(reached, max(one.defaults.max_model_len for one in deployments)),
    )


def _shipped() -> dict[str, Calibration]:
    light = {"draws": None, "parity": (), "residuals": None}
    return {name: load(name, Path()).model_copy(update=light) for name in shipped()}


def _loaded(design: Design) -> Loaded:
    return load_scenario(Path(design.source), design.settings, design.variant)


def _pool(one: Deployment) -> Pool:
    return Pool(
        one.pool.pool,
        one.gpu.id,
        known_as(one.model),
        one.layout.tensor_parallel_size,
        one.layout.pipeline_parallel_size,
        weight_dtype(one.model, one.engine),
        one.engine.enforce_eager,
    )


def _points(run: Run) -> Sequence[Point]:
    found = []
    for one in run.replications:
        for info, row in zip(run.replicas, one.counters, strict=True):
            if steps := int(row["steps"]):
                tokens = int(row["prefill_tokens"]) + int(row["decode_tokens"])
                found.append(
                    Point(
                        info.pool,
                        int(row["decode_tokens"]) / steps,
                        tokens / steps,
                        int(row["peak_running"]),
                        int(row["peak_step_tokens"]),
                    )
                )
    return found
