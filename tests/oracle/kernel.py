"""The compiled scheduler and engine behind the vocabulary of the oracles."""

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from sim.engine import EngineLimits, Engines
from sim.kernel import commit, queues, schedule
from sim.kernel.jit import entry
from sim.kernel.layout import FINISHED, NIL, WAITING
from sim.request import Requests
from sim.steptime.cost import StepCost
from tests.oracle.case import Config, Req, Step
from tests.oracle.drive import Abort, drive
from tests.oracle.engine import Times


def free_cost(tokens: int, seqs: int) -> StepCost:
    """A StepCost under which every step takes 1 ns."""
    t, s = np.zeros(tokens + 1, np.int64), np.zeros(seqs + 1, np.int64)
    flat = np.zeros((seqs + 1, 1), np.int64)
    return StepCost(t, s, np.zeros(1, np.int64), flat, flat, 0, s, s, True, t, s)


def columns(reqs: Sequence[Req]) -> Requests:
    """Oracle requests as the columns that the simulator draws."""
    n = len(reqs)
    counts = [len(req.segments) for req in reqs]
    flat = [segment for req in reqs for segment in req.segments]
    return Requests(
        arrival_ns=np.zeros(n, np.int64),
        prompt_tokens=np.array([req.prompt_tokens for req in reqs], np.int32),
        output_tokens=np.array([req.output_tokens for req in reqs], np.int32),
        max_tokens=np.array([req.max_tokens for req in reqs], np.int32),
        klass=np.zeros(n, np.int16),
        reasoning_tokens=np.zeros(n, np.int32),
        own_stream=np.array([req.own_stream for req in reqs], np.int64),
        after=np.full(n, -1, np.int32),
        segment_offset=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        segment_stream=np.array([stream for stream, _ in flat], np.int64),
        segment_end=np.array([end for _, end in flat], np.int32),
        classes=("all",),
    )


def engines(config: Config, reqs: Sequence[Req], cost: StepCost | None = None, replicas: int = 1) -> Engines:
    """The compiled engine under a configuration; request i is reqs[i]."""
    limits = EngineLimits(
        max_num_batched_tokens=config.max_num_batched_tokens,
        max_num_seqs=config.max_num_seqs,
        max_model_len=config.max_model_len,
        block_size=config.block_size,
        num_gpu_blocks=config.num_gpu_blocks,
        enable_prefix_caching=config.enable_prefix_caching,
        enable_chunked_prefill=config.enable_chunked_prefill,
        long_prefill_token_threshold=config.long_prefill_token_threshold,
        priority=config.policy == "priority",
        reserve_full_isl=config.reserve_full_isl,
        watermark=config.watermark,
        async_scheduling=config.async_scheduling,
        index_hit=config.index_ppm / 1_000_000,
    )
    if cost is None:
        cost = free_cost(config.max_num_batched_tokens, config.max_num_seqs)
    priority = np.array([req.priority for req in reqs], np.int32)
    weights = np.zeros(config.max_num_batched_tokens + 1)
    return Engines([limits], [0] * replicas, [cost], [weights], columns(reqs), priority)


@entry
def _push(box, request):
    queues.push(box.state, box.state.replicas[0], request, False)


@entry
def _schedule(box, slot, now):
    schedule.schedule(box.state, 0, slot, now)


@entry
def _commit(box, slot):
    commit.commit(box.state, 0, slot, 0)


