"""Clients: they send the drawn requests, open loop or at a fixed concurrency, and go on with their sessions."""

from collections import deque
from collections.abc import Callable, Generator

import numpy as np
import simpy
from numpy.typing import NDArray

from sim.request import Requests
from sim.world import World

_CHUNK = 1 << 16
"""Requests that are Python objects at a time."""

Send = Callable[[int, bool], bool]
"""Sends a request (index, watched); False if it was settled at once. A watched one is told of when it is settled."""


class Clients:
    """All clients of a run as one: requests become ready at their time and are sent while a place is free."""

    def __init__(self, world: World, requests: Requests, send: Send) -> None:
        self._world = world
        self._requests = requests
        self._send = send
        self._free = requests.concurrency if requests.concurrency is not None else len(requests)
        self._ready: deque[int] = deque()
        self._next_turn = _next_turns(requests.after)
        self._closed = requests.concurrency is not None
        self.sent_ns = np.full(len(requests), -1, np.int64)
        self.to_send = len(requests)
        """Requests not sent yet."""
        self.on_refused: Callable[[int], None] = self.settled
        """Called with a request that was settled when it was sent."""
        self.on_all_sent: Callable[[], None] = _ignore
        """Called when the last one has been sent."""
        world.on_end = self.settled
        world.process(self._arrivals())

    def _arrivals(self) -> Generator[simpy.Event, None, None]:
        for start in range(0, len(self._requests), _CHUNK):
            first_turns = start + np.flatnonzero(self._requests.after[start : start + _CHUNK] < 0)
            times = self._requests.arrival_ns[first_turns]
            for request, at in zip(first_turns.tolist(), times.tolist(), strict=True):
                if at > self._world.now:
                    yield self._world.timeout(at - int(self._world.now))
                self._become_ready(request)

    def _become_ready(self, request: int) -> None:
        self._ready.append(request)
        self._fill()

    def _fill(self) -> None:
        while self._ready and self._free > 0:
            self._free -= 1
            self._send_now(self._ready.popleft())

    def _send_now(self, request: int) -> None:
        self.sent_ns[request] = self._world.now
        self.to_send -= 1
        watched = self._closed or request in self._next_turn
        if not self._send(request, watched):
            refused = self._world.timeout(0, value=request)
            assert refused.callbacks is not None
            refused.callbacks.append(lambda event: self.on_refused(event.value))
        if self.to_send == 0:
            self.on_all_sent()

    def settled(self, request: int) -> None:
        """A request was answered, refused or given up: its place is free, and its session goes on."""
        self._free += 1
        following = self._next_turn.get(request)
        if following is not None:
            pause = self._world.timeout(int(self._requests.arrival_ns[following]), value=following)
            assert pause.callbacks is not None
            pause.callbacks.append(lambda event: self._become_ready(event.value))
        self._fill()


def _next_turns(after: NDArray[np.int32]) -> dict[int, int]:
    later = np.flatnonzero(after >= 0)
    return dict(zip(after[later].tolist(), later.tolist(), strict=True))


def _ignore() -> None:
    """Nobody asked."""
