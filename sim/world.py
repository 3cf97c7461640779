"""The simulated world: SimPy's environment on an integer-nanosecond clock, with the engines in step."""

from collections.abc import Callable

import simpy

from sim.engine import Engines
from sim.kernel.layout import NEVER

_FOREVER: int = int(NEVER)


class Over(Exception):  # noqa: N818  (as SimPy's StopSimulation: no error)
    """Raised out of `run` when the last thing that somebody waits for has ended."""


class World(simpy.Environment):
    """SimPy owns everything that reacts: clients, routers, controllers, failures. Engines run between its events.

    Before each event the engines process their step boundaries up to the event's time: nothing can act on them
    earlier. If a watched request ends on the way, that becomes an event of its own.
    """

    def __init__(self, engines: Engines) -> None:
        """Start at 0 ns; `on_end` is called with a request's index at the time at which it ends, if it is watched."""
        super().__init__(initial_time=0)
        self.engines = engines
        self.on_end: Callable[[int], None] = _ignore
        self.at_work: Callable[[], bool] = lambda: True
        """Whether anything is left that somebody waits for."""
        self._stopped = False

    @property
    def over(self) -> bool:
        """Nobody waits for anything: what would still happen to the fleet is of no interest, and must not happen."""
        return not self.at_work()

    def stop(self) -> None:
        """Let `run` end with `Over`, though engines may have work left."""
        self._stopped = True

    def step(self) -> None:
        """Process the next event (SimPy's loop calls this)."""
        if self._stopped:
            raise Over
        ended = self.engines.advance(int(min(self.peek(), _FOREVER)))
        if ended is not None:
            at = self.timeout(self.engines.now - int(self.now), value=ended)
            assert at.callbacks is not None
            at.callbacks.append(self._announce)
        super().step()

    def _announce(self, event: simpy.Event) -> None:
        assert event.value is not None  # the requests that ended
        for request in event.value:
            self.on_end(int(request))


def _ignore(request: int) -> None:
    """Nobody watches."""
