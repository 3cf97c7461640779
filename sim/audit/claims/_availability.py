"""How available the article's fleet can be: the sum over what may befall it (sim/study/rare.py)."""

from collections.abc import Mapping, Sequence

from sim import catalog
from sim.audit.claim import Span
from sim.audit.claims._nodes import drill
from sim.audit.claims.readings import context, other, own
from sim.audit.evidence import Evidence
from sim.audit.lab import Lab
from sim.stats import Interval
from sim.study.rare import Kind, lost, overlap, unanswered

REQUESTS_A_DAY = 1e6
_RATE = REQUESTS_A_DAY / 86_400
_GPUS = 8
"""Of a node."""
_STRIKE_S, _AFTER_S = 30, 30
_REPLACED_S, _BROKEN_S, _RESTARTED_S, _HUNG_S = 780, 460, 75, 300
"""From a failure until another serves: a node, a GPU (noticed by the router alone), a process (C12), and a hang, which
somebody has to see (assumed)."""
_CALM_S, _DARK_S = 300, 60
"""Simulated without any event, and of the loss of a zone; while nothing serves, each further request is lost."""
_NOTICE_S, _BOUGHT_S = 120, 312
"""AWS's notice, and from the end of it until a node that was asked for with the notice serves (432 s)."""
_PROVISION_S = 20
"""Of a node, when the market has one (sim/catalog/startup.yaml)."""
_TIMEOUT_S = 60
_UNIT = "requests/day"
_TRIES = "clients.retry.max_retries=5"

_HOURS_A_DAY, _DAYS_A_MONTH, _DAYS_A_YEAR = 24.0, 365 / 12, 365.0


