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
call preempted somebody (core.py:1613-1617); otherwise it waits for the next arrival or abort: nothing else can change
the state. Aborts come before the outputs of a step that ends at that instant (core.py, `_process_aborts_queue`). An
engine that hangs goes on taking requests and aborts; after a crash a new one is there at once, with nothing in it.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import simpy

from sim.steptime.cost import StepCost, step_ns
from sim.steptime.shape import StepShape
from tests.oracle.case import Config, Req
from tests.oracle.naive import Chunk, NaiveScheduler

RETRY_NS = 1_000_000


class Act(NamedTuple):
    """What is done to an engine from outside."""

    at: int
    do: Literal["add", "abort", "halt", "crash"]
    req: Req | None = None
    """To add or abort."""


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
    left_ns: int = -1
    """When it was aborted, or its engine crashed."""
    tokens: int = 0
    """Scheduled for it in all."""

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
        prefill_pairs=sum(one.tokens * one.computed + one.tokens * (one.tokens + 1) // 2 for one in prefill),
        decode_seqs=len(decode),
        context_tokens=sum(chunk.computed + 1 for chunk in decode),
        sampled=sum(chunk.samples for chunk in chunks),
    )


def load_fs(cost: StepCost, chunks: Sequence[Chunk]) -> int:
    """What a batch loads through the KV connector, one request after the other, before it computes."""
    return sum(cost.load_fs + chunk.loaded * cost.load_block_fs for chunk in chunks if chunk.loaded)


class NaiveEngine:
    """One replica."""

    def __init__(self, config: Config, cost: StepCost) -> None:
        self.config = config
        self.cost = cost

    def run(self, reqs: Sequence[Req], arrival_ns: Sequence[int]) -> list[Times]:
        """Serve the requests; `arrival_ns` replaces their arrival_step."""
        sent = sorted(zip(arrival_ns, reqs, strict=True), key=lambda one: (one[0], one[1].id))
        times = self.play([Act(at, "add", req) for at, req in sent])
        return [times[req.id] for req in reqs]

    def play(self, script: Sequence[Act]) -> dict[int, Times]:
        """Serve what a script adds, in order of time; returns what happened to each request, by id."""
        self.shapes: list[StepShape] = []
        """Of every step that ended."""
        self.aborted: list[bool] = []
        """Of each abort, whether the request was there."""
        self.lost: list[list[int]] = []
        """Requests running and then waiting at each crash."""
        self.block_ns = self.system_ns = self.waiting_ns = 0
        """Integrals over time of blocks in use, requests in the engine, requests in its queue."""
        self._script = deque(script)
        self._times = {act.req.id: Times() for act in script if act.do == "add" and act.req is not None}
        env = simpy.Environment(initial_time=0)
        env.process(self._live(env))
        env.run()
        return self._times

    def _live(self, env: simpy.Environment) -> Generator[simpy.Event]:
        while self._script:
            yield from self._serve(env, NaiveScheduler(self.config))

    def _serve(self, env: simpy.Environment, scheduler: NaiveScheduler) -> Generator[simpy.Event]:
        """From a fresh start to the next crash, or until there is nothing left to do."""
        depth = 2 if self.config.async_scheduling else 1
        ends: deque[int] = deque()
        device_free = 0
        while (yield from self._wait(env, scheduler, now(env))):
            planned = preempted = False
            if scheduler.unfinished():
                planned, preempted = self._schedule(scheduler, now(env))
            if planned:
                chunks = scheduler.in_flight[-1]
                took = step_ns(self.cost, step_shape(chunks), load_fs(self.cost, chunks))
                device_free = max(now(env), device_free) + took
                ends.append(device_free)
            if len(ends) == depth or (ends and not planned):
                if not (yield from self._wait(env, scheduler, ends.popleft())):
                    return
                self._apply(scheduler, now(env))
            elif not ends:
                if not preempted and not self._script:
                    return
                until = now(env) + RETRY_NS if preempted else self._script[0].at
                if not (yield from self._wait(env, scheduler, until)):
                    return

    def _wait(
        self, env: simpy.Environment, scheduler: NaiveScheduler, until: int
    ) -> Generator[simpy.Event, None, bool]:
        """Let time pass and do what the script says on the way; False if the engine died or hangs for ever."""
        hung = False
        while self._script and (hung or self._script[0].at <= until):
            act = self._script.popleft()
            yield from self._pass(env, scheduler, act.at)
            if act.do == "crash":
                lost = [state.req.id for state in (*scheduler.running, *scheduler.waiting)]
                self.lost.append(lost)
                for id in lost:
                    self._times[id].left_ns = act.at
                return False
            if act.do == "halt":
                hung = True
                continue
            assert act.req is not None
            if act.do == "add":
                scheduler.add(replace(act.req, arrival_step=act.at))
            else:
                self.aborted.append(scheduler.abort(act.req.id))
                if self.aborted[-1]:
                    self._times[act.req.id].left_ns = act.at
        if not hung:
            yield from self._pass(env, scheduler, until)
        return not hung

    def _pass(self, env: simpy.Environment, scheduler: NaiveScheduler, until: int) -> Generator[simpy.Event]:
        span = until - now(env)
        yield env.timeout(span)
        self.block_ns += span * (self.config.num_gpu_blocks - 1 - len(scheduler.pool.free))
        self.system_ns += span * (len(scheduler.running) + len(scheduler.waiting))
        self.waiting_ns += span * len(scheduler.waiting)

    def _schedule(self, scheduler: NaiveScheduler, at: int) -> tuple[bool, bool]:
        """Call schedule(): whether it planned and whether it preempted something."""
        step = scheduler.schedule(call=0)
        for id, hit in step.cached:
            record = self._times[id]
            if record.first_scheduled_ns < 0:
                record.first_scheduled_ns = at
                record.cached_tokens = hit
            record.last_scheduled_ns = at
        for id in step.preempted:
            self._times[id].preemptions += 1
        for id, tokens in step.scheduled:
            self._times[id].tokens += tokens
        return bool(step.scheduled), bool(step.preempted)

    def _apply(self, scheduler: NaiveScheduler, at: int) -> None:
        self.shapes.append(step_shape(scheduler.in_flight[0]))
        batch = [(chunk.state, chunk.state.known) for chunk in scheduler.in_flight[0]]
        finished = scheduler.update()
        for state, known in batch:
            if state.known > known:
                self._times[state.req.id].token_ns.append(at)
        for id in finished:
            self._times[id].finished = True
