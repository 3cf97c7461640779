"""Deadlines that all lie equally far ahead of their beginning: whoever comes first is due first."""

from collections import deque
from collections.abc import Callable

import simpy

from sim.world import World


class Deadlines:
    """Calls `late(row)` a fixed time after `add(row)`, unless `over(row)` by then.

    One SimPy event waits for the first of them; that a row is over is noticed without one. So a million requests with
    a time-out that few reach cost a few events.
    """

    def __init__(self, world: World, after_ns: int, over: Callable[[int], bool], late: Callable[[int], None]) -> None:
        self._world = world
        self._after_ns = after_ns
        self._over = over
        self._late = late
        self._due: deque[tuple[int, int]] = deque()
        self._armed = False

    def add(self, row: int) -> None:
        """Begin a deadline now."""
        self._due.append((int(self._world.now) + self._after_ns, row))
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        wake = self._world.timeout(self._due[0][0] - int(self._world.now))
        assert wake.callbacks is not None
        wake.callbacks.append(self._wake)

    def _wake(self, _: simpy.Event) -> None:
        now = int(self._world.now)
        while self._due:
            at, row = self._due[0]
            if self._over(row):
                self._due.popleft()
            elif at <= now:
                self._due.popleft()
                self._late(row)
            else:
                break
        self._armed = False
        if self._due:
            self._arm()
