"""A step profile: engine steps of exact composition, repeated in random order, within a time budget."""

import datetime
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.flags import only_pool, serve_flags
from harness.profile_engine import AS_MEASURED, Engine, engine
from harness.profile_files import CONFIG, Journal
from harness.profile_grid import Grid, Visit, grid
from harness.profile_visits import MissedError, measure, warm_up
from harness.server import require_vllm
from sim import catalog
from sim.errors import InputError
from sim.scenario.load import Loaded

SEED = 20260101
"""Of the order of the visits and of the prompts' tokens."""

Report = Callable[[int, int], None]
"""Called with the visits made and those planned."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to profile."""

    loaded: Loaded
    extra: tuple[str, ...] = ()
    """Further `vllm serve` flags."""
    minutes: float | None = None
    """Of the whole command, the engine's start included; None: until the first tier of the grid is measured."""
    repeats: int = 3

    @property
    def flags(self) -> list[str]:
        """Of `vllm serve`."""
        return serve_flags(self.loaded.scenario, self.loaded.base_dir, self.extra)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a profile ended."""

    steps: int
    """Rows in steps.csv."""
    visits: int
    planned: int


def profile(order: Order, out: Path, report: Report) -> Ending:
    """Measure what is not yet measured, and write it all; a stop (Ctrl-C) keeps what was measured.

    Args:
        order: what to profile.
        out: folder of the profile; one of an earlier, unfinished profile is gone on with.
        report: told after every visit.

    Raises:
        InputError: vLLM is missing or refuses the flags, `out` is of something else, the time was too short.
    """
    require_vllm()
    began = time.monotonic()
    until = None if order.minutes is None else began + 60 * order.minutes
    flags = order.flags
    with engine(flags, SEED) as running:
        planned = _within(grid(running.limits), order.minutes)
        # The number of KV blocks is not the same at every start on a GPU, so it identifies nothing.
        journal = Journal(out, {"flags": flags, "gpu": _device(), "vllm_version": _version()})
        _copy_config(order, journal)
        sequence = list(_sequence(planned.visits, order.repeats))
        about = _about(order, running, planned)
        try:
            _make(running, sequence, journal, about, until, report)
        finally:
            made = sum(journal.done(visit.name, repeat) for visit, repeat in sequence)
            steps = journal.write(about | {"complete": made == len(sequence)})
            journal.close()
    if not steps:
        raise InputError(f"--minutes {order.minutes}: found no time left after the engine's start, expected more")
    return Ending(steps, made, len(sequence))


def _make(
    running: Engine,
    sequence: Sequence[tuple[Visit, int]],
    journal: Journal,
    about: dict[str, Any],
    until: float | None,
    report: Report,
) -> None:
    """Make the visits that are missing, as far as there is time; the files are whole after every one."""
    todo = [(visit, repeat) for visit, repeat in sequence if not journal.done(visit.name, repeat)]
    if todo:
        warm_up(running)
    for visit, repeat in todo:
        began = time.monotonic()
        if until is not None and began + journal.seconds(visit.name) >= until:
            continue
        try:
            steps, missed = measure(running, visit), ""
        except MissedError as error:
            steps, missed = [], str(error)
        journal.add(visit.name, repeat, steps, missed, time.monotonic() - began)
        journal.write(about | {"complete": False})
        report(sum(journal.done(one.name, which) for one, which in sequence), len(sequence))


def _sequence(visits: Sequence[Visit], repeats: int) -> Iterator[tuple[Visit, int]]:
    """Tier by tier, all repeats of one before the next; each repeat in a random order of its own.

    So a stop leaves whole repeats of a coarse grid, and a drift of the machine falls on all sizes alike.
    """
    order = random.Random(SEED)
    for tier in sorted({visit.tier for visit in visits}):
        for repeat in range(repeats):
            round_ = [visit for visit in visits if visit.tier == tier]
            order.shuffle(round_)
            yield from ((visit, repeat) for visit in round_)


def _within(planned: Grid, minutes: float | None) -> Grid:
    """The first tier, unless there is a time to fill."""
    if minutes is not None:
        return planned
    first = tuple(visit for visit in planned.visits if visit.tier == 0)
    finer = {"visits of the finer grid, for which --minutes gives the time": len(planned.visits) - len(first)}
    return Grid(first, planned.left_out | finer)


def _copy_config(order: Order, journal: Journal) -> None:
    """Put the config.json that the scenario names beside the profile, which then can be moved."""
    pool = only_pool(order.loaded.scenario)
    model = pool.model or order.loaded.scenario.model
    if model not in catalog.model_ids():
        path = order.loaded.base_dir / model
        journal.put(CONFIG, (path / CONFIG if path.is_dir() else path).read_text(encoding="utf-8"))


def _about(order: Order, running: Engine, planned: Grid) -> dict[str, Any]:
    scenario = order.loaded.scenario
    pool = only_pool(scenario)
    model = pool.model or scenario.model
    stated = {} if pool.engine is None else {key: getattr(pool.engine, key) for key in pool.engine.model_fields_set}
    settings = scenario.engine.model_copy(update=stated).model_dump(mode="json")
    scheduler = running.config.scheduler_config
    settings |= {  # as the engine resolved them
        "async_scheduling": bool(scheduler.async_scheduling),
        "enable_chunked_prefill": bool(scheduler.enable_chunked_prefill),
        "max_num_batched_tokens": int(scheduler.max_num_batched_tokens),
        "max_num_seqs": int(scheduler.max_num_seqs),
        "max_model_len": running.limits.model_len,
    }
    return {
        "model": model if model in catalog.model_ids() else CONFIG,
        "gpu": pool.gpu,
        "device": _device(),
        "tensor_parallel_size": pool.tensor_parallel_size,
        "pipeline_parallel_size": pool.pipeline_parallel_size,
        "vllm_version": _version(),
        "flags": order.flags,
        "flags_added": list(AS_MEASURED),
        "num_gpu_blocks": int(running.config.cache_config.num_gpu_blocks),
        "block_size": running.limits.block_size,
        "engine": settings,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": SEED,
        "repeats": order.repeats,
        "left_out": planned.left_out,
        "limits": asdict(running.limits),
    }


def _version() -> str:
    from vllm.version import __version__  # noqa: PLC0415

    return str(__version__)


def _device() -> str:
    """Name of the GPU, or of the CPU."""
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.processor()} ({len(named)} cores)"
