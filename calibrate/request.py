"""What a user asks to be calibrated from, and what of it goes into the file: hull, sources, description."""

from dataclasses import dataclass

from calibrate import write
from calibrate.profiles import Profile
from calibrate.results import Result, Served
from sim.calibration import Calibration, Measured, known_as
from sim.errors import InputError
from sim.steptime.layers import weight_dtype
from sim.steptime.shape import StepShape


@dataclass(frozen=True, slots=True)
class Request:
    """What to calibrate from, and under which name."""

    profiles: tuple[Profile, ...]
    results: tuple[Result, ...]
    unseen: tuple[Result, ...]
    """Predicted by the calibration and scored in its card, never fitted."""
    name: str
    engine: str
    prior: Calibration | None


def one_gpu(request: Request) -> tuple[str, ...]:
    """The GPU that all measurements share.

    Raises:
        InputError: there are several, or several versions of the engine.
    """
    every = (*request.results, *request.unseen)
    gpus = write.names([one.replica.gpu.id for one in request.profiles] + [_gpu(one) for one in every])
    if len(gpus) > 1:
        raise InputError(f"found measurements on {' and '.join(gpus)}, expected one GPU: calibrate each on its own")
    stated = [one.version for one in request.profiles] + [one.version for one in every if one.version]
    versions = write.names(stated)
    if len(versions) > 1:
        raise InputError(
            f"found measurements of vLLM {' and '.join(versions)}, expected one version: engine generations are "
            "never pooled"
        )
    return gpus


def hull(request: Request) -> Measured:
    """What was measured, in all."""
    benches = [Served(one) for one in request.results]
    pools = [one.deployment for one in benches]
    replicas = [one.replica for one in request.profiles]
    models = [one.model for one in replicas] + [one.model for one in pools]
    engines = [one.engine for one in replicas] + [one.engine for one in pools]
    layouts = [one.layout for one in replicas] + [one.layout for one in pools]
    shapes = [shape for one in request.profiles for shape in one.shapes]
    return Measured(
        gpus=one_gpu(request),
        models=write.names([known_as(one) for one in models]),
        tensor_parallel_sizes=tuple(sorted({one.tensor_parallel_size for one in layouts})),
        weight_dtypes=write.names([weight_dtype(*one) for one in zip(models, engines, strict=True)]),
        enforce_eager=all(one.enforce_eager for one in engines),
        max_num_batched_tokens=max(
            [shape.prefill_tokens + shape.decode_seqs for shape in shapes]
            + [one.defaults.max_num_batched_tokens for one in pools]
        ),
        max_num_seqs=max(
            [shape.prefill_seqs + shape.decode_seqs for shape in shapes] + [one.concurrency for one in benches]
        ),
        max_context=max([_context(shape) for shape in shapes] + [one.longest for one in benches]),
    )


def sources(request: Request) -> list[str]:
    """A line for each measurement."""
    every = [
        f"step profile {one.path.name}: {len(one.shapes)} distinct steps of {one.replica.model.architecture}, "
        f"vLLM {one.version}, {one.date}"
        for one in request.profiles
    ]
    for results, use in ((request.results, "fitted"), (request.unseen, "predicted only")):
        every += [f"served run {one.point.name}: {use}, {one.date}" for one in results]
    return every


def description(request: Request) -> str:
    """What the fit rests on, in a sentence."""
    parts = []
    if request.profiles:
        parts.append(f"{sum(len(one.shapes) for one in request.profiles)} distinct engine steps")
    if request.results:
        many = len(request.results)
        parts.append(f"{many} served run{'s' if many > 1 else ''}, fitted by simulating")
    return f"{' and '.join(parts)}."


def _gpu(result: Result) -> str:
    return result.point.loaded.scenario.fleet[0].gpu


def _context(shape: StepShape) -> int:
    """Mean context that a step's requests reach, of the longer kind."""
    decode = shape.context_tokens / max(shape.decode_seqs, 1)
    prefill = shape.prefill_tokens / max(shape.prefill_seqs, 1)
    before = shape.prefill_pairs / max(shape.prefill_tokens, 1) - (prefill + 1) / 2
    return max(1, round(max(decode, before + prefill)))
