"""What is known of a trace that somebody has published."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NamedTrace:
    """A public trace."""

    id: str
    path: str
    """Below the data folder or the cache; a .gz beside it is as good."""
    url: str
    format: str
    """As in the scenario: of `workload.format`, or of `spot.reclaims.format`."""
    licence: str
    citation: str
    sha256: str | None
    """Of the published file; None: not known, so the first download is trusted and its hash kept."""
    bytes: int | None
    """Of the published file, None: not known."""
    also: tuple[str, ...] = ()
    """Other paths at which a data folder may have it."""
