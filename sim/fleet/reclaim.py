"""A spot node is taken back: notice, drain, and it is gone."""

from sim.fleet.fleet import Fleet
from sim.fleet.nodes import Node
from sim.result import Cause


def reclaim(fleet: Fleet, node: Node, notice_ns: int) -> None:
    """Tell a node that it ends: its replicas drain, and others are asked for."""
    node.noticed = True
    for replica in list(node.replicas):
        fleet.drain(replica, Cause.SPOT, notice_ns)
    wake = fleet.world.timeout(notice_ns)
    assert wake.callbacks is not None
    wake.callbacks.append(lambda _: None if fleet.world.over else _take(fleet, node))
    fleet.reconcile(node.pool)


def _take(fleet: Fleet, node: Node) -> None:
    for replica in list(node.replicas):
        fleet.let_go(replica, Cause.SPOT)
    fleet.give_up(node)
    fleet.reconcile(node.pool)