def c41(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Availability on spot nodes and on others."""
    claimed = Span(high=0.0005 * REQUESTS_A_DAY)
    fleet = _Fleet(lab, x)
    failing = fleet.failures()
    singly = fleet.all_reclaimed("aws-advisor-gt20", 1)
    first = own(
        "singly",
        "spot nodes that AWS takes back one at a time, at its advisor's worst band",
        "Spot 节点，AWS 每次收回一个，按其 Advisor 最差档的频率",
        fleet.unanswered([*failing, singly]),
        _UNIT,
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    together = fleet.all_reclaimed("gcp-a100", fleet.nodes)
    known = [*failing, together]
    return Evidence(
        (
            first,
            own(
                "together",
                "spot nodes of the one A100 market whose reclaims were recorded: all at once, then none to buy",
                "唯一有回收记录的 A100 Spot 市场：一次全部收回，随后无可购买",
                fleet.unanswered(known),
                _UNIT,
                claimed,
            ),
            other(
                "ondemand",
                "nodes that nobody takes back",
                "不会被收回的按需节点",
                fleet.unanswered(failing),
                _UNIT,
                claimed,
            ),
            other(
                "retried",
                "the same, and clients try again what is lost with a GPU or an engine",
                "同上，且客户端重试因 GPU 或引擎故障而失败的请求",
                fleet.unanswered(fleet.failures(_TRIES)),
                _UNIT,
                claimed,
            ),
            *(context(one.name, *_WORDS[one.name], one.lost_per_event, "requests") for one in known),
            context("events", "failures a day", "每天的故障次数", sum(one.per_day for one in failing), "1/day"),
            context("reclaims", "reclaims of all nodes a day", "每天全部收回的次数", together.per_day, "1/day"),
            context("felt", "events felt at a time", "同时受其影响的事件数", overlap(known), ""),
        )
    )


_WORDS = {
    "node": ("lost with a node that falls silent", "一个节点失联时丢失"),
    "gpu": ("lost with a GPU", "一块 GPU 故障时丢失"),
    "crash": ("lost with an engine that crashes", "一个引擎崩溃时丢失"),
    "hang": ("lost while an engine hangs", "一个引擎挂起期间丢失"),
    "reclaim": ("lost when the market takes all nodes", "市场收回全部节点时丢失"),
    "zone": ("lost with the zone", "可用区故障时丢失"),
}


class _Fleet:
    """The article's traffic on so many nodes."""

    def __init__(self, lab: Lab, x: Mapping[str, float]) -> None:
        self.nodes = round(x["nodes"])
        self._lab, self._x = lab, x
        self._calm = [failed / (failed + answered) for failed, answered in self._ended(None, _CALM_S)]

    def unanswered(self, kinds: Sequence[Kind]) -> Interval:
        """Requests a day."""
        return unanswered(kinds, REQUESTS_A_DAY, self._calm)

    def failures(self, *tries: str) -> list[Kind]:
        """What befalls nodes of any market. Interruptions with GPU causes are told apart from the others of a node.

        Args:
            tries: settings for clients that try again where an engine is gone at once.
        """
        n, x = self.nodes, self._x
        gpu_a_day = _HOURS_A_DAY / catalog.failure_preset("llama3-gpu").mtbf_hours
        node_a_day = _HOURS_A_DAY / catalog.failure_preset("llama3-node").mtbf_hours - _GPUS * gpu_a_day
        zone_s = 3600 * x["zone_hours"]
        zone = self._lost(drill("zone", _STRIKE_S, for_s=_DARK_S), _DARK_S)
        hang = drill("replica", _STRIKE_S, hang=True, for_s=_HUNG_S)
        return [
            Kind("node", n * node_a_day, self._lost(drill("node", _STRIKE_S), _REPLACED_S), _REPLACED_S),
            Kind("gpu", n * _GPUS * gpu_a_day, self._lost(drill("gpu", _STRIKE_S), _BROKEN_S, *tries), _BROKEN_S),
            Kind(
                "crash",
                n * x["crashes"] / _DAYS_A_MONTH,
                self._lost(drill("replica", _STRIKE_S), _RESTARTED_S, *tries),
                _RESTARTED_S,
            ),
            Kind("hang", n * x["hangs"] / _DAYS_A_YEAR, self._lost(hang, _HUNG_S), _HUNG_S),
            Kind(
                "zone",
                1 / (_DAYS_A_YEAR * x["zone_years"]),
                tuple(one + _RATE * max(zone_s - _DARK_S, 0) for one in zone),
                zone_s,
            ),
        ]

    def all_reclaimed(self, market: str, count: int) -> Kind:
        """Reclaims of at least so many nodes; how many one takes is geometric, as in sim/fleet/spot.py.

        Those of fewer are left out: they cost less, and what is left is a bound.
        """
        preset = catalog.spot_preset(market)
        share = (1 - 1 / preset.nodes_per_event) ** (count - 1)
        per_day = _HOURS_A_DAY * self.nodes / (preset.mean_life_hours * preset.nodes_per_event) * share
        lasts_s = _NOTICE_S + _BOUGHT_S + preset.mean_outage_s
        event = drill("node", _STRIKE_S, count, notice_s=_NOTICE_S)
        closed = f'startup.provision={{"kind": "fixed", "s": {_PROVISION_S + preset.mean_outage_s}}}'
        return Kind("reclaim", per_day, self._lost(event, lasts_s, closed, "fleet.0.market=spot"), lasts_s)

    def _lost(self, event: str, lasts_s: float, *settings: str) -> tuple[float, ...]:
        """Beyond the share that is lost without the event."""
        ended = self._ended(event, _STRIKE_S + lasts_s + _AFTER_S, *settings)
        usual = [share * (failed + answered) for share, (failed, answered) in zip(self._calm, ended, strict=True)]
        return lost(usual, [failed for failed, _ in ended])

    def _ended(self, event: str | None, seconds: float, *settings: str) -> list[tuple[float, float]]:
        """Requests that failed and that were answered, by replication."""
        one = self._lab.evaluate(
            "three-nodes",
            f"fleet.0.replicas={self.nodes}",
            f"workload.arrivals.request_rate={_RATE}",
            f"workload.num_prompts={round(_RATE * seconds)}",
            f"clients.timeout_s={_TIMEOUT_S}",
            *settings,
            *([event] if event else []),
        )
        return [(each["failed"] or 0.0, each["completed"] or 0.0) for each in one.replications]
