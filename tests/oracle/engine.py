"""A naive engine on SimPy: one process, one timeout a step, the naive scheduler inside.

When calls of schedule() happen (vllm/v1/engine/core.py of 0.32.0: busy loop 1539-1617, `step` 657,
`step_with_batch_queue` 704):

Sync. At a step boundary t the outputs of the step that ended are applied, then every request with arrival <= t is
added, then schedule() is called; the step that it plans runs from t to t + step_ns. An idle engine does the same when
a request arrives.

Async. Up to two batches are in flight; the device runs them one after the other. One pass of the loop: requests with
arrival <= now are added; schedule() is called; what it plans is queued and starts at max(now, end of the batch before
it); if now only one batch is in flight the next pass follows at once, otherwise the engine waits for the end of the
oldest batch and applies its outputs. Hence:

* On an idle engine an arrival at t has step k scheduled and started at t, and step k + 1 scheduled at t too.
* In the steady state schedule(k + 2) is called at the end of step k, when step k + 1 starts, knowing the outputs of k
  and placeholders for those of k + 1. An arrival during step k takes part in that call; its step starts at the end of
  step k + 1. That call's time is the request's scheduled time, as in vLLM.
* If schedule(k + 1) planned nothing (every request's last token is in flight), nothing is in flight at the end of
  step k: the call there plans a step that starts at once, and the one after it is scheduled at the same instant.

Both. A call that plans nothing takes no time. With nothing in flight, the engine sleeps 1 ms and calls again if the
call preempted somebody (core.py:1613-1617); otherwise it waits for the next arrival: nothing else can change the state.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import simpy

from sim.steptime.cost import StepCost, step_ns
from sim.steptime.shape import StepShape
from tests.oracle.case import Config, Req
from tests.oracle.naive import Chunk, NaiveScheduler

RETRY_NS = 1_000_000


@dataclass(slots=True)
class Times:
    """What happened to a request; times in ns, -1: never."""

    first_scheduled_ns: int = -1
    last_scheduled_ns: int = -1
    token_ns: list[int] = field(default_factory=list)
    finished: bool = False
    cached_tokens: int = 0
    """Prefix-cache hit at the first admission."""
    preemptions: int = 0

    @property
    def first_token_ns(self) -> int:
        return self.token_ns[0] if self.token_ns else -1

    @property
    def last_token_ns(self) -> int:
        """Time of the last token of a finished request."""
        return self.token_ns[-1] if self.finished else -1

    @property
    def itl_ns(self) -> list[int]:
        """Gaps between consecutive tokens."""
        return [late - early for early, late in zip(self.token_ns, self.token_ns[1:], strict=False)]


def now(env: simpy.Environment) -> int:
    """The clock; it holds whole ns because every delay is one (SimPy's type says float too)."""
    return int(env.now)


def step_shape(chunks: Sequence[Chunk]) -> StepShape:
    """Sum up a batch; a request with one token counts as decode."""
    prefill = [chunk for chunk in chunks if chunk.tokens > 1]
    decode = [chunk for chunk in chunks if chunk.tokens == 1]
    return StepShape(
        prefill_tokens=sum(chunk.tokens for chunk in prefill),
        prefill_seqs=len(prefill),
        prefill_pairs=sum(n * c + n * (n + 1) // 2 for _, n, c, _ in prefill),
        decode_seqs=len(decode),
        context_tokens=sum(chunk.computed + 1 for chunk in decode),
        sampled=sum(chunk.samples for chunk in chunks),
    )


class NaiveEngine:
    """One replica."""

    def __init__(self, config: Config, cost: StepCost) -> None:
        self.config = config
        self.cost = cost
        self.shapes: list[StepShape] = []
        """Of every step of the last run."""

    def run(self, reqs: Sequence[Req], arrival_ns: Sequence[int]) -> list[Times]:
        """Serve the requests; `arrival_ns` replaces their arrival_step."""
        self.shapes = []
        env = simpy.Environment(initial_time=0)
        timed = [replace(req, arrival_step=ns) for req, ns in zip(reqs, arrival_ns, strict=True)]
        times = {req.id: Times() for req in reqs}
        env.process(self._serve(env, timed, times))
        env.run()
        return [times[req.id] for req in reqs]

    def _serve(self, env: simpy.Environment, reqs: list[Req], times: dict[int, Times]) -> Generator[simpy.Event]:
        depth = 2 if self.config.async_scheduling else 1
        scheduler = NaiveScheduler(self.config)
        pending = deque(sorted(reqs, key=lambda req: (req.arrival_step, req.id)))
        ends: deque[int] = deque()
        device_free = 0
        while True:
            while pending and pending[0].arrival_step <= now(env):
                scheduler.add(pending.popleft())
            planned = preempted = False
            if scheduler.unfinished():
                step = scheduler.schedule(call=0)
                for id, hit in step.cached:
                    record = times[id]
                    if record.first_scheduled_ns < 0:
                        record.first_scheduled_ns = now(env)
                        record.cached_tokens = hit
                    record.last_scheduled_ns = now(env)
                for id in step.preempted:
                    times[id].preemptions += 1
                planned, preempted = bool(step.scheduled), bool(step.preempted)
            if planned:
                self.shapes.append(step_shape(scheduler.in_flight[-1]))
                device_free = max(now(env), device_free) + step_ns(self.cost, self.shapes[-1])
                ends.append(device_free)
            if len(ends) == depth or (ends and not planned):
                yield env.timeout(ends.popleft() - now(env))
                self._apply(scheduler, times, now(env))
            elif preempted and not ends:
                yield env.timeout(RETRY_NS)
            elif not ends:
                if not pending:
                    return
                yield env.timeout(pending[0].arrival_step - now(env))

    def _apply(self, scheduler: NaiveScheduler, times: dict[int, Times], at: int) -> None:
        batch = [(chunk.state, chunk.state.known) for chunk in scheduler.in_flight[0]]
        finished = scheduler.update()
        for state, known in batch:
            if state.known > known:
                times[state.req.id].token_ns.append(at)
        for id in finished:
            times[id].finished = True
