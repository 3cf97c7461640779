"""The designs that pages put beside the scenario: the same traffic on other GPUs, replicas and markets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sim import catalog
from sim.deployment import deploy
from sim.errors import InputError
from sim.study.evaluation import Design
from ui.app import whatif
from ui.app.jobs import resolve
from ui.app.scene import Scene
from ui.app.theme import Look, look

ALTERNATIVES = ("h100-sxm-80gb", "h200-sxm-141gb", "a100-sxm-80gb", "l40s-48gb")
"""GPUs that are put beside the scenario's: the ones mostly rented."""

SIZES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of replica on a market; has one colour on all pages."""

    gpu: str
    tp: int
    gpus: int
    """Of a replica, pipeline stages included."""
    spot: int
    """Replicas on the spot market, in per cent."""

    @property
    def market(self) -> str:
        """In a word."""
        return "spot" if self.spot == 100 else "mixed" if self.spot else "on demand"

    @property
    def name(self) -> str:
        """For example "4 x H100, spot"."""
        market = {0: "", 100: ", spot"}.get(self.spot, f", {self.spot} % spot")
        return f"{self.gpus} x {short(self.gpu)}{market}"

    @property
    def look(self) -> Look:
        """How it is drawn."""
        return look(self.gpu, self.gpus, self.market)


def short(gpu: str) -> str:
    """A GPU as people call it: h100-sxm-80gb is H100; memory is said where the catalogue has two."""
    family = gpu.partition("-")[0]
    alike = [one for one in catalog.gpu_ids() if one.partition("-")[0] == family]
    return family.upper() if len(alike) == 1 or gpu in ALTERNATIVES else family.upper() + gpu.removeprefix(family)


def fleet_name(kind: Kind, replicas: int) -> str:
    """For example "2 replicas of 4 x H100"."""
    return f"{replicas} replica{'' if replicas == 1 else 's'} of {kind.name}"


def own_kind(scene: Scene) -> Kind:
    """The scenario's first pool."""
    pool = scene.loaded.scenario.fleet[0]
    gpus = pool.tensor_parallel_size * pool.pipeline_parallel_size
    return Kind(pool.gpu, pool.tensor_parallel_size, gpus, scene.bar.spot)


def kinds(scene: Scene) -> list[Kind]:
    """The scenario's kind, the same on the other market, and the smallest that fits of each other GPU."""
    own = own_kind(scene)
    found = [own]
    if own.spot in (0, 100) and catalog.price(own.gpu, "spot"):
        found.append(replace(own, spot=100 - own.spot))
    for gpu in ALTERNATIVES:
        if gpu != own.gpu and (smallest := _smallest(scene, gpu)):
            found.append(smallest)
    return found


def design(scene: Scene, kind: Kind, replicas: int, *, coarse: bool, more: Sequence[str] = ()) -> Design:
    """The scenario served by so many replicas of a kind; coarse: in one replication."""
    if (kind, replicas) == (own_kind(scene), scene.bar.replicas):
        settings: list[str] = []
    else:
        fleet = whatif.fleet(scene.base, kind.gpu, kind.tp, replicas, kind.spot)
        settings = [f"fleet={json.dumps(fleet)}"]
    settings += [*more, *(["run.replications=1"] if coarse else [])]
    return Design(str(scene.source), tuple(settings))


def _smallest(scene: Scene, gpu: str) -> Kind | None:
    """The fewest GPUs that hold the model with as much of the engine's flags as they are."""
    for tp in SIZES:
        kind = Kind(gpu, tp, tp * scene.loaded.scenario.fleet[0].pipeline_parallel_size, 0)
        try:
            loaded = resolve(design(scene, kind, 1, coarse=True))
            deploy(loaded.scenario, loaded.base_dir)
        except InputError:
            continue
        return kind
    return None
