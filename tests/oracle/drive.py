"""The engine loop around a scheduler, without a clock: what every party to the differential test is driven by."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tests.oracle.case import Config, Req, Step

MAX_STEPS = 1500
"""Where a run is cut: a request too big for the KV cache can be preempted and admitted again for ever."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A client gives up; a request that has not come yet or has ended is not there to abort."""

    call: int
    """Number of the engine call around which it happens."""
    during_step: bool
    """Read just before the outputs of a step are processed, else with the arrivals, before schedule()."""
    id: int


class Scheduler(Protocol):
    """A scheduler under test."""

    def add(self, req: Req) -> None:
        """Put a new request into the waiting queue."""

    def schedule(self, call: int) -> Step:
        """Plan one step."""

    def update(self) -> tuple[int, ...]:
        """Apply the outputs of the oldest step in flight; return the requests that finished, in order."""

    def abort(self, id: int) -> bool:
        """Take a request out, whatever it is doing; returns whether it was there."""

    def unfinished(self) -> bool:
        """Whether any request is waiting or running."""


def drive(scheduler: Scheduler, config: Config, reqs: Sequence[Req], aborts: Sequence[Abort] = ()) -> list[Step]:
    """Run the requests to their end and return a record by schedule() call.

    One pass of the loop is vLLM's `EngineCore.step`, or `step_with_batch_queue` with two batches in flight if
    scheduling is asynchronous (v1/engine/core.py:657, 704): new requests and aborts are taken in, schedule() is
    called, and unless the queue of batches still has room aborts are read again and the outputs of the oldest batch
    are processed. An empty batch has no outputs and is not kept. Passes are numbered; while the engine has nothing to
    do the number jumps to the next arrival. The run also ends when schedule() plans nothing, preempts nothing, no
    batch is in flight and no request or abort is to come: the head of the queue can never be served (vLLM goes on
    trying every millisecond).
    """
    depth = 2 if config.async_scheduling else 1
    pending = deque(sorted(reqs, key=lambda req: (req.arrival_step, req.id)))
    given_up = deque(sorted(aborts, key=lambda abort: (abort.call, abort.during_step)))
    steps: list[Step] = []
    in_flight = 0
    call = 0

    def read_aborts(*, during_step: bool) -> None:
        while given_up and (given_up[0].call, given_up[0].during_step) <= (call, during_step):
            scheduler.abort(given_up.popleft().id)

    while len(steps) < MAX_STEPS:
        if in_flight == 0 and not scheduler.unfinished():
            if not pending:
                return steps
            call = max(call, pending[0].arrival_step)
        while pending and pending[0].arrival_step <= call:
            scheduler.add(pending.popleft())
        read_aborts(during_step=False)
        planned = False
        if scheduler.unfinished():
            steps.append(scheduler.schedule(call))
            planned = bool(steps[-1].scheduled)
            in_flight += planned
        if in_flight == depth or (in_flight and not planned):
            read_aborts(during_step=True)
            finished = scheduler.update()
            steps[-1] = replace(steps[-1], finished=steps[-1].finished + finished)
            in_flight -= 1
        elif in_flight == 0 and not (steps and steps[-1].preempted):
            ahead = [req.arrival_step for req in list(pending)[:1]] + [abort.call for abort in list(given_up)[:1]]
            if not ahead:
                return steps
            call = max(call, min(ahead) - 1)
        call += 1
    return steps
