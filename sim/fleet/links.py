"""A link whose capacity all transfers share fairly: ten replicas that load at once are each slower."""

from dataclasses import dataclass
from fractions import Fraction

import simpy

from sim.units import NS_PER_S

_PER_BYTE = 10**18
"""What is left is counted in attobytes, rates in attobytes a nanosecond."""


@dataclass(slots=True)
class _Transfer:
    """What is left (attobytes), the most it may take and what it gets now (attobytes a nanosecond)."""

    left: int
    cap: int
    rate: int = 0


class FairLink:
    """Max-min fair sharing (Bertsekas and Gallager, Data Networks, 6.5.2) among the transfers under way.

    Each gets the same rate unless its own cap is lower; what capped ones leave goes to the others. All arithmetic is on
    integers, so nothing drifts. Two roundings: a fair rate is rounded up to a whole attobyte a nanosecond (1e-9 bytes a
    second), so that n equal transfers take exactly n times as long; an end is rounded up to a whole nanosecond, and
    what its transfer could have used of that nanosecond goes to nobody.
    """

    def __init__(self, env: simpy.Environment, bytes_per_s: float) -> None:
        """Share `bytes_per_s` (above 0) on the integer-nanosecond clock of `env`."""
        self._env = env
        self._capacity = _attobytes_per_ns(bytes_per_s)
        self._open: dict[simpy.Event, _Transfer] = {}
        self._since = 0
        self._wake: simpy.Event | None = None

    def transfer(self, size_bytes: int, cap_bytes_per_s: float | None = None) -> simpy.Event:
        """Start now; the event fires when the bytes are through. The cap is the most that this transfer can take."""
        self._advance()
        cap = self._capacity if cap_bytes_per_s is None else _attobytes_per_ns(cap_bytes_per_s)
        through = self._env.event()
        self._open[through] = _Transfer(size_bytes * _PER_BYTE, cap)
        self._share_out()
        return through

    def cancel(self, through: simpy.Event) -> None:
        """Take a transfer off before its end: its event never fires. One that is through by now is left alone."""
        self._advance()
        if through in self._open and self._open[through].left > 0:
            del self._open[through]
            self._share_out()

    def _advance(self) -> None:
        now = int(self._env.now)
        for one in self._open.values():
            one.left -= one.rate * (now - self._since)
        self._since = now

    def _share_out(self) -> None:
        for through in [event for event, one in self._open.items() if one.left <= 0]:
            del self._open[through]
            through.succeed()
        left, rising = self._capacity, sorted(self._open.values(), key=lambda one: one.cap)
        for place, one in enumerate(rising):
            fair = -(-left // (len(rising) - place))
            if one.cap >= fair:
                for other in rising[place:]:
                    other.rate = fair
                break
            one.rate = one.cap
            left -= one.cap
        self._wake = None
        if rising:
            self._wake = self._env.timeout(min(-(-one.left // one.rate) for one in rising))
            assert self._wake.callbacks is not None
            self._wake.callbacks.append(self._end)

    def _end(self, wake: simpy.Event) -> None:
        if wake is self._wake:  # SimPy cannot take back a timeout that a later change has made stale
            self._advance()
            self._share_out()


def _attobytes_per_ns(bytes_per_s: float) -> int:
    return round(Fraction(bytes_per_s) * _PER_BYTE / NS_PER_S)
