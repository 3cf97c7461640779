"""A naive padded engine: one step after the other, one token after the other, as the text of the policies reads.

Order of things at one instant: arrivals, aborts; then the step that ends; then the timers; then the next batch starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sim.steptime.cost import StepCost, step_ns
from sim.steptime.shape import StepShape

NEVER = 2**62
SUMS = ("prefill_tokens", "prefill_pairs", "decode_tokens", "context_tokens", "sampled")


class Job(NamedTuple):
    """One request."""

    arrival: int
    prompt: int
    output: int
    max_tokens: int
    abort: int = NEVER


@dataclass(slots=True)
class Fate:
    """What became of it."""

    started: int = -1
    tokens: list[int] = field(default_factory=list)
    """When each came."""
    forgotten: int = -1
    aborted: int = -1
    """When it was aborted inside the engine."""


class NaiveStatic:
    """Fill or time out."""

    def __init__(self, size: int, wait: int) -> None:
        self.size, self.wait = size, wait
        self.queue: list[tuple[int, Job]] = []

    def next(self, free: bool) -> int:
        if not (free and self.queue):
            return NEVER
        return 0 if len(self.queue) >= self.size else self.queue[0][1].arrival + self.wait

    def fire(self, now: int, free: bool) -> tuple[list[list[tuple[int, Job]]], list[tuple[int, Job]]]:
        if not free or not self.queue:
            return [], []
        if len(self.queue) < self.size and now < self.queue[0][1].arrival + self.wait:
            return [], []
        batch, self.queue = self.queue[: self.size], self.queue[self.size :]
        return [batch], []


class NaiveTimer:
    """All that came within `wait` of the first; or `cap` of them as soon as so many wait."""

    def __init__(self, wait: int, cap: int | None) -> None:
        self.wait, self.cap = wait, cap
        self.queue: list[tuple[int, Job]] = []

    def next(self, free: bool) -> int:
        return self.queue[0][1].arrival + self.wait if self.queue else NEVER

    def fire(self, now: int, free: bool) -> tuple[list[list[tuple[int, Job]]], list[tuple[int, Job]]]:
        batches = []
        while self.cap is not None and len(self.queue) >= self.cap:
            batches.append(self.queue[: self.cap])
            self.queue = self.queue[self.cap :]
        if self.queue and now >= self.queue[0][1].arrival + self.wait:
            batches.append(self.queue)
            self.queue = []
        return batches, []


class ArticleBatcher:
    """The article's DynamicBatcher, line by line, with its global tick; `longest` repairs it."""

    def __init__(self, size: int, wait: int, fill: float, tick: int | None, bounds: Sequence[int], longest: int | None):
        self.size, self.wait, self.fill, self.tick, self.longest = size, wait, fill, tick, longest
        self.edges = [0, *bounds, 10**9]
        self.queue: list[tuple[int, Job]] = []
        self.timer: int | None = None
        self.pending: list[tuple[int, list[tuple[int, Job]]]] = []
        self.at: int | None = None

    def next(self, free: bool) -> int:
        if self.queue and self.timer is None:
            self.timer = self.queue[0][1].arrival + self.wait
        return min(NEVER if self.timer is None else self.timer, NEVER if self.at is None else self.at)

    def fire(self, now: int, free: bool) -> tuple[list[list[tuple[int, Job]]], list[tuple[int, Job]]]:
        dropped: list[tuple[int, Job]] = []
        if self.timer is not None and now >= self.timer:
            self.timer = None
            dropped = self.flush(now)
        if self.pending and self.at is None:
            self.at = now if not self.tick else (now + self.tick - 1) // self.tick * self.tick
        if self.at is None or now < self.at:
            return [], dropped
        batches = [batch for group in range(len(self.edges)) for number, batch in self.pending if number == group]
        self.pending, self.at = [], None
        return batches, dropped

    def flush(self, now: int) -> list[tuple[int, Job]]:
        if len(self.queue) == 0:
            return []
        batched: list[int] = []
        for group, (low, high) in enumerate(zip(self.edges, self.edges[1:], strict=False)):
            batch = [one for one in self.queue if low < one[1].prompt <= high]
            if self.longest is None:
                if len(batch) >= self.size * self.fill and batch:
                    self.pending.append((group, batch))
                    batched += [one[0] for one in batch]
                continue
            while batch and (len(batch) >= self.size * self.fill or now - batch[0][1].arrival >= self.longest):
                self.pending.append((group, batch[: self.size]))
                batched += [one[0] for one in batch[: self.size]]
                batch = batch[self.size :]
        left = [one for one in self.queue if one[0] not in batched]
        if self.longest is None:
            self.queue = []
            return left
        self.queue = left
        self.timer = now + self.wait if left else None
        return []


