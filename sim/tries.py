"""The patience of clients: each request is tried, given up, tried again or asked twice, until it is settled."""

from array import array
from collections.abc import Callable

import numpy as np

from sim.deadlines import Deadlines
from sim.gateway import Gateway
from sim.kernel.layout import FINISHED, GONE
from sim.request import Requests
from sim.result import Ending, Outcome
from sim.scenario.clients import Retry
from sim.scenario.scenario import Scenario
from sim.units import seconds_to_ns
from sim.world import World

_OUTCOME = {
    Ending.LOST: Outcome.FAILED,
    Ending.UNAVAILABLE: Outcome.FAILED,
    Ending.SHED: Outcome.SHED,
    Ending.DROPPED: Outcome.SHED,
    Ending.CANCELLED: Outcome.TIMED_OUT,
    Ending.ABANDONED: Outcome.TIMED_OUT,
    Ending.REJECTED: Outcome.REJECTED,
    Ending.FORGOTTEN: Outcome.FORGOTTEN,
}
"""What a request has come to if its last try ended so."""


class Tries:
    """Sends the tries of requests to the gateway. A try is a row of the engines; the first one's is its request's."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        requests: Requests,
        gateway: Gateway,
        rng: np.random.Generator,
    ) -> None:
        """Listen to the gateway, and be told of `answered` tries; `rng` draws the jitter and redrawn answers."""
        self._world = world
        self._engines = world.engines
        self._requests = requests
        self._gateway = gateway
        self._rng = rng
        self._n = len(requests)
        self._retry: Retry | None = scenario.clients.retry
        self._tells_engine = scenario.clients.cancellation == "engine"
        self._bucket = float(self._retry.budget_burst) if self._retry else 0.0
        self._retried: dict[int, int] = {}
        self._copies: dict[int, list[int]] = {}
        self._pausing = 0
        self._abandoned = 0
        self._deadlines = self._rules(scenario)
        self.abandons = scenario.clients.cancellation == "none" and (
            scenario.clients.timeout_s is not None or scenario.clients.hedge is not None
        )
        """Engines may go on with what nobody waits for."""
        self._watched = bytearray(self._n)
        self._watch_all = False
        self.ending = bytearray(self._n)
        """Ending of each try, by row; a try that nobody watched is OPEN though it was answered."""
        self.further_request = array("i")
        """Request of each row beyond the first tries."""
        self.further_sent_ns = array("q")
        self.settled: dict[int, tuple[Outcome, int]] = {}
        """Requests that came to anything but an answer, and when."""
        self.on_settled: Callable[[int], None] = _ignore
        """Called with a request that is settled; of answered ones only if they are watched."""
        gateway.lost = self._lost

    def _rules(self, scenario: Scenario) -> list[Deadlines]:
        clients, admission = scenario.clients, scenario.admission
        rules = [
            (clients.timeout_s, self._over, self._time_out),
            (admission.queue_timeout_s, self._got_in, self._drop),
            (clients.hedge.after_s if clients.hedge else None, self._over, self._ask_twice),
        ]
        return [
            Deadlines(self._world, seconds_to_ns(after), over, late) for after, over, late in rules if after is not None
        ]

    @property
    def open(self) -> int:
        """Tries that a client waits for, and requests that pause before the next."""
        return self._engines.unfinished + self._gateway.open - self._abandoned + self._pausing

    def watch_all(self) -> None:
        """From now on every end is an event: the run shall stop with the last one that somebody waits for."""
        self._watch_all = True
        rows = self._engines.rows
        rows["watched"] = 1

    def send(self, request: int, watched: bool) -> bool:
        """Send a request for the first time; False if it is settled at once."""
        self._watched[request] = watched
        if self._retry and self._retry.budget is not None:
            self._bucket = min(self._bucket + self._retry.budget, float(self._retry.budget_burst))
        ending = self._launch(request, request)
        return ending is None or not self._settles(request, ending)

    def request_of(self, row: int) -> int:
        """Request that a try is of."""
        return row if row < self._n else self.further_request[row - self._n]

    def _launch(self, row: int, request: int) -> Ending | None:
        watched = bool(self._watched[request]) or self._watch_all or request in self._copies
        ending = self._gateway.send(row, request, watched=watched)
        if ending is not None:
            self.ending[row] = ending
            return ending
        for deadline in self._deadlines:
            deadline.add(row)
        return None

    def _another(self, request: int) -> int:
        retry = self._retry
        length = self._other_answer(request) if retry and retry.answer == "redrawn" else None
        self.further_request.append(request)
        self.further_sent_ns.append(int(self._world.now))
        self.ending.append(Ending.OPEN)
        return self._engines.another(request, length)

    def _other_answer(self, request: int) -> int:
        """Length of the answer to a random request of the same class, if there is room for it."""
        klass = self._requests.klass
        same = np.flatnonzero(klass == klass[request]) if len(self._requests.classes) > 1 else None
        pick = int(self._rng.integers(self._n if same is None else len(same)))
        other, first = (int(self._requests.output_tokens[i]) for i in (pick if same is None else same[pick], request))
        return min(other, max(first, self._gateway.room(request)))

    # How a try ends

    def answered(self, row: int) -> None:
        """An engine has finished a try, or its batcher has forgotten it."""
        if self.ending[row] == Ending.ABANDONED:
            self._abandoned -= 1
        if self.ending[row] != Ending.OPEN:  # or a copy that ended in the same step as the one that was answered
            return
        if self._engines.state.requests["status"][row] == GONE:
            self._failed(row, Ending.FORGOTTEN)
            return
        self.ending[row] = Ending.ANSWERED
        request = self.request_of(row)
        for copy in self._copies.pop(request, ()):
            if copy != row:
                self.ending[copy] = self._give_up(copy)
        self.on_settled(request)

    def _lost(self, rows: list[int]) -> None:
        for row in rows:
            if self.ending[row] == Ending.ABANDONED:
                self._abandoned -= 1
            elif self.ending[row] == Ending.OPEN:
                self._failed(row, Ending.LOST)

    def _time_out(self, row: int) -> None:
        self._failed(row, self._give_up(row))

    def _drop(self, row: int) -> None:
        self._gateway.cancel(row)
        self._failed(row, Ending.DROPPED)

    def _give_up(self, row: int) -> Ending:
        """The client goes away; whether that reaches the engine or not."""
        if self._tells_engine or not self._engines.is_open(row):
            self._gateway.cancel(row)
            return Ending.CANCELLED
        self._engines.watch(row)
        self._abandoned += 1
        return Ending.ABANDONED

    def _over(self, row: int) -> bool:
        return self.ending[row] != Ending.OPEN or self._engines.state.requests["status"][row] >= FINISHED

    def _got_in(self, row: int) -> bool:
        """Whether an engine has scheduled it, or it has ended."""
        return self._over(row) or (self._engines.is_open(row) and not self._engines.unscheduled(row))

    def _ask_twice(self, row: int) -> None:
        """Send a copy of a first try that takes long, and wait for the first answer."""
        if row >= self._n:
            return
        self._engines.watch(row)
        self._copies[row] = [row]
        copy = self._another(row)
        self._copies[row].append(copy)
        ending = self._launch(copy, row)
        if ending is not None:
            self._failed(copy, ending)

    def _failed(self, row: int, ending: Ending) -> None:
        self.ending[row] = ending
        request = self.request_of(row)
        if not self._settles(request, ending):
            return
        self.on_settled(request)

    # What follows

    def _settles(self, request: int, ending: Ending) -> bool:
        """Try again if the client does; returns whether the request has come to its end."""
        copies = self._copies.get(request)
        if copies is not None:
            copies[:] = [row for row in copies if self.ending[row] == Ending.OPEN]
            if copies:
                return False
            del self._copies[request]
        if ending is not Ending.REJECTED and self._tries_again(request):
            return False
        self.settled[request] = (_OUTCOME[ending], int(self._world.now))
        return True

    def _tries_again(self, request: int) -> bool:
        retry, done = self._retry, self._retried.get(request, 0)
        if retry is None or done == retry.max_retries:
            return False
        if retry.budget is not None:
            if self._bucket < 1:
                return False
            self._bucket -= 1
        self._retried[request] = done + 1
        pause = min(retry.backoff_s * retry.multiplier**done, retry.max_backoff_s)
        if retry.jitter == "full":
            pause *= self._rng.random()
        self._pausing += 1
        wake = self._world.timeout(seconds_to_ns(pause), value=request)
        assert wake.callbacks is not None
        wake.callbacks.append(lambda event: self._resend(event.value))
        return True

    def _resend(self, request: int) -> None:
        self._pausing -= 1
        row = self._another(request)
        ending = self._launch(row, request)
        if ending is not None:
            self._failed(row, ending)


def _ignore(_: int) -> None:
    """Nobody waits."""
