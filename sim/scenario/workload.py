"""The traffic: arrivals, lengths, shared prefixes, sessions, classes; or a recorded trace."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.base import Block, Count, NonNegative, Positive, Share, Tokens
from sim.scenario.slo import Slo


class Poisson(Block):
    """Independent arrivals at a constant rate."""

    kind: Literal["poisson"]
    request_rate: Positive
    """Requests a second."""


class Gamma(Block):
    """`vllm bench serve` arrivals: gamma gaps, rescaled so that the last request is sent at num_prompts / rate."""

    kind: Literal["gamma"]
    request_rate: Positive
    burstiness: Positive = 1.0
    """Shape of the gamma gaps: 1 is Poisson, smaller is burstier (as `--burstiness`)."""


class Constant(Block):
    """Evenly spaced arrivals."""

    kind: Literal["constant"]
    request_rate: Positive


class Ramp(Block):
    """Poisson arrivals whose rate changes linearly from start to end over duration_s, then stays."""

    kind: Literal["ramp"]
    start_rate: NonNegative
    end_rate: Positive
    duration_s: Positive


class Diurnal(Block):
    """Poisson arrivals whose rate follows a sine between trough and peak."""

    kind: Literal["diurnal"]
    mean_rate: Positive
    peak_to_mean: Annotated[float, Field(ge=1, le=2)] = 1.5
    """Peak rate over mean rate; the trough mirrors it."""
    period_s: Positive = 86400.0
    peak_at_s: NonNegative = 50400.0
    """Time of the peak within the period."""


class OnOff(Block):
    """Bursts: Poisson at on_rate and off_rate in turn, for exponential times."""

    kind: Literal["on_off"]
    on_rate: Positive
    off_rate: NonNegative = 0.0
    mean_on_s: Positive
    mean_off_s: Positive


class ClosedLoop(Block):
    """A fixed number of requests in flight: each next one is sent when one ends (`--max-concurrency`)."""

    kind: Literal["closed_loop"]
    concurrency: Count


Arrivals = Annotated[Poisson | Gamma | Constant | Ramp | Diurnal | OnOff | ClosedLoop, Field(discriminator="kind")]


class FixedLength(Block):
    """Always the same number of tokens."""

    kind: Literal["fixed"]
    tokens: Tokens


class UniformLength(Block):
    """vLLM bench's random lengths: integers in [tokens * (1 - range_ratio), tokens * (1 + range_ratio)]."""

    kind: Literal["uniform"]
    tokens: Tokens
    range_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0


class LognormalLength(Block):
    """Lognormal lengths with the given mean and standard deviation, clipped to [min_tokens, max_tokens]."""

    kind: Literal["lognormal"]
    mean_tokens: Positive
    std_tokens: Positive
    min_tokens: Tokens = 1
    max_tokens: Tokens = 1_000_000


Length = Annotated[FixedLength | UniformLength | LognormalLength, Field(discriminator="kind")]


class SeparateLengths(Block):
    """Input and output lengths drawn independently."""

    kind: Literal["separate"]
    input: Length
    output: Length


class EmpiricalLengths(Block):
    """Input and output lengths drawn together from a table."""

    kind: Literal["empirical"]
    table: str
    """A shipped table (`azure2023-conv`, ...) or the path of a CSV: input_low, input_high, output_low, output_high,
    weight; lengths are drawn uniformly within a row's bounds, which are inclusive."""


Lengths = Annotated[SeparateLengths | EmpiricalLengths, Field(discriminator="kind")]


class SharedPrefix(Block):
    """System prompts: each session starts with one of `prompts` texts of `tokens` tokens, beside its input length."""

    tokens: Tokens
    prompts: Count = 1
    """Different prompts, chosen uniformly."""


class Sessions(Block):
    """Multi-turn chats: each turn's prompt is the whole conversation so far plus the newly drawn input."""

    turns: Count
    """Mean number of turns a session; geometric."""
    think_s: NonNegative
    """Mean pause between an answer and the next turn; exponential."""


class RequestClass(Block):
    """One kind of request among several; what is left out is taken from the workload."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    share: Positive
    """Weight among the classes (for sessions: of sessions)."""
    lengths: Lengths | None = None
    shared_prefix: SharedPrefix | None = None
    sessions: Sessions | None = None
    reasoning_share: Share | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    """Smaller is served first under `scheduling_policy: priority`."""
    slo: Slo | None = None
    model: str | None = None
    """Which of the fleet's models it asks for; default the scenario's."""


class Bursts(Block):
    """Requests that come in bursts: the same ones in the same order, at another time; the mean rate stays."""

    every_s: Positive
    for_s: Positive
    """In the middle of every `every_s`, the rate is `times` what it was for so long, and lower in between."""
    times: Annotated[float, Field(ge=1, le=1e6)]

    @model_validator(mode="after")
    def _mean_kept(self) -> "Bursts":
        if self.times * self.for_s > self.every_s:
            raise ValueError(
                f"times: found {self.times:g} times for {self.for_s:g} s, more than all that comes in every_s "
                f"({self.every_s:g}), expected times x for_s up to every_s"
            )
        return self


class LongContext(Block):
    """Prompts that are longer than they were drawn or recorded; answers and everything else stay."""

    share: Share
    """Of the requests (of conversations, where there are some)."""
    tokens: Tokens
    """Their prompts have at least so many tokens; what is added is shared with no other request."""


class Synthetic(Block):
    """Traffic drawn from distributions."""

    kind: Literal["synthetic"]
    num_prompts: Annotated[int, Field(ge=1, le=100_000_000)]
    """Requests in all (as `--num-prompts`)."""
    arrivals: Arrivals
    lengths: Lengths
    shared_prefix: SharedPrefix | None = None
    sessions: Sessions | None = None
    reasoning_share: Share = 0.0
    """Share of each output that is reasoning, before the first token of the answer."""
    classes: tuple[RequestClass, ...] = Field(default=(), strict=False)
    bursts: Bursts | None = None
    long_context: LongContext | None = None

    @model_validator(mode="after")
    def _bursts_in_time(self) -> "Synthetic":
        if self.bursts is not None and isinstance(self.arrivals, ClosedLoop):
            raise ValueError("bursts: found with arrivals of kind closed_loop, expected arrivals that have times")
        return self

    @model_validator(mode="after")
    def _unique_classes(self) -> "Synthetic":
        names = [klass.name for klass in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"class names must differ, found {names}")
        return self


TraceFormat = Literal["azure", "mooncake", "burstgpt", "servegen", "qwen-bailian", "vllm-bench", "csv"]


class Trace(Block):
    """Recorded traffic, replayed: a named public trace, or a file and its format."""

    kind: Literal["trace"]
    trace: str | None = None
    """A named public trace (`trilemma data list`)."""
    path: str | None = None
    format: TraceFormat | None = None
    rate_scale: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """Arrivals come this many times as fast."""
    start_s: NonNegative = 0.0
    end_s: Positive | None = None
    """Keep requests sent in [start_s, end_s) of the recording."""
    max_requests: Count | None = None
    reasoning_share: Share = 0.0
    """Where the trace does not record it."""
    bursts: Bursts | None = None
    long_context: LongContext | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Trace":
        if (self.trace is None) == (self.path is None):
            raise ValueError("give either trace (a named public trace) or path and format")
        if (self.path is None) != (self.format is None):
            raise ValueError("path and format go together")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s ({self.end_s}) must be after start_s ({self.start_s})")
        return self


Workload = Annotated[Synthetic | Trace, Field(discriminator="kind")]
