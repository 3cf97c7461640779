"""Fleets on three nodes: kinds of replicas, what they cost, and how many of them a node takes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sim import catalog
from sim.audit.claim import Words
from sim.audit.lab import Lab
from sim.catalog.types import Price
from sim.stats import CONFIDENCE
from sim.study.verdict import keeps

NAME = "alternative"
"""Of the scenario."""
NODES = "abc"
SPOT_NODES = "ab"
"""Of the fleets that buy on both markets; the third node is always on demand."""
RECLAIMS = "aws-advisor-gt20"
"""The worst of AWS's bands."""
DRAWS = "step_time.draws=8"
"""Of the calibration, to see how far it leaves a number open."""
_MOST = 12
"""Replicas a node that are tried."""
_SHORT = ("workload.num_prompts=2778", "run.replications=2")
"""Two minutes, in the search."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A kind of replica."""

    words: Words
    gpu: str
    tensor_parallel_size: int
    quantization: str | None
    calibration: str
    about: int
    """Replicas a node at which the search begins."""


REPLICAS = (
    Replica(Words(en="one H200, FP8", zh="单张 H200，FP8"), "h200-sxm-141gb", 1, "fp8", "h200-vllm-fp8", 4),
    Replica(Words(en="two H200s, FP8", zh="两张 H200，FP8"), "h200-sxm-141gb", 2, "fp8", "h200-vllm-fp8", 2),
    Replica(Words(en="two H100s, FP8", zh="两张 H100，FP8"), "h100-sxm-80gb", 2, "fp8", "h100-vllm-fp8", 3),
    Replica(Words(en="one H100, INT4", zh="单张 H100，INT4"), "h100-sxm-80gb", 1, "int4", "h100-vllm-bf16", 6),
    Replica(Words(en="four H100s, 16 bits", zh="四张 H100，16 位"), "h100-sxm-80gb", 4, None, "h100-vllm-bf16", 2),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Three nodes of one kind of replica."""

    replica: Replica
    on_spot: str
    """The nodes that are bought on the spot market."""
    a_node: int
    """Replicas."""

    @property
    def words(self) -> Words:
        """For example: 3 nodes of 3 replicas (one H200, FP8), 2 of them on Spot."""
        spot = len(self.on_spot)
        return Words(
            en=f"{len(NODES)} nodes of {self.a_node} replicas ({self.replica.words.en}), "
            + (f"{spot} of them on Spot" if spot else "all on demand"),
            zh=f"{len(NODES)} 个节点，每个 {self.a_node} 个副本（{self.replica.words.zh}），"
            + (f"其中 {spot} 个为 Spot" if spot else "全部按需"),
        )

    @property
    def usd_per_day(self) -> float:
        """List price, the catalogue's medians."""
        return self._usd_per_day(lambda price: price.usd_per_gpu_hour)

    @property
    def dearest(self) -> float:
        """The same at the highest list prices that the catalogue knows."""
        return self._usd_per_day(lambda price: price.high)

    def _usd_per_day(self, of: Callable[[Price], float]) -> float:
        spot, gpu = len(self.on_spot), self.replica.gpu
        hour = spot * of(_price(gpu, "spot")) + (len(NODES) - spot) * of(_price(gpu, "on_demand"))
        return 24 * self.a_node * self.replica.tensor_parallel_size * hour

    @property
    def settings(self) -> tuple[str, ...]:
        """What makes the scenario's fleet this one."""
        return _settings(self.replica, self._fleet())

    def _fleet(self) -> list[dict[str, object]]:
        pools: list[dict[str, object]] = []
        for zone in NODES:
            pool = _pool(self.replica, zone, self.a_node) | {"zones": [{"zone": zone}]}
            spot = {"market": "spot", "spot": {"reclaims": {"kind": "hazard", "preset": RECLAIMS}}}
            pools.append(pool | (spot if zone in self.on_spot else {}))
        return pools + [_pool(self.replica, f"{zone}-stand-in", 0) | {"fallback_for": zone} for zone in self.on_spot]


def fewest(lab: Lab, replica: Replica) -> int | None:
    """Replicas a node, so that the peak is served with a node away, or None if the most that are tried do not."""
    number = replica.about
    while not _enough(lab, replica, number):
        number += 1
        if number > _MOST:
            return None
    while number > 1 and _enough(lab, replica, number - 1):
        number -= 1
    return number


def _enough(lab: Lab, replica: Replica, a_node: int) -> bool:
    """Whether the SLO is kept: by the calibration's best estimate, and then by all that its draws leave open."""
    settings = (*one_away(replica, a_node), *_SHORT)
    scenario = lab.loaded(NAME, *settings).scenario
    return all(keeps(lab.evaluate(NAME, *settings, *more), scenario, CONFIDENCE) for more in ((), (DRAWS,)))


def one_away(replica: Replica, a_node: int) -> tuple[str, ...]:
    """What is left where a node is away for good."""
    return _settings(replica, [_pool(replica, "left", (len(NODES) - 1) * a_node)])


def _settings(replica: Replica, fleet: Sequence[dict[str, object]]) -> tuple[str, ...]:
    return (
        f"fleet={json.dumps(fleet)}",
        f"engine.quantization={replica.quantization or 'null'}",
        f"step_time.calibration={replica.calibration}",
    )


def _pool(replica: Replica, name: str, number: int) -> dict[str, object]:
    size = replica.tensor_parallel_size
    return {"pool": name, "gpu": replica.gpu, "tensor_parallel_size": size, "replicas": number}


def _price(gpu: str, market: Literal["spot", "on_demand"]) -> Price:
    found = catalog.price(gpu, market)
    if found is None:
        raise ValueError(f"{gpu} has no price on the market {market}")
    return found
