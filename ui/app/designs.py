"""The designs that pages put beside the scenario: the same traffic on other GPUs, replicas and markets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from sim import catalog
from sim.study.evaluation import Design
from ui.app import whatif
from ui.app.jobs import resolve
from ui.app.planning import Planned
from ui.app.scene import Scene
from ui.app.theme import Look, look

MOST_KINDS = 6
"""Lines of a chart."""

USUAL = ("h100-sxm-80gb", "a100-sxm-80gb")
"""What people mean by H100 and A100; others of the family are told apart."""


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
    """A GPU as people call it: h100-sxm-80gb is H100, and what the catalogue has beside it H100 PCIE and A100 40GB."""
    family, *rest = gpu.upper().split("-")
    alike = [one for one in catalog.gpu_ids() if one.upper().partition("-")[0] == family]
    if len(alike) == 1 or gpu in USUAL:
        return family
    form, memory = rest[0], rest[-1]
    return f"{family} {memory if form == 'SXM' else form}"


def fleet_name(kind: Kind, replicas: int) -> str:
    """For example "2 replicas of 4 x H100"."""
    return f"{replicas} replica{'' if replicas == 1 else 's'} of {kind.name}"


def short_name(kind: Kind, replicas: int) -> str:
    """For example "2 x 4 H100, spot"."""
    return f"{replicas} x {kind.name.replace(' x ', ' ', 1)}"


def own_kind(scene: Scene) -> Kind:
    """The scenario's first pool."""
    pool = scene.loaded.scenario.fleet[0]
    gpus = pool.tensor_parallel_size * pool.pipeline_parallel_size
    return Kind(pool.gpu, pool.tensor_parallel_size, gpus, scene.bar.spot)


def kinds(scene: Scene, planned: Planned | None) -> list[Kind]:
    """The scenario's kind, the same on the other market, and the plan's cheapest of each other GPU on demand."""
    own = own_kind(scene)
    found = [own]
    if own.spot in (0, 100) and catalog.price(own.gpu, "spot"):
        found.append(replace(own, spot=100 - own.spot))
    gpus = {own.gpu}
    for answer in planned.answers if planned else ():
        if answer.gpu not in gpus and not answer.spot:
            gpus.add(answer.gpu)
            found.append(Kind(answer.gpu, answer.tp, answer.gpus, 0))
    return found[:MOST_KINDS]


def design(scene: Scene, kind: Kind, replicas: int, *, coarse: bool, more: Sequence[str] = ()) -> Design:
    """The scenario served by so many replicas of a kind; coarse: in one replication."""
    if (kind, replicas) == (own_kind(scene), scene.bar.replicas):
        settings: list[str] = []
    else:
        fleet = whatif.fleet(scene.base, kind.gpu, kind.tp, replicas, kind.spot)
        settings = [f"fleet={json.dumps(fleet)}"]
    settings += [*more, *(["run.replications=1"] if coarse else [])]
    return Design(str(scene.source), tuple(settings))


def link(scene: Scene, kind: Kind, replicas: int) -> str:
    """What follows the "?" of a link to the scenario served so."""
    opened = {key: value for key, value in scene.query.items() if key not in whatif.KEYS}
    bar = replace(scene.bar, gpu=kind.gpu, tp=kind.tp, spot=kind.spot, replicas=replicas)
    return urlencode(opened | whatif.changes(scene.base, bar))


def spare(one: Design) -> int:
    """Replicas on spot nodes beyond those that are needed."""
    return sum(pool.spot.over_provision for pool in resolve(one).scenario.fleet if pool.spot is not None)
