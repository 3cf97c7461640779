"""The engine in this process, stepped by hand: every step's exact composition, and its times."""

import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.profile_grid import Limits
from sim.errors import InputError
from sim.steptime.shape import StepShape

AS_MEASURED = ("--no-enable-prefix-caching",)
"""Prompts are random, so the cache would never hit; off, it does not keep finished prompts either. Step times do not
depend on it but for the hashing of full blocks, microseconds a request."""
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine core in this process; its workers as vllm serve has them
    "VLLM_NO_USAGE_STATS": "1",
}
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
"""Unless the user says otherwise."""
RESERVED = 256
"""Lowest token ids are left alone: special tokens lie there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that the engine made."""

    shape: StepShape
    wall_ms: float
    """schedule() to the end of update_from_output(); under async scheduling from the end of the step before."""
    model_ms: float
    """execute_model() until its output is there; under async scheduling from the output before."""


class Engine:
    """vLLM's engine with a recorder round its scheduler and its executor."""

    def __init__(self, flags: Sequence[str], seed: int) -> None:
        """Start it.

        Args:
            flags: of `vllm serve`.
            seed: of the prompts' tokens.

        Raises:
            InputError: vLLM is missing, refuses the flags, or does not start.
        """
        self.llm = _start(flags)
        self.core: Any = self.llm.engine_core.engine_core
        self.config: Any = self.llm.vllm_config
        self.limits = _limits(self.core, self.config)
        self.recorder = _Recorder(self.core)
        self._random = random.Random(seed)
        self._vocabulary = int(self.config.model_config.get_vocab_size())
        self._count = 0

    @property
    def overlaps(self) -> bool:
        """Whether a step is scheduled while the one before runs (async scheduling)."""
        return self.core.batch_queue is not None

    def add(self, tokens: int, answer: int) -> str:
        """Queue a request of random tokens and return its name."""
        from vllm import SamplingParams  # noqa: PLC0415

        self._count += 1
        prompt = self._random.choices(range(RESERVED, self._vocabulary), k=tokens)
        # Greedy, like the requests of `trilemma measure` and vllm bench.
        params = SamplingParams(max_tokens=answer, ignore_eos=True, temperature=0.0, detokenize=False)
        name: str = self.llm.add_request(f"profile-{self._count}", {"prompt_token_ids": prompt}, params)
        self.recorder.prompts[name] = tokens
        return name

    def step(self) -> Step | None:
        """Let the engine do what it does at once; the step that ended in it, None if none did."""
        self.recorder.ended = None
        try:
            self.llm.step()
        except Exception as error:  # a worker that died, memory, a kernel: whatever vLLM raises
            raise InputError(f"the engine failed: {_short(error)}; what was measured is kept") from None
        return self.recorder.ended

    def abort(self, names: Sequence[str]) -> None:
        """Drop requests."""
        self.llm.abort_request(list(names), internal=True)

    def drain(self) -> None:
        """Drop all requests and wait for the batches in flight."""
        self.abort(list(self.recorder.prompts))
        while self.recorder.in_flight or self.core.scheduler.has_requests():
            self.llm.step()
        self.recorder.prompts.clear()

    def close(self) -> None:
        """Stop the workers."""
        self.llm.engine_core.shutdown()


class _Recorder:
    """Wraps three calls of the step loop (vllm/v1/engine/core.py:523, step and step_with_batch_queue)."""

    def __init__(self, core: Any) -> None:  # vLLM is imported lazily
        self.prompts: dict[str, int] = {}
        self.ended: Step | None = None
        self.in_flight: deque[tuple[Any, StepShape, float, float]] = deque()
        """By step: the scheduler's output, shape, start, model start."""
        self._last_end = self._last_output = 0.0
        self._scheduler = core.scheduler
        self._schedule: Callable[..., Any] = core.scheduler.schedule
        self._execute: Callable[..., Any] = core.model_executor.execute_model
        self._update: Callable[..., Any] = core.scheduler.update_from_output
        core.scheduler.schedule = self._on_schedule
        core.model_executor.execute_model = self._on_execute
        core.scheduler.update_from_output = self._on_update
        self._started = 0.0

    def _on_schedule(self, *args: object, **kwargs: object) -> object:
        self._started = time.perf_counter()
        return self._schedule(*args, **kwargs)

    def _on_execute(self, output: Any, *args: object, **kwargs: object) -> object:
        if output.total_num_scheduled_tokens:
            step = (output, shape_of(output, self.prompts), self._started, time.perf_counter())
            self.in_flight.append(step)
        return self._execute(output, *args, **kwargs)

    def _on_update(self, output: Any, *args: object, **kwargs: object) -> object:
        arrived = time.perf_counter()
        found = self._update(output, *args, **kwargs)
        if self.in_flight and self.in_flight[0][0] is output:
            _, shape, started, executed = self.in_flight.popleft()
            end = time.perf_counter()
            wall, model = end - max(started, self._last_end), arrived - max(executed, self._last_output)
            # Under async scheduling both are periods: outputs may come less evenly than steps end.
            self.ended = Step(shape, wall * 1e3, min(model, wall) * 1e3)
            self._last_end, self._last_output = end, arrived
        return found


