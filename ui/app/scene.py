"""The what-if that a page shows, read from the scenario bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from sim.scenario.load import Loaded
from ui.app.whatif import Bar, Data


@dataclass(frozen=True, slots=True)
class Scene:
    """A valid scenario, and how it came about."""

    base: Data
    """As opened, before the bar."""
    data: Data
    """With what the bar says."""
    bar: Bar
    text: str
    """The YAML of `data`."""
    source: Path
    """Where that lies."""
    loaded: Loaded
    query: Mapping[str, str]
    """Parameters of a link to it: what differs from the defaults."""

    @property
    def name(self) -> str:
        """The scenario's."""
        return self.loaded.scenario.name

    @property
    def sha256(self) -> str:
        """Of the resolved scenario."""
        return self.loaded.sha256

    @property
    def replications(self) -> int:
        """As the scenario asks for."""
        return self.loaded.scenario.run.replications

    def link(self) -> str:
        """What follows the "?" of a link."""
        return urlencode(self.query)
