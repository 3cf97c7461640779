"""What a plan chooses from: kinds of replicas and markets, and what can be said of them before any simulation."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim import catalog
from sim.billing import usd_per_gpu_hour
from sim.deployment import Deployment, deploy
from sim.errors import InputError
from sim.preflight import span_s, sustainable_rate
from sim.report.objective import Objective
from sim.request import Requests
from sim.scenario.fleet import Pool
from sim.scenario.load import Loaded
from sim.scenario.market import HazardReclaims, Spot
from sim.scenario.sentences import suggest
from sim.study.alone import Alone, alone

MARKETS = ("on_demand", "spot", "reserved", "owned")
USUAL_MARKETS = ("on_demand", "spot", "reserved")
USUAL_TP = (1, 2, 4, 8)
RECLAIMS = "aws-advisor-gt20"
"""Hazard of spot nodes where the scenario has no spot pool on that GPU: AWS's band of the most interrupted types, to
which its large GPU instances mostly belong."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of replica that fits: GPU and tensor parallelism."""

    gpu: str
    tensor_parallel_size: int
    gpus: int
    """Of a replica, pipeline stages included."""
    gpus_per_node: int
    guess: int
    """Replicas that the offered load takes by a steady-state estimate."""
    alone: Alone
    """What a request has to expect of an idle replica."""
    pool: Pool
    """One of it, where nothing takes nodes back."""

    @property
    def name(self) -> str:
        """For example 4 x h100-sxm-80gb."""
        return f"{self.gpus} x {self.gpu}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind of replica on a market, at a price."""

    kind: int
    """Which of the space's kinds."""
    market: str
    pool: Pool
    """With one replica."""
    usd_per_gpu_hour: float
    per_replica: int
    """GPUs."""
    per_node: int
    by_node: bool
    """Whole nodes are paid for."""

    @property
    def reclaimed(self) -> bool:
        """Whether the market takes nodes back."""
        return self.pool.spot is not None

    def replicas(self, needed: int) -> int:
        """Those that are paid for where so many are needed."""
        return needed + (self.pool.spot.over_provision if self.pool.spot else 0)

    def usd_per_hour(self, needed: int) -> float:
        """List price of the fleet, USD an hour."""
        gpus = self.replicas(needed) * self.per_replica
        if self.by_node:
            fit = self.per_node // self.per_replica
            whole = -(-self.per_replica // self.per_node)
            nodes = -(-self.replicas(needed) // fit) if fit else self.replicas(needed) * whole
            gpus = nodes * self.per_node
        return gpus * self.usd_per_gpu_hour

    def settings(self, needed: int) -> tuple[str, ...]:
        """What makes the scenario's fleet this one."""
        return fleet_settings(self.pool, needed)


def fleet_settings(pool: Pool, replicas: int) -> tuple[str, ...]:
    """What makes a scenario's fleet one pool of so many replicas, as --set takes it."""
    stated = pool.model_dump(mode="json", exclude_unset=True) | {"replicas": replicas}
    return f"fleet={json.dumps([stated])}", "autoscalers=[]"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A kind of replica that cannot be."""

    gpu: str
    tensor_parallel_size: int
    sentence: str
    """Why."""


@dataclass(frozen=True, slots=True)
class Space:
    """All candidates."""

    kinds: tuple[Kind, ...]
    offers: tuple[Offer, ...]
    unfit: tuple[Unfit, ...]
    unpriced: tuple[tuple[str, tuple[str, ...]], ...]
    """Markets, and the GPUs that have no price there."""


def space(
    loaded: Loaded,
    drawn: Sequence[Requests],
    aims: Sequence[Objective],
    gpus: Sequence[str],
    sizes: Sequence[int],
    markets: Sequence[str],
) -> Space:
    """Lay out the candidates; a GPU, size or market that is not said is any that the catalogue has a price for.

    A replica's other properties are those of the scenario's first pool. Where the scenario has a pool on the same GPU
    and market, its price, zones, reclaims and ownership hold.

    Raises:
        InputError: an unknown GPU or market, or an impossible size.
    """
    gpus, markets = _known(gpus, markets)
    kinds: list[Kind] = []
    offers: list[Offer] = []
    unfit: list[Unfit] = []
    without: dict[str, list[str]] = {market: [] for market in markets}
    for gpu in gpus:
        pools = {market: _pool(loaded, gpu, market) for market in markets}
        prices = {market: usd for market, pool in pools.items() if (usd := _price(pool)) is not None}
        for market in pools.keys() - prices:
            without[market].append(gpu)
        for size in dict.fromkeys(sizes or USUAL_TP) if prices else ():
            found = _kind(loaded, drawn, aims, _pool(loaded, gpu, "on_demand"), size)
            if isinstance(found, Unfit):
                unfit.append(found)
                continue
            offers += [_offer(loaded, len(kinds), found, pools[market], usd) for market, usd in prices.items()]
            kinds.append(found)
    unpriced = tuple((market, tuple(lacking)) for market, lacking in without.items() if lacking)
    return Space(tuple(kinds), tuple(offers), tuple(unfit), unpriced)


def _known(gpus: Sequence[str], markets: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    for gpu in gpus:
        if gpu not in catalog.gpu_ids():
            raise InputError(f"--gpu {gpu}: no such GPU, {suggest(gpu, catalog.gpu_ids(), 'known are')}")
    for market in markets:
        if market not in MARKETS:
            raise InputError(f"--market {market}: no such market, {suggest(market, MARKETS, 'expected one of')}")
    if not gpus:
        gpus = [one for one in catalog.gpu_ids() if catalog.price(one, "on_demand") or catalog.price(one, "spot")]
    return tuple(dict.fromkeys(gpus)), tuple(dict.fromkeys(markets or USUAL_MARKETS))


def _pool(loaded: Loaded, gpu: str, market: str) -> Pool:
    """The scenario's first pool on another GPU and market, bought as the pool that the scenario has there, if any."""
    fleet = loaded.scenario.fleet
    there = next((one for one in fleet if (one.gpu, one.market) == (gpu, market)), None)
    data: dict[str, Any] = fleet[0].model_dump(exclude_unset=True)
    for key in ("usd_per_gpu_hour", "zones", "spot", "owned", "fallback_for"):
        data.pop(key, None)
        if there is not None and key != "fallback_for" and key in there.model_fields_set:
            data[key] = getattr(there, key)
    data |= {"gpu": gpu, "market": market, "replicas": 1}
    return Pool.model_validate(data)


def _price(pool: Pool) -> float | None:
    """USD a GPU-hour, averaged over the zones, for nodes are spread evenly."""
    usual = usd_per_gpu_hour(pool)
    zones = [usual if zone.usd_per_gpu_hour is None else zone.usd_per_gpu_hour for zone in pool.zones] or [usual]
    known = [usd for usd in zones if usd is not None]
    return sum(known) / len(known) if len(known) == len(zones) else None


def _kind(loaded: Loaded, drawn: Sequence[Requests], aims: Sequence[Objective], pool: Pool, size: int) -> Kind | Unfit:
    """A kind that fits, or why none does."""
    pool = _sized(pool, size)
    scenario = loaded.scenario.model_copy(update={"fleet": (pool,), "autoscalers": ()})
    try:
        one = deploy(scenario, loaded.base_dir)[0]
    except InputError as error:
        return Unfit(pool.gpu, size, f"{str(error).removeprefix('fleet.0: ')}.")
    return Kind(
        gpu=pool.gpu,
        tensor_parallel_size=size,
        gpus=one.layout.gpus,
        gpus_per_node=one.gpu.gpus_per_node,
        guess=_guess(one, drawn[0], aims),
        alone=alone(one, drawn, aims),
        pool=pool,
    )


def _guess(one: Deployment, requests: Requests, aims: Sequence[Objective]) -> int:
    admitted = requests.prompt_tokens.astype(np.int64) + requests.max_tokens <= one.defaults.max_model_len
    if requests.concurrency is not None or not admitted.any():
        return 1
    limits = [aim.limits_ms["tpot"] for aim in aims if "tpot" in aim.limits_ms]
    rate = sustainable_rate(one, requests, admitted, min(limits, default=None))
    return max(int(np.ceil(np.count_nonzero(admitted) / span_s(requests) / rate)), 1)


def _offer(loaded: Loaded, index: int, kind: Kind, pool: Pool, usd: float) -> Offer:
    pool = _sized(pool, kind.tensor_parallel_size)
    own = any((one.gpu, one.market) == (kind.gpu, "spot") for one in loaded.scenario.fleet)
    if pool.market == "spot" and not own:
        reclaims = HazardReclaims(kind="hazard", preset=RECLAIMS)
        spare = max(kind.gpus_per_node // kind.gpus, 1)
        pool = pool.model_copy(update={"spot": Spot(reclaims=reclaims, over_provision=spare)})
    by_node = loaded.scenario.cost.billed_by == "node"
    return Offer(index, pool.market, pool, usd, kind.gpus, kind.gpus_per_node, by_node)


def _sized(pool: Pool, size: int) -> Pool:
    return pool.model_copy(update={"tensor_parallel_size": size})
