"""The designs that Compare puts side by side: their names, colours, and what their scenarios say differently."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sim.study.evaluation import Design
from ui.app.designs import design, own_kind, short_name
from ui.app.scene import Scene
from ui.app.theme import COLOURS, Look

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Contender:
    """A scenario among those that are compared."""

    name: str
    """For example "B: 2 x 4 H100"."""
    scene: Scene
    look: Look

    @property
    def letter(self) -> str:
        """For narrow places."""
        return self.name[0]

    def design(self, *, coarse: bool) -> Design:
        """The scenario as it is; coarse: in one replication."""
        return design(self.scene, own_kind(self.scene), self.scene.bar.replicas, coarse=coarse)


def contenders(scenes: Sequence[Scene]) -> list[Contender]:
    """Name and colour scenarios; each has its usual colour unless one before it took that."""
    several = len({one.name for one in scenes}) > 1
    taken: list[str] = []
    found = []
    for letter, one in zip("ABCDEFGH", scenes, strict=False):
        kind = own_kind(one)
        free = [colour for colour in (kind.look.colour, *COLOURS) if colour not in taken]
        taken.append(free[0])
        what = f"{one.name}, " if several else ""
        look = Look(free[0], kind.look.symbol, kind.look.dash)
        found.append(Contender(f"{letter}: {what}{short_name(kind, one.bar.replicas)}", one, look))
    return found


def differences(scenes: Sequence[Scene]) -> dict[str, list[str]]:
    """By scenario key what each scenario says, of keys in which they differ."""
    flat = [dict(_leaves(one.loaded.scenario.model_dump(mode="json"), "")) for one in scenes]
    keys = dict.fromkeys(key for one in flat for key in one)
    rows = {key: [one.get(key, ABSENT) for one in flat] for key in keys}
    return {key: row for key, row in rows.items() if len(set(row)) > 1 and key not in {"name", "description"}}


def same_requests(scenes: Sequence[Scene]) -> bool:
    """Whether all serve the same requests, so that chance cancels in their differences."""
    asked = {(one.loaded.scenario.workload.model_dump_json(), one.loaded.scenario.run.seed) for one in scenes}
    return len(asked) == 1


def _leaves(of: Any, key: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    if isinstance(of, dict) and of:
        for name, value in of.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(of, list) and of:
        for number, value in enumerate(of):
            yield from _leaves(value, f"{key}.{number}")
    elif of is not None and of not in ({}, []):
        yield key, str(of)
