"""The answers, topic by topic: TOPIC.yaml tells the claims, TOPIC.py answers them in `ANSWERS`."""

from collections.abc import Mapping
from functools import cache

from sim.audit.claim import Claim, read
from sim.audit.claims import (
    batching,
    cold,
    communication,
    controllers,
    cost,
    lengths,
    market,
    memory,
    placement,
    precision,
    recovery,
    replicas,
    rollout,
    scaling,
)
from sim.audit.influence import Answerer

_TOPICS = (
    memory,
    communication,
    batching,
    lengths,
    recovery,
    replicas,
    placement,
    scaling,
    controllers,
    rollout,
    market,
    precision,
    cold,
    cost,
)


@cache
def known() -> Mapping[str, tuple[Claim, Answerer]]:
    """Every claim with its answer, in the article's order."""
    found = {}
    for topic in _TOPICS:
        claims = read(topic.__name__.rpartition(".")[2])
        for name, answerer in topic.ANSWERS.items():
            found[name] = (claims[name], answerer)
    return dict(sorted(found.items(), key=lambda item: int(item[0][1:])))


@cache
def topics() -> Mapping[str, tuple[str, ...]]:
    """Claims by topic: those of one topic share simulations, and are best answered by one process."""
    return {topic.__name__.rpartition(".")[2]: tuple(topic.ANSWERS) for topic in _TOPICS}