def shape_of(output: Any, prompts: dict[str, int]) -> StepShape:
    """Sum up what vLLM's SchedulerOutput lets the model do.

    Args:
        output: with tokens computed before the step, and new ones, by request.
        prompts: tokens of every request's prompt.
    """
    before = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
    cached = output.scheduled_cached_reqs
    before.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
    tokens = seqs = pairs = decodes = context = sampled = 0
    for name, new in output.num_scheduled_tokens.items():
        old = before[name]
        sampled += old + new >= prompts[name]
        if new == 1:
            decodes += 1
            context += old + 1
        else:
            tokens += new
            seqs += 1
            pairs += new * old + new * (new + 1) // 2
    return StepShape(tokens, seqs, pairs, decodes, context, sampled)


@contextmanager
def engine(flags: Sequence[str], seed: int) -> Iterator[Engine]:
    """An engine for the length of a context."""
    running = Engine(flags, seed)
    try:
        yield running
    finally:
        running.close()


def _start(flags: Sequence[str]) -> Any:
    os.environ.update(ENVIRONMENT)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415
    from vllm.platforms import current_platform  # noqa: PLC0415
    from vllm.usage.usage_lib import UsageContext  # noqa: PLC0415
    from vllm.v1.engine.llm_engine import LLMEngine  # noqa: PLC0415

    arguments = AsyncEngineArgs.from_cli_args(_parsed([*flags, *AS_MEASURED]))
    arguments.skip_tokenizer_init = True
    arguments.disable_log_stats = True
    if current_platform.is_cpu():  # vllm serve gives the worker a process and its threads cores; so do we
        arguments.distributed_executor_backend = "mp"
    try:
        # Defaults depend on the context: those of the API server are meant.
        config = arguments.create_engine_config(UsageContext.OPENAI_API_SERVER)
        return LLMEngine.from_vllm_config(config, UsageContext.OPENAI_API_SERVER, disable_log_stats=True)
    except Exception as error:  # configuration, weights, memory, drivers: whatever vLLM raises
        raise InputError(f"the engine did not start: {_short(error)}") from None


def _short(error: Exception) -> str:
    """An error of vLLM's on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _parsed(flags: Sequence[str]) -> Any:
    """Read the flags as `vllm serve` does.

    Raises:
        InputError: it does not know one.
    """
    from vllm.entrypoints.launchers.cli_args import make_arg_parser  # noqa: PLC0415
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415

    parser = FlexibleArgumentParser()

    def refuse(message: str) -> None:
        raise InputError(f"vLLM's flags: {message}")

    parser.error = refuse
    return make_arg_parser(parser).parse_args(list(flags))


def _limits(core: Any, config: Any) -> Limits:
    scheduler, compilation = config.scheduler_config, config.compilation_config
    blocks = int(config.cache_config.num_gpu_blocks)
    graphs = () if config.model_config.enforce_eager else tuple(sorted(compilation.cudagraph_capture_sizes or ()))
    return Limits(
        budget=int(core.scheduler.max_num_scheduled_tokens),
        seqs=int(scheduler.max_num_seqs),
        model_len=int(config.model_config.max_model_len),
        blocks=blocks - 1 - int(scheduler.watermark * blocks),
        block_size=int(config.cache_config.block_size),
        chunked=bool(scheduler.enable_chunked_prefill),
        threshold=int(scheduler.long_prefill_token_threshold),
        graphs=graphs,
    )