class KernelScheduler:
    """The kernel's schedule() and commit(), called one by one."""

    def __init__(self, config: Config, reqs: Sequence[Req]) -> None:
        self._engines = engines(config, reqs)
        self._state = self._engines.state
        self._box = self._engines.box
        self._by_priority = config.policy == "priority"
        self._index = {req.id: index for index, req in enumerate(reqs)}
        self._ids = [req.id for req in reqs]
        self._in_flight: deque[int] = deque()
        self._free_slots = deque([0, 1])

    def add(self, req: Req) -> None:
        index = self._index[req.id]
        row = self._state.requests[index]
        row.arrival_ns = req.arrival_step
        row.status = WAITING
        row.replica = 0
        _push(self._box, index)

    def abort(self, id: int) -> bool:
        return self._engines.abort(self._index[id], 0)

    def unfinished(self) -> bool:
        replica = self._state.replicas[0]
        return bool(replica.running + replica.waiting)

    def schedule(self, call: int) -> Step:
        state, replica = self._state, self._state.replicas[0]
        slot = self._free_slots[0]
        before = self._queue()
        preempted_before = state.requests.preemptions.copy()
        running_before = self._running()
        _schedule(self._box, slot, call)
        plan = state.plans[0, slot]
        scheduled = [(self._ids[entry.request], int(entry.tokens)) for entry in state.entries[: plan.entries, slot]]
        if plan.entries:
            self._in_flight.append(self._free_slots.popleft())
        preempted = {self._ids[i] for i in np.flatnonzero(state.requests.preemptions > preempted_before)}
        tokens = dict(scheduled)
        admitted = [one for one in self._running() if one in before]
        cached = [(one, self._computed(one) - tokens[one]) for one in admitted]
        assert plan.preempted == len(preempted)
        return Step(
            call,
            scheduled=tuple(scheduled),
            preempted=self._in_order(one for one in running_before if one in preempted),
            cached=tuple(cached),
            running=tuple(self._running()),
            waiting=tuple(self._queue()),
            free_blocks=int(replica.free_blocks),
        )

    def update(self) -> tuple[int, ...]:
        slot = self._in_flight.popleft()
        entries = self._state.entries[: self._state.plans[0, slot].entries, slot]
        batch = [int(entry.request) for entry in entries]
        open_before = [i for i in batch if self._state.requests[i].status < FINISHED]
        _commit(self._box, slot)
        self._free_slots.append(slot)
        return tuple(self._ids[i] for i in open_before if self._state.requests[i].status == FINISHED)

    def _in_order(self, preempted: Iterable[int]) -> tuple[int, ...]:
        """Last admitted or worst first. The kernel keeps no record: who, and the queue they leave, is the evidence."""
        if not self._by_priority:
            return tuple(reversed(list(preempted)))

        def rank(one: int) -> tuple[int, int, int]:
            row = self._state.requests[self._index[one]]
            return int(row.priority), int(row.arrival_ns), one

        return tuple(sorted(preempted, key=rank, reverse=True))

    def _computed(self, one: int) -> int:
        return int(self._state.seats[self._state.requests[self._index[one]].seat].computed)

    def _running(self) -> list[int]:
        seats = self._state.running[: self._state.replicas[0].running]
        return [self._ids[self._state.seats[seat].request] for seat in seats]

    def _queue(self) -> list[int]:
        queue = []
        at = self._state.replicas[0].first_waiting
        while at != NIL:
            queue.append(self._ids[at])
            at = self._state.requests[at].next
        return queue


def run_kernel(config: Config, reqs: Sequence[Req], aborts: Sequence[Abort] = ()) -> list[Step]:
    """Drive the compiled scheduler through the requests."""
    return drive(KernelScheduler(config, reqs), config, reqs, aborts)


def run_kernel_engine(
    config: Config, cost: StepCost, reqs: Sequence[Req], arrival_ns: Sequence[int], horizons: Sequence[int] = ()
) -> tuple[list[Times], list[int]]:
    """Serve the requests on the compiled engine; returns their times and all ITLs, sorted.

    `horizons`: further instants at which the world stops the engine, which must change nothing.
    """
    engine = engines(config, reqs, cost)
    stops = sorted([(at, 0, -1) for at in horizons] + [(at, 1, index) for index, at in enumerate(arrival_ns)])
    for at, _, index in stops:
        engine.advance(at)
        if index >= 0:
            engine.enqueue(0, index, at, watched=False)
    engine.advance(2**62)
    gaps, counts = engine.take_itl()
    times = []
    for row in engine.state.requests:
        done = row.status == FINISHED
        token_ns = [int(row.first_token_ns)] if row.first_token_ns >= 0 else []
        if done and row.output_tokens > 1:
            token_ns.append(int(row.last_token_ns))
        times.append(
            Times(
                int(row.first_scheduled_ns),
                int(row.last_scheduled_ns),
                token_ns,
                bool(done),
                int(row.cached_tokens),
                int(row.preemptions),
            )
        )
    return times, np.sort(np.repeat(gaps.astype(np.int64), counts)).tolist()
