"""A calibration on disk: fitted efficiencies, their uncertainty, what was measured, and how wrong it is.

`trilemma calibrate` writes one, a scenario names one (`step_time: {kind: calibrated, calibration: ...}`): by the name
of a shipped one (sim/calibrations) or by the path of a file.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from sim.catalog.types import Model
from sim.errors import InputError
from sim.scenario.base import Block, Count, NonNegative, NotABoolean, Positive
from sim.scenario.reading import read_file
from sim.scenario.sentences import sentence, suggest

FOLDER = Path(__file__).with_name("calibrations")


Metric = Literal["ttft", "tpot", "itl", "e2el", "request_throughput", "step"]
"""vLLM bench's, ms and requests/s; step: the time of one engine step, ms."""


class Measured(Block):
    """The hull of what was measured; a scenario that leaves it is warned of."""

    gpus: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Catalogue ids."""
    models: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Catalogue ids, or architectures of models from a config.json."""
    tensor_parallel_sizes: Annotated[tuple[Count, ...], Field(min_length=1, strict=False)]
    weight_dtypes: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """In which precision the linear layers' weights were."""
    enforce_eager: bool
    """Whether there were no CUDA graphs."""
    max_num_batched_tokens: Count
    """Largest token budget of a step that was measured."""
    max_num_seqs: Count
    """Most requests that were running at once."""
    max_context: Count
    """Longest context of a request, tokens."""


class Residuals(Block):
    """What remained of the step times once the physics was fitted: factors by size, linear in between."""

    tokens: Annotated[tuple[Count, ...], Field(min_length=1, strict=False)]
    """Tokens of a step with prefill, ascending."""
    mixed: Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)]
    seqs: Annotated[tuple[Count, ...], Field(min_length=1, strict=False)]
    """Sequences of a decode-only step, ascending."""
    decode: Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _paired(self) -> "Residuals":
        for sizes, factors in ((self.tokens, self.mixed), (self.seqs, self.decode)):
            if len(sizes) != len(factors) or list(sizes) != sorted(set(sizes)):
                raise ValueError("sizes must ascend and have one factor each")
        return self


class Draws(Block):
    """Joint posterior draws: a row is one plausible truth."""

    names: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    rows: Annotated[tuple[Annotated[tuple[Positive, ...], Field(strict=False)], ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _rectangular(self) -> "Draws":
        for row in self.rows:
            if len(row) != len(self.names):
                raise ValueError(f"a row has {len(row)} values for {len(self.names)} names")
        return self


class Score(Block):
    """Errors of predictions of points that the fit had not seen; shares, signed as predicted / measured - 1."""

    held_out: str
    """What was left out together: concurrency, tensor_parallel_size, gpu, points, ... or `priors`: all of them."""
    metric: Metric
    points: Count
    mape: NonNegative
    """Mean absolute error."""
    bias: float
    """Mean error."""
    p50: NonNegative
    p90: NonNegative
    p99: NonNegative
    """Percentiles of the absolute error."""
    worst: str
    """Which point, and its error."""
    coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the points within their 95 % interval."""


class Parity(Block):
    """One held-out point: what was measured and what was predicted, with a 95 % interval."""

    point: str
    metric: Metric
    held_out: str
    measured: NonNegative
    predicted: NonNegative
    low: NonNegative | None = None
    high: NonNegative | None = None
    saturated: bool = False
    """The queue grew: a small error of the step time becomes a large one of the latency."""


class Calibration(Block):
    """Everything about one engine generation on one kind of machine."""

    schema_version: Annotated[Literal[1], NotABoolean]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
    description: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    engine: str
    """What was measured, with its version; engine generations are never pooled."""
    sources: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    """Where each measurement came from, and when."""
    dropped: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Measurements that were not used, with the reason."""
    measured: Measured
    parameters: dict[str, Positive]
    """Fields of sim.steptime.efficiency.Efficiency; what is left out stays at its prior."""
    residuals: Residuals | None = None
    draws: Draws | None = None
    card: Annotated[tuple[Score, ...], Field(strict=False)] = ()
    parity: Annotated[tuple[Parity, ...], Field(strict=False)] = ()

    def to_yaml(self) -> str:
        """The file's text; the same calibration gives the same bytes."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def known_as(model: Model) -> str:
    """How a hull names a model: by its catalogue id, or by the architecture of one from a config.json."""
    return model.architecture if model.id.endswith(".json") else model.id


def shipped() -> list[str]:
    """Names of the shipped calibrations."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(named: str, base_dir: Path) -> Calibration:
    """Read a calibration: a shipped one by its name, else a file relative to `base_dir`.

    Raises:
        InputError: there is none, or the file is malformed.
    """
    if named in shipped():
        return _read(FOLDER / f"{named}.yaml")
    path = base_dir / named
    if not path.is_file() and not path.suffix:
        raise InputError(
            f"step_time.calibration: found {named!r}, neither a file nor shipped, "
            f"{suggest(named, shipped(), 'shipped are')}"
        )
    return _read(path)


@cache
def _read(path: Path) -> Calibration:
    if not path.is_file():
        raise InputError(f"{path}: found no such file, expected a calibration as `trilemma calibrate` writes it")
    data = read_file(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: found no keys, expected a calibration as `trilemma calibrate` writes it")
    try:
        return Calibration.model_validate(data)
    except ValidationError as error:
        raise InputError(sentence(error, str(path))) from None
