"""Engines that pad: a batch runs from its prefill to its longest answer, and nobody joins it.

All prompts are padded to the longest, an answer that is complete leaves its seat to padding, and KV is reserved for
the longest prompt and the largest max_tokens in every seat. A replica runs one batch at a time; one that does not fit
in the KV cache or in max_num_seqs is cut, and the rest is the next. Tokens stream out as they come. There is no prefix
cache, no priority and no preemption.

A batch's whole future is known when it starts, so there are events only where somebody outside could notice: steps
between them are accounted for in one go.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine import Engines
from sim.engine.batch import Batch, Rows
from sim.engine.batching import Batcher, Batching, Waiting
from sim.engine.memory import EngineLimits
from sim.engine.steps import steps
from sim.kernel.layout import FINISHED, GONE, NEVER, REPLICA, REQUEST, RUNNING, WAITING
from sim.request import Requests
from sim.steptime.cost import StepCost

_NEVER = int(NEVER)

PADDED = np.dtype(
    [
        ("prefill_tokens", np.int64),
        ("prefill_pairs", np.int64),
        ("decode_tokens", np.int64),
        ("context_tokens", np.int64),
        ("sampled", np.int64),
        ("kv_reserved_ns", np.float64),  # integral over time of the tokens for which batches reserve KV
        ("kv_held_ns", np.float64),  # ... of the tokens of live sequences
    ]
)
"""What replicas computed for nothing: sums as in a step's shape (sim.steptime.shape), of padding alone."""