class NaivePadded:
    """One replica."""

    def __init__(self, policy: NaiveStatic | NaiveTimer | ArticleBatcher, cost: StepCost, budget: int, blocks: int,
                 block_size: int, seats: int) -> None:  # fmt: skip
        self.policy, self.cost, self.budget = policy, cost, budget
        self.blocks, self.block_size, self.seats = blocks, block_size, seats
        self.shapes: list[StepShape] = []
        self.took: list[int] = []
        self.useful = dict.fromkeys(SUMS, 0)
        self.computed = dict.fromkeys(SUMS, 0)
        """Padding included; of prefills that came to their end."""
        self.prefill: list[StepShape] = []
        self.ended: list[StepShape] = []
        self.reserved = self.held = 0
        self.batches: list[int] = []

    def run(self, jobs: Sequence[Job]) -> list[Fate]:
        fates = [Fate() for _ in jobs]
        strikes = sorted([(job.arrival, 0, i) for i, job in enumerate(jobs)] + [
            (job.abort, 1, i) for i, job in enumerate(jobs) if job.abort < NEVER])  # fmt: skip
        ready: list[list[tuple[int, Job]]] = []
        batch: list[tuple[int, Job]] | None = None
        live: list[int] = []
        plan: list[tuple[StepShape, int]] = []
        begun = blocks = 0
        while True:
            ends = begun + self.took[-1] if batch is not None else NEVER
            now = min(strikes[0][0] if strikes else NEVER, ends, self.policy.next(batch is None and not ready))
            if now >= NEVER:
                return fates
            now = max(now, begun)
            while strikes and strikes[0][0] <= now:
                _, aborts, i = strikes.pop(0)
                if not aborts:
                    self.policy.queue.append((i, jobs[i]))
                elif i in live or not (fates[i].tokens or fates[i].forgotten >= 0 or fates[i].started >= 0):
                    fates[i].aborted = now
                    live = [one for one in live if one != i]
                    self._forget(i, ready)
            if now == ends:
                assert batch is not None
                shape, token = plan.pop(0)
                self._account(shape, token, live, jobs, blocks)
                if token:
                    for i in live:
                        fates[i].tokens.append(now)
                    live = [i for i in live if len(fates[i].tokens) < jobs[i].output]
                if live:
                    begun = now
                    self._step(plan)
                else:
                    batch = None
            formed, dropped = self.policy.fire(now, batch is None and not ready)
            ready += formed
            for i, _ in dropped:
                fates[i].forgotten = now
            if batch is None and ready:
                batch, rest = self._fit(ready.pop(0))
                if rest:
                    ready.insert(0, rest)
                self.batches.append(len(batch))
                live = [i for i, _ in batch]
                longest = max(job.prompt for _, job in batch)
                plan = self._plan(len(batch), longest, max(job.output for _, job in batch))
                blocks = self._need(batch)
                begun = now
                self.prefill = []
                for i in live:
                    fates[i].started = now
                self._step(plan)

    def _forget(self, i: int, ready: list[list[tuple[int, Job]]]) -> None:
        self.policy.queue = [one for one in self.policy.queue if one[0] != i]
        if not self.policy.queue and isinstance(self.policy, ArticleBatcher):
            self.policy.timer = None
        if isinstance(self.policy, ArticleBatcher):
            for _, waiting in self.policy.pending:
                waiting[:] = [one for one in waiting if one[0] != i]
            self.policy.pending = [one for one in self.policy.pending if one[1]]
        for waiting in ready:
            waiting[:] = [one for one in waiting if one[0] != i]
        ready[:] = [one for one in ready if one]

    def _step(self, plan: list[tuple[StepShape, int]]) -> None:
        self.shapes.append(plan[0][0])
        self.took.append(step_ns(self.cost, plan[0][0]))

    def _need(self, batch: list[tuple[int, Job]]) -> int:
        tokens = max(job.prompt for _, job in batch) + max(job.max_tokens for _, job in batch)
        return len(batch) * ((tokens + self.block_size - 1) // self.block_size)

    def _fit(self, batch: list[tuple[int, Job]]) -> tuple[list[tuple[int, Job]], list[tuple[int, Job]]]:
        size = min(len(batch), self.seats)
        while self._need(batch[:size]) > self.blocks:
            size -= 1
        return batch[:size], batch[size:]

    def _plan(self, seqs: int, prompt: int, answer: int) -> list[tuple[StepShape, int]]:
        """Shapes and, from the last prefill on, which token each gives."""
        shapes: list[tuple[StepShape, int]] = []
        to_go = seqs
        while to_go:
            together = min(to_go, max(self.budget // prompt, 1))
            to_go -= together
            done = 0
            while done < prompt:
                n = min(self.budget, prompt - done)
                if n == 1:
                    shape = StepShape(decode_seqs=together, context_tokens=together * (done + 1))
                else:
                    pairs = sum(done + k for k in range(1, n + 1))
                    shape = StepShape(together * n, together, together * pairs)
                shapes.append((shape, 0))
                done += n
        shapes[-1] = (shapes[-1][0]._replace(sampled=seqs), 1)
        for token in range(2, answer + 1):
            context = seqs * (prompt + token - 1)
            shapes.append((StepShape(decode_seqs=seqs, context_tokens=context, sampled=seqs), token))
        return shapes

    def _account(self, shape: StepShape, token: int, live: list[int], jobs: Sequence[Job], blocks: int) -> None:
        prompts = [jobs[i].prompt for i in live]
        output = max(token - 1, 0)
        self.reserved += self.took[-1] * blocks * self.block_size
        self.held += self.took[-1] * (sum(prompts) + len(live) * output)
        self.ended.append(shape)
        if token <= 1:
            self.prefill.append(shape)
        if token == 1:
            for one in self.prefill:
                self.computed["prefill_tokens"] += one.prefill_tokens + one.decode_seqs
                self.computed["prefill_pairs"] += one.prefill_pairs + one.context_tokens
            self.useful["prefill_tokens"] += sum(prompts)
            self.useful["prefill_pairs"] += sum(p * (p + 1) // 2 for p in prompts)
        elif token > 1:
            self.computed["decode_tokens"] += shape.decode_seqs
            self.computed["context_tokens"] += shape.context_tokens
            self.useful["decode_tokens"] += len(live)
            self.useful["context_tokens"] += sum(p + token - 1 for p in prompts)
        if token:
            self.computed["sampled"] += shape.sampled
            self.useful["sampled"] += len(live)
