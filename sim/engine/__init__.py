"""The replicas' engines: the Python face of the compiled kernel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.memory import EngineLimits, lay_out, table_width
from sim.errors import InputError
from sim.kernel import advance as kernel
from sim.kernel import evict, probe, rows
from sim.kernel.layout import FINISHED, REQUEST, WAITING, box
from sim.request import Requests
from sim.steptime.cost import StepCost
from sim.units import NS_PER_S

__all__ = ["EngineLimits", "Engines"]


class Engines:
    """All replicas of a fleet. Times are integer nanoseconds.

    They serve tries of requests, by row number: row i < n is the first try of drawn request i, `another` adds rows.
    """

    padded: NDArray[np.void] | None = None
    """Engines that pad count what they compute for nothing (sim.engine.padded)."""

    def __init__(
        self,
        limits: Sequence[EngineLimits],
        kinds: Sequence[int],
        costs: Sequence[StepCost],
        weight_bytes: Sequence[NDArray[np.float64]],
        requests: Requests,
        priority: NDArray[np.int32],
    ) -> None:
        """Lay out memory for one run.

        Args:
            limits: of each kind of replica.
            kinds: for each replica, the index of its limits and cost.
            costs: step times of each kind.
            weight_bytes: for each kind, bytes of weights read in a step, by its tokens (float64[T + 1]).
            requests: drawn before the run.
            priority: int32[n], smaller first, for engines under the priority policy.
        """
        self._itl: list[tuple[NDArray[np.uint32], NDArray[np.uint16]]] = []
        self._long_itl: list[NDArray[np.int64]] = []
        self.state = lay_out(limits, kinds, costs, weight_bytes, requests, priority)
        self.box = box(self.state)
        self._clock = self.state.clock[0]
        self._used = len(requests)

    @property
    def rows(self) -> NDArray[np.void]:
        """REQUEST[tries so far] (see sim.kernel.layout), valid until the next `another`."""
        return self.state.requests[: self._used]

    def another(self, request: int, output_tokens: int | None = None) -> int:
        """Add a further try of drawn request `request` and return its row.

        It has the same content and priority. Where its answer's length differs it is `output_tokens`, and max_tokens
        is raised to that if it is less.
        """
        row, tries = self._used, self.state.requests
        if output_tokens is None:
            output_tokens = int(tries["output_tokens"][request])
        if row == len(tries):
            room = np.zeros(2 * row, REQUEST).view(np.recarray)
            room[:row] = tries
            self._replace(requests=room)
        table = self.state.table
        width = table_width(int(tries["prompt_tokens"][request]) + output_tokens, self.state.replicas)
        if width > table.shape[1]:
            wider = np.zeros((len(table), 2 * width), np.int32)
            wider[:, : table.shape[1]] = table
            self._replace(table=wider)
        rows.another(self.box, row, request, output_tokens)
        self._used += 1
        return row

    def enqueue(self, replica: int, row: int, now: int, *, watched: bool) -> None:
        """Give an unsent row to a replica at `now`; a watched one stops `advance` when it ends."""
        kernel.enqueue(self.box, replica, row, now, watched)

    def watch(self, row: int) -> None:
        """Let this row stop `advance` when it ends."""
        self.state.requests["watched"][row] = 1

    def abort(self, row: int, now: int) -> bool:
        """Take a waiting or running row out of its engine at `now`; False if it is unsent or has left already.

        Its blocks are free at once; what a step under way computes for it is dropped.
        """
        return bool(evict.abort(self.box, row, now))

    def evict(self, replica: int, now: int) -> NDArray[np.int32]:
        """The replica dies at `now`: returns the rows it held, as `held` does; from then on it is as good as new.

        A step under way is not counted, like one that the end of the run cuts off.
        """
        gone: NDArray[np.int32] = evict.evict(self.box, replica, now)
        return gone

    def halt(self, replica: int, now: int) -> None:
        """The replica hangs from `now` on: it takes rows and serves none, until `evict`."""
        evict.halt(self.box, replica, now)

    def held(self, replica: int) -> NDArray[np.int32]:
        """Rows in an engine: running in admission order, then waiting in queue order."""
        held: NDArray[np.int32] = probe.held(self.box, replica)
        return held

    def is_open(self, row: int) -> bool:
        """Whether the row is in an engine: waiting, running or preempted."""
        return bool(WAITING <= self.state.requests["status"][row] < FINISHED)

    def unscheduled(self, row: int) -> bool:
        """Whether the row waits and was never scheduled."""
        return bool(self.state.requests["status"][row] == WAITING)

    def has_token(self, row: int) -> bool:
        """Whether a token of its answer has been delivered."""
        return bool(self.state.requests["produced"][row] > 0)

    def advance(self, horizon: int) -> NDArray[np.int32] | None:
        """Process everything before `horizon`. If watched rows end, stop there and return them; see `now`."""
        while True:
            why = kernel.advance(self.box, horizon)
            if why == kernel.DRAINED:
                return None
            if why == kernel.LOG_FULL:
                self._empty_logs()
            elif why == kernel.STUCK:
                raise InputError(
                    f"engine: at {self.now / NS_PER_S:.1f} s requests preempt each other without end, as they would in "
                    "vLLM; scheduler_reserve_full_isl: true or more KV blocks prevent it"
                )
            else:
                return self.state.ended[: self._clock["ended"]].copy()

    @property
    def now(self) -> int:
        """Time of the last step boundary."""
        return int(self._clock["now_ns"])

    @property
    def unfinished(self) -> int:
        """Rows given to replicas, neither finished nor gone."""
        return int(self._clock["unfinished"])

    def cached_blocks(self, members: NDArray[np.int32], request: int) -> NDArray[np.int64]:
        """Leading blocks of a request's (or row's) prompt that each of these replicas holds (int64[len(members)])."""
        hits: NDArray[np.int64] = probe.cached_blocks(self.box, members, request)
        return hits

    def kv_blocks(self, members: NDArray[np.int32]) -> NDArray[np.int64]:
        """KV blocks of these replicas, the null block apart."""
        blocks: NDArray[np.int64] = self.state.replicas["num_blocks"][members] - 1
        return blocks

    def settle(self, now: int) -> None:
        """Bring the counters up to the end of the run."""
        kernel.settle(self.box, now)

    def take_itl(self) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """All inter-token latencies (ns) and how many tokens share each; the logs are empty afterwards."""
        self._empty_logs()
        long_ns = np.concatenate(self._long_itl)
        size = sum(len(gaps) for gaps, _ in self._itl)
        itl_ns: NDArray[np.integer] = np.empty(size + len(long_ns), np.int64 if len(long_ns) else np.uint32)
        itl_count: NDArray[np.integer] = np.ones(len(itl_ns), np.uint16)
        itl_ns[size:] = long_ns
        while self._itl:  # frees each piece as it is copied
            gaps, counts = self._itl.pop()
            itl_ns[size - len(gaps) : size] = gaps
            itl_count[size - len(gaps) : size] = counts
            size -= len(gaps)
        self._long_itl.clear()
        return itl_ns, itl_count

    def _replace(self, **arrays: NDArray[Any]) -> None:
        self.state = self.state._replace(**arrays)
        self.box = box(self.state)

    def _empty_logs(self) -> None:
        state, clock = self.state, self._clock
        n, m = int(clock["itl"]), int(clock["long_itl"])
        self._itl.append((state.itl_ns[:n].copy(), state.itl_count[:n].copy()))
        self._long_itl.append(state.long_itl_ns[:m].copy())
        clock["itl"] = clock["long_itl"] = 0
