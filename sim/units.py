"""Units at the edges. Inside a run time is an integer number of nanoseconds."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
FS_PER_NS = 1_000_000
MIB = 1 << 20
GIB = 1 << 30


def seconds_to_ns(seconds: float) -> int:
    """Round seconds to the nearest nanosecond."""
    return round(seconds * NS_PER_S)
