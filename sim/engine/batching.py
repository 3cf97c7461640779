"""Who is batched with whom, and when, in engines that pad: one queue a replica, which knows nothing of steps."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sim.kernel.layout import NEVER

_NEVER = int(NEVER)


class Waiting(NamedTuple):
    """A row in a queue."""

    row: int
    prompt_tokens: int
    since_ns: int


class Formed(NamedTuple):
    """What a queue gives out."""

    batches: list[list[int]]
    """Rows, in the order in which the batches are to run."""
    forgotten: list[int]
    """Rows that will never be served."""


class Batcher(Protocol):
    """The queue of one replica. It is to `form` batches when that is `due`, after all that arrives at that instant."""

    needs_engine: bool
    """Whether it forms batches only while the engine is free."""

    def add(self, one: Waiting) -> None:
        """Queue a row."""
        ...

    def remove(self, row: int) -> None:
        """Take a row out of the queue, if it is there."""
        ...

    def due(self) -> int:
        """When to form batches next, perhaps in the past; NEVER while nothing will do."""
        ...

    def form(self) -> Formed:
        """Form the batches that are due."""
        ...

    def rows(self) -> list[int]:
        """Rows in the queue, in its order."""
        ...


class Batching(Protocol):
    """A policy: it makes the queues of the replicas."""

    def batcher(self) -> Batcher:
        """Return an empty queue."""
        ...


@dataclass(frozen=True, slots=True)
class Static:
    """Fill or time out, when the engine is free."""

    batch_size: int
    max_wait_ns: int

    def batcher(self) -> Batcher:
        """Return an empty queue."""
        return _Static(self)


@dataclass(frozen=True, slots=True)
class Timer:
    """All that came since the first, `wait_ns` later."""

    wait_ns: int
    batch_size: int | None = None

    def batcher(self) -> Batcher:
        """Return an empty queue."""
        return _Timer(self)


@dataclass(frozen=True, slots=True)
class TwoLevel:
    """Micro-batches of one length group each, started at global ticks."""

    max_batch_size: int
    wait_ns: int
    fill: float
    tick_ns: int | None
    bounds: tuple[int, ...]
    """Longest prompt of each length group but the last."""
    longest_wait_ns: int | None
    """None: what does not fill a batch is forgotten, and no batch is cut to size."""

    def batcher(self) -> Batcher:
        """Return an empty queue."""
        return _TwoLevel(self)


def equally_wide(groups: int, shortest: int, longest: int) -> tuple[int, ...]:
    """Bounds of so many length groups, as equally wide as whole tokens allow."""
    return tuple(shortest + (longest - shortest + 1) * group // groups - 1 for group in range(1, groups))


class _Queue:
    """Rows in the order of their arrival."""

    needs_engine = False

    def __init__(self) -> None:
        self._queue: list[Waiting] = []

    def add(self, one: Waiting) -> None:
        self._queue.append(one)

    def remove(self, row: int) -> None:
        self._queue = [one for one in self._queue if one.row != row]

    def rows(self) -> list[int]:
        return _rows(self._queue)

    def _take(self, count: int | None) -> list[int]:
        taken = self._queue[:count]
        del self._queue[:count]
        return _rows(taken)


class _Static(_Queue):
    needs_engine = True

    def __init__(self, policy: Static) -> None:
        super().__init__()
        self._policy = policy

    def due(self) -> int:
        if not self._queue:
            return _NEVER
        filled = len(self._queue) >= self._policy.batch_size
        return 0 if filled else self._queue[0].since_ns + self._policy.max_wait_ns

    def form(self) -> Formed:
        return Formed([self._take(self._policy.batch_size)], [])


class _Timed(_Queue):
    """A queue whose timer starts with the first row that waits."""

    def __init__(self, wait_ns: int) -> None:
        super().__init__()
        self._wait_ns = wait_ns
        self._ends = _NEVER

    def add(self, one: Waiting) -> None:
        if not self._queue:
            self._ends = one.since_ns + self._wait_ns
        super().add(one)

    def remove(self, row: int) -> None:
        super().remove(row)
        if not self._queue:
            self._ends = _NEVER


class _Timer(_Timed):
    def __init__(self, policy: Timer) -> None:
        super().__init__(policy.wait_ns)
        self._size = policy.batch_size

    def due(self) -> int:
        return 0 if self._size is not None and len(self._queue) >= self._size else self._ends

    def form(self) -> Formed:
        batch = self._take(self._size)
        self._ends = self._queue[0].since_ns + self._wait_ns if self._queue else _NEVER
        return Formed([batch], [])


class _TwoLevel(_Timed):
    def __init__(self, policy: TwoLevel) -> None:
        super().__init__(policy.wait_ns)
        self._policy = policy
        self._micro: list[tuple[int, list[Waiting]]] = []
        self._tick = _NEVER

    def remove(self, row: int) -> None:
        super().remove(row)
        kept = ((group, [one for one in batch if one.row != row]) for group, batch in self._micro)
        self._micro = [one for one in kept if one[1]]

    def rows(self) -> list[int]:
        return [row for _, batch in self._micro for row in _rows(batch)] + super().rows()

    def due(self) -> int:
        return min(self._ends, self._tick)

    def form(self) -> Formed:
        now, every = self.due(), self._policy.tick_ns
        forgotten = self._flush(now) if self._ends == now else []
        if self._micro and self._tick == _NEVER:
            self._tick = now if every is None else -(-now // every) * every
        if self._tick > now:
            return Formed([], forgotten)
        self._tick = _NEVER
        batches = [_rows(batch) for _, batch in sorted(self._micro, key=lambda one: one[0])]
        self._micro.clear()
        return Formed(batches, forgotten)

    def _flush(self, now: int) -> list[int]:
        """Group the queue by length, make micro-batches of groups that fill one, and return who is forgotten."""
        groups: defaultdict[int, list[Waiting]] = defaultdict(list)
        for one in self._queue:
            groups[bisect_left(self._policy.bounds, one.prompt_tokens)].append(one)
        left: list[Waiting] = []
        for group, members in groups.items():
            left += self._fill(group, members, now)
        self._ends = _NEVER
        self._queue = []
        if self._policy.longest_wait_ns is None:
            return _rows(left)
        if left:
            self._queue = sorted(left, key=lambda one: one.since_ns)
            self._ends = now + self._wait_ns
        return []

    def _fill(self, group: int, members: list[Waiting], now: int) -> list[Waiting]:
        """Make micro-batches of a group and return the rest."""
        policy = self._policy
        size = len(members) if policy.longest_wait_ns is None else policy.max_batch_size
        while members and (
            len(members) >= policy.max_batch_size * policy.fill
            or (policy.longest_wait_ns is not None and now - members[0].since_ns >= policy.longest_wait_ns)
        ):
            self._micro.append((group, members[:size]))
            members = members[size:]
        return members


def _rows(group: list[Waiting]) -> list[int]:
    return [one.row for one in group]