class PaddedEngines(Engines):
    """All replicas of a fleet whose engines pad."""

    def __init__(
        self,
        limits: Sequence[EngineLimits],
        kinds: Sequence[int],
        costs: Sequence[StepCost],
        weight_bytes: Sequence[NDArray[np.float64]],
        requests: Requests,
        priority: NDArray[np.int32],
        batching: Sequence[Batching],
    ) -> None:
        """Lay out memory for one run; `batching` of each kind of replica, the rest as of `Engines`."""
        super().__init__(limits, kinds, costs, weight_bytes, requests, priority)
        self.padded: NDArray[np.void] = np.zeros(len(kinds), PADDED)
        plain = self.state.replicas.view(REPLICA, np.ndarray)  # a recarray's rows are slow
        self._replicas: list[np.void] = [plain[r] for r in range(len(plain))]
        self._tries = self.state.requests.view(REQUEST, np.ndarray)
        self._policies = [batching[kind] for kind in kinds]
        self._costs = [costs[kind] for kind in kinds]
        self._weight_bytes = [weight_bytes[kind] for kind in kinds]
        self._queues: list[Batcher] = [one.batcher() for one in self._policies]
        self._ready: list[deque[list[int]]] = [deque() for _ in kinds]
        self._batches: list[Batch | None] = [None for _ in kinds]
        self._heap: list[tuple[int, int]] = []
        self._ended: list[int] = []

    def enqueue(self, replica: int, row: int, now: int, *, watched: bool) -> None:
        """Give an unsent row to a replica at `now`; a watched one stops `advance` when it ends."""
        r = replica
        self._account(r, now)
        one = self._tries[row]
        for name, value in (("arrival_ns", now), ("replica", r), ("status", WAITING), ("watched", watched)):
            one[name] = value
        self._replicas[r]["waiting"] += 1
        self.state.outstanding[r] += 1
        self._clock["unfinished"] += 1
        self._queues[r].add(Waiting(row, int(one["prompt_tokens"]), now))
        self._reschedule(r, now)

    def abort(self, row: int, now: int) -> bool:
        """Take a row out of its engine at `now`; its place in a running batch stays, as padding."""
        if not self.is_open(row):
            return False
        r = int(self._tries["replica"][row])
        self._account(r, now)
        self._progress(r, now)
        batch = self._batches[r]
        if self._tries["status"][row] == RUNNING:
            assert batch is not None
            batch.leave(row)
        else:
            self._queues[r].remove(row)
            kept = ([one for one in batch if one != row] for batch in self._ready[r])
            self._ready[r] = deque(batch for batch in kept if batch)
        self._leave(r, np.array([row], np.int64), GONE, now)
        self._reschedule(r, now)
        return True

    def evict(self, replica: int, now: int) -> NDArray[np.int32]:
        """The replica dies at `now`: returns the rows it held; from then on it is as good as new."""
        r = replica
        self._account(r, now)
        self._progress(r, now)
        gone = self.held(r)
        self._leave(r, gone.astype(np.int64), GONE, now)
        self._queues[r] = self._policies[r].batcher()
        self._ready[r].clear()
        self._free(r)
        self._replicas[r]["halted"] = 0
        self._reschedule(r, now)
        return gone

    def halt(self, replica: int, now: int) -> None:
        """The replica hangs from `now` on: it takes rows and serves none, until `evict`."""
        self._account(replica, now)
        self._progress(replica, now)
        self._replicas[replica]["halted"] = 1
        self._reschedule(replica, now)

    def held(self, replica: int) -> NDArray[np.int32]:
        """Rows in an engine: running in admission order, then waiting: ready batches, then the queue."""
        batch = self._batches[replica]
        running = [] if batch is None else batch.rows[np.isin(batch.rows, batch.live)].tolist()
        ready = [row for rows in self._ready[replica] for row in rows]
        return np.array([*running, *ready, *self._queues[replica].rows()], np.int32)

    def advance(self, horizon: int) -> NDArray[np.int32] | None:
        """Process everything before `horizon`. If watched rows end or any are forgotten, stop there and return them."""
        while self._heap and self._heap[0][0] < horizon:
            now, r = heapq.heappop(self._heap)
            if self.state.next_ns[r] != now:
                continue
            self.state.next_ns[r] = _NEVER
            self._clock["now_ns"] = now
            self._happen(r, now)
            self._reschedule(r, now)
            if self._ended:
                ended, self._ended = self._ended, []
                return np.array(ended, np.int32)
        return None

    def settle(self, now: int) -> None:
        """Bring the counters up to the end of the run."""
        for r in range(len(self._replicas)):
            self._account(r, now)
            self._progress(r, now)

    def _replace(self, **arrays: NDArray[Any]) -> None:
        super()._replace(**arrays)
        self._tries = self.state.requests.view(REQUEST, np.ndarray)

    # What happens at a replica

    def _happen(self, r: int, now: int) -> None:
        self._account(r, now)
        self._progress(r, now + 1)
        batch = self._batches[r]
        if batch is not None:
            complete = batch.leave_complete()
            self._leave(r, complete, FINISHED, now)
            self._ended += [int(row) for row in complete if self._tries["watched"][row]]
            if batch.over(now):
                self._free(r)
        if self._due(r) <= now:
            formed = self._queues[r].form()
            self._ready[r].extend(formed.batches)
            self._leave(r, np.array(formed.forgotten, np.int64), GONE, now)
            self._ended += formed.forgotten
        if self._batches[r] is None and self._ready[r]:
            self._start(r, now)

    def _start(self, r: int, now: int) -> None:
        """Run the next batch, or as much of it as fits: at least one request, by the check of sim.memory."""
        requests, replica = self._tries, self._replicas[r]
        rows = np.array(self._ready[r].popleft(), np.int64)
        longest = [np.maximum.accumulate(requests[name][rows]) for name in ("prompt_tokens", "max_tokens")]
        seqs = np.arange(1, len(rows) + 1)
        blocks = seqs * -(-(longest[0] + longest[1]) // replica["block_size"])
        fit = int(np.count_nonzero((blocks <= replica["free_blocks"]) & (seqs <= replica["seats"])))
        if fit < len(rows):
            self._ready[r].appendleft(rows[fit:].tolist())
            rows = rows[:fit]
        outputs, prompt = requests["output_tokens"][rows].astype(np.int64), int(longest[0][fit - 1])
        plan = steps(self._costs[r], int(replica["budget"]), fit, prompt, int(outputs.max()))
        self._batches[r] = Batch(rows, outputs, prompt, int(blocks[fit - 1]), plan, now)
        requests["status"][rows] = RUNNING
        requests["first_scheduled_ns"][rows] = requests["last_scheduled_ns"][rows] = now
        requests["tokens"][rows] = requests["prompt_tokens"][rows]
        replica["waiting"] -= fit
        replica["running"] += fit
        replica["free_blocks"] -= blocks[fit - 1]
        replica["peak_running"] = max(int(replica["peak_running"]), fit)

    def _free(self, r: int) -> None:
        batch, self._batches[r] = self._batches[r], None
        if batch is not None:
            self._replicas[r]["free_blocks"] += batch.blocks

    def _leave(self, r: int, rows: Rows, status: int, now: int) -> None:
        if not len(rows):
            return
        requests, replica = self._tries, self._replicas[r]
        running = int(np.count_nonzero(requests["status"][rows] == RUNNING))
        replica["running"] -= running
        replica["waiting"] -= len(rows) - running
        self.state.outstanding[r] -= len(rows)
        self._clock["unfinished"] -= len(rows)
        requests["status"][rows] = status
        if status == GONE:
            requests["left_ns"][rows] = now

    # When

    def _due(self, r: int) -> int:
        queue = self._queues[r]
        free = self._batches[r] is None and not self._ready[r]
        return queue.due() if free or not queue.needs_engine else _NEVER

    def _reschedule(self, r: int, now: int) -> None:
        batch = self._batches[r]
        at = min(self._due(r), _NEVER if batch is None else batch.next_ns())
        at = _NEVER if self._replicas[r]["halted"] else max(at, now)
        if at != self.state.next_ns[r]:
            self.state.next_ns[r] = at
            if at < _NEVER:
                heapq.heappush(self._heap, (at, r))

    # Accounts

    def _account(self, r: int, now: int) -> None:
        """Bring the time integrals of a replica up to `now` (sim.kernel.accounts)."""
        replica = self._replicas[r]
        span, waiting = now - int(replica["accounted_ns"]), int(replica["waiting"])
        replica["accounted_ns"] = now
        replica["block_ns"] += span * int(replica["num_blocks"] - 1 - replica["free_blocks"])
        replica["system_ns"] += span * (int(replica["running"]) + waiting)
        replica["waiting_ns"] += span * waiting

    def _progress(self, r: int, before: int) -> None:
        """Account for the steps that ended before a time, and deliver their tokens."""
        batch = self._batches[r]
        if batch is None or self._replicas[r]["halted"]:
            return
        first, last = batch.ended(before)
        if first < last:
            self._book(r, batch, first, last)
            if batch.produced:
                self._deliver(batch, first, last)

    def _book(self, r: int, batch: Batch, first: int, last: int) -> None:
        replica, padded, plan, span = self._replicas[r], self.padded[r], batch.steps, slice(first, last)
        took, tokens = plan.took_ns[span], plan.tokens[span]
        replica["steps"] += last - first
        replica["busy_ns"] += took.sum()
        replica["device_fs"] += plan.device_fs[span].sum()
        replica["comm_fs"] += plan.comm_fs[span].sum()
        replica["weight_bytes"] += self._weight_bytes[r][tokens].sum()
        replica["peak_step_tokens"] = max(int(replica["peak_step_tokens"]), int(tokens.max()))
        live, prompts = len(batch.live), self._tries["prompt_tokens"][batch.live].astype(np.int64)
        own, seqs, longest = int(prompts.sum()), batch.seqs, batch.prompt
        if first < plan.passes <= last:
            pairs = int((prompts * (prompts + 1) // 2).sum())
            replica["prefill_tokens"] += own
            replica["prefill_pairs"] += pairs
            replica["sampled"] += live
            padded["prefill_tokens"] += seqs * longest - own
            padded["prefill_pairs"] += seqs * (longest * (longest + 1) // 2) - pairs
            padded["sampled"] += seqs - live
        after = np.maximum(np.arange(first, last) - plan.passes + 1, 0)  # output tokens in the KV cache, by step
        decodes, output = int(np.count_nonzero(after)), int(after.sum())
        context = decodes * own + live * output
        replica["decode_tokens"] += decodes * live
        replica["sampled"] += decodes * live
        replica["context_tokens"] += context
        padded["decode_tokens"] += decodes * (seqs - live)
        padded["sampled"] += decodes * (seqs - live)
        padded["context_tokens"] += seqs * (decodes * longest + output) - context
        padded["kv_reserved_ns"] += float(batch.blocks * replica["block_size"]) * float(took.sum())
        padded["kv_held_ns"] += float((took * (own + live * after)).sum())

    def _deliver(self, batch: Batch, first: int, last: int) -> None:
        requests, live, passes, produced = self._tries, batch.live, batch.steps.passes, batch.produced
        if first < passes:
            requests["first_token_ns"][live] = batch.ends[passes - 1]
        requests["produced"][live] = produced
        requests["last_token_ns"][live] = batch.ends[last - 1]
        requests["tokens"][live] = requests["prompt_tokens"][live] + produced - 1
        answers = live[(requests["answer_at"][live] <= produced) & (requests["answer_token_ns"][live] < 0)]
        requests["answer_token_ns"][answers] = batch.ends[passes - 2 + requests["answer_at"][answers]]
        gaps = batch.steps.took_ns[max(first, passes) : last]
        if len(live):
            short = gaps[gaps < 2**32]
            self._itl.append((short.astype(np.uint32), np.full(len(short), len(live), np.uint16)))
            self._long_itl.append(np.repeat(gaps[gaps >= 2**32], len(live)))
